"""What a study leaves at its end: the table, the preset and the page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from perfkit.cli.console import Console
from perfkit.models.base import Model, Workload
from perfkit.records.schema import Outcome, Record
from perfkit.report.study_page import study_page
from perfkit.report.writing import write_report
from perfkit.tune.extrapolate import Extrapolation, extrapolate
from perfkit.tune.preset import save_preset
from perfkit.tune.recommend import Recommendation, measured_at_own_fidelity, recommend

PRESET_NAME = "preset.toml"
PAGE_NAME = "report.html"


def finish_study(
    console: Console, model: Model, workload: Workload, records: list[Record], out: Path
) -> bool:
    """Print the table, save the preset and the page; whether anything is recommended."""
    own = [r for r in records if r.workload.input_digest == workload.input_digest]
    recommendation = recommend(measured_at_own_fidelity(own))
    extrapolations = production_times(model, workload, own, recommendation)
    console.recommendation(recommendation, extrapolations)
    preset = None
    if recommendation.best is not None:
        preset = out / PRESET_NAME
        save_preset(preset, model.name, recommendation, _context(own))
        console.line(
            f"preset: {preset} (apply it: perfkit exec --preset {shlex.quote(str(preset))} -- CMD)"
        )
    page = out / PAGE_NAME
    title = f"{workload.name} ({workload.size} {model.size_unit}) with {model.name}"
    write_report(page, study_page(own, recommendation, extrapolations, title, preset))
    console.line(f"page: {page}")
    return recommendation.best is not None


def production_times(
    model: Model, workload: Workload, records: list[Record], recommendation: Recommendation
) -> list[Extrapolation]:
    """Times of a production prediction, of stock and of the best where their parts are known."""
    production = {axis.name: axis.production for axis in model.fidelity_axes}
    chosen = model.resolved_fidelity(production, workload)
    counts = model.part_counts(chosen, workload)
    rows = dict.fromkeys(
        row.digest for row in (recommendation.stock, recommendation.best) if row is not None
    )
    found = (extrapolate(records, digest, chosen, counts) for digest in rows)
    return [one for one in found if one is not None]


def _context(records: list[Record]) -> dict[str, object]:
    last = records[-1]
    machine = last.machine.known()
    versions = {name: value for name, value in last.versions.items() if value is not None}
    return {
        "workload": last.workload.name,
        "size": last.workload.size,
        "measured_at": last.created,
        "notices": last.notices,
        "machine": {
            name: machine[name]
            for name in ("cpu", "logical_cpus", "memory_bytes")
            if name in machine
        },
        "versions": versions,
    }


def finish_sweep(
    console: Console,
    model: Model,
    workloads: Sequence[Workload],
    records: list[Record],
    out: Path,
) -> bool:
    """Print a table a size and save the page; whether all that was not interrupted is ``ok``."""
    for workload in workloads:
        own = [r for r in records if r.workload.digest == workload.digest]
        if own:
            console.line(f"{workload.name} ({workload.size} {model.size_unit})")
            console.recommendation(recommend(own), [])
    if records:
        page = out / PAGE_NAME
        title = f"sweep of {len(workloads)} inputs with {model.name}"
        write_report(page, study_page(records, None, [], title, None))
        console.line(f"page: {page}")
    finished = (record for record in records if record.outcome is not Outcome.INTERRUPTED)
    return all(record.outcome is Outcome.OK for record in finished)


def page_of_records(records: list[Record], preset: Path | None, skipped: Sequence[str] = ()) -> str:
    """The page of records that were measured earlier, without the model or its input."""
    own = measured_at_own_fidelity(records)
    last = (own or records)[-1].workload
    several = len({record.workload.digest for record in own}) > 1
    title = f"{last.name} ({last.size}) with {last.model}"
    if several:
        title = f"sweep with {last.model}"
    return study_page(records, None if several else recommend(own), [], title, preset, skipped)
