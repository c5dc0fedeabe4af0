"""The first screen of a study's page: what to type, what it gains, and whether the machine does."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from perfkit.knobs.configuration import STOCK_LABEL
from perfkit.models.scripts import own_script
from perfkit.records.roles import NOT_COMPARED
from perfkit.records.schema import Outcome, Record
from perfkit.report import facts
from perfkit.report.figures.production import check_text
from perfkit.report.page import PageCommand
from perfkit.report.plain_table import NOTHING, PlainTable
from perfkit.report.status import agreement_text
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.extrapolate import Extrapolation
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.tuning.choice.rows import Row
from perfkit.tuning.preset import exec_command
from perfkit.tuning.side_by_side.instances import Instances
from perfkit.units import bytes_text, count_text, ratio_text, seconds_interval_text, seconds_text

MEMORY_MARGIN = 1.2
"""Requested memory over that of the largest trial: peaks of one program differ by some percent,
and a job that exceeds its request is killed."""

COMFORTABLE = 0.8
"""Share of the machine's memory up to which a prediction is no tight fit."""

SIDES_HEADING = "Stock and recommended"


def commands(
    preset_path: Path | None,
    model: str,
    best: Row | None,
    peak_bytes: int,
    instances: Instances | None = None,
) -> tuple[PageCommand, ...]:
    """The commands that apply the preset; none if it was not saved, or would change nothing.

    Parameters
    ----------
    preset_path
        File of the preset, or None.
    model
        Name of the model.
    best
        The recommended configuration, or None. There is nothing to type where it is stock, unless
        several instances of stock are recommended.
    peak_bytes
        Peak memory of its largest trial; 0 if it is unknown.
    instances
        The recommended number of instances side by side; None where it was not measured.
    """
    several = instances if instances is not None and instances.count > 1 else None
    if preset_path is None or best is None or not (best.settings or several):
        return ()
    prefix = exec_command(preset_path, 1 if several is None else several.count)
    purpose, note = "Any command under the preset", ""
    if several is not None:
        purpose = f"Any command under the preset, as one of {several.text}"
        note = (
            f"Start the others with --instance 2/{several.count} and so on, each with an input of "
            "its own."
        )
    found = [PageCommand(purpose, f"{prefix} CMD", note)]
    script = own_script(model)
    if script is not None:
        found.append(PageCommand("The model's own script", f"{prefix} {script}"))
    # Slurm gives each job CPUs of its own, so that an instance is a job.
    prefix, note = exec_command(preset_path), ""
    cpus = best.allowed_cpus
    if several is not None:
        cpus, peak_bytes = several.cpus, max(peak_bytes, several.peak_rss_bytes)
    options = [f"--cpus-per-task={cpus}"]
    if peak_bytes:
        options.append(f"--mem={math.ceil(MEMORY_MARGIN * peak_bytes / 2**30)}G")
        note = (
            f"The memory is that of the largest trial, {bytes_text(peak_bytes)}, and a fifth more; "
            "larger inputs need more (perfkit plan)."
        )
    words = ("sbatch", *options, "--wrap", shlex.quote(f"{prefix} {script or 'CMD'}"))
    return (*found, PageCommand("As a job of Slurm", " ".join(words), note))


def fidelity_sentences(
    records: Sequence[Record], extrapolations: Sequence[Extrapolation]
) -> tuple[str, ...]:
    """What was measured, how production times were found, and how far off a longer run was.

    Parameters
    ----------
    records
        All records of the study.
    extrapolations
        Production times, that of stock first; may be empty.
    """
    measured = facts.fidelity_text(fidelity_of(records))
    passes = f"One pass: {measured}. " if measured else ""
    largest = "Peak memory is that of the largest trial."
    if not extrapolations:
        return (f"{passes}{largest}",)
    checks = [
        f"With {each.label if each.label == STOCK_LABEL else 'the recommended settings'}, "
        f"{check_text(each)}."
        for each in extrapolations
        if each.check is not None
    ]
    production = facts.fidelity_text(extrapolations[0].fidelity)
    lead = f"{passes}A production prediction: {production}, the sum of its measured parts."
    checks = checks or ["It was not checked against a longer run."]
    return (" ".join((lead, *checks, largest)),)


def peak_memory_bytes(records: Sequence[Record], row: Row | None) -> int:
    """Largest resident set of any successful trial of a configuration, at any fidelity; else 0."""
    if row is None:
        return 0
    return max(
        (
            record.peak_rss_bytes
            for record in records
            if record.configuration.digest == row.digest
            and record.is_prediction
            and record.outcome is Outcome.OK
        ),
        default=0,
    )


def sides_table(
    records: Sequence[Record],
    recommendation: Recommendation,
    extrapolations: Sequence[Extrapolation],
) -> PlainTable | None:
    """Stock and the recommended configuration next to each other; None if neither has a time.

    Parameters
    ----------
    records
        All records of the study.
    recommendation
        Recommendation from the same records.
    extrapolations
        Their production times; may be empty.
    """
    stock, best = recommendation.stock, recommendation.best
    sides = [row for row in (stock, best) if row is not None and row.time_s is not None]
    if best is stock:
        sides = sides[:1]
    if not sides:
        return None
    gain = best.speedup if best is not None and best is not stock else None
    by_label = {each.label: each for each in extrapolations}
    produced = [by_label.get(row.label) for row in sides]
    peaks = [peak_memory_bytes(records, row) for row in sides]
    rows = [
        (
            "one pass",
            *(_time_text(row.time_s) for row in sides),
            NOTHING if gain is None else f"{ratio_text(gain)} as fast",
        )
    ]
    if any(produced):
        totals = [None if each is None else each.total for each in produced]
        rows.append(
            (
                "production prediction",
                *map(_time_text, totals),
                _ratio_of(totals),
            )
        )
    rows.append(
        (
            "peak memory",
            *(bytes_text(peak) if peak else NOTHING for peak in peaks),
            f"{peaks[1] / peaks[0]:.2f}x" if len(peaks) == 2 and all(peaks) else NOTHING,
        )
    )
    rows.append(("agreement (distance)", *map(agreement_text, sides), NOTHING))
    if any(row.compile_s is not None for row in sides):
        compiled = (None if row.compile_s is None else row.compile_s for row in sides)
        texts = (NOTHING if each is None else seconds_text(each) for each in compiled)
        rows.append(("compilation", *texts, NOTHING))
    headers = ("", *("stock" if row is stock else "recommended" for row in sides), "")
    if len(sides) == 1:
        return PlainTable(headers[1].capitalize(), headers[:-1], tuple(row[:-1] for row in rows))
    return PlainTable(SIDES_HEADING, headers, tuple(rows))


def machine_verdict(
    records: Sequence[Record],
    recommendation: Recommendation,
    extrapolations: Sequence[Extrapolation],
) -> str:
    """Whether the machine of the study will do, in one sentence; empty if that is not known.

    Parameters
    ----------
    records, recommendation, extrapolations
        As for :func:`sides_table`.
    """
    memory_bytes = _memory_bytes(records)
    if not memory_bytes:
        return ""
    best = recommendation.best
    if best is None or best.time_s is None:
        stock = recommendation.stock
        if stock is not None and stock.outcome is Outcome.OUT_OF_MEMORY:
            return (
                f"This machine does not do: stock ran out of its {bytes_text(memory_bytes)} of "
                "memory."
            )
        return ""
    peak_bytes = peak_memory_bytes(records, best)
    if not peak_bytes:
        return ""
    tight = peak_bytes > COMFORTABLE * memory_bytes
    machine = records[-1].machine
    place = ", ".join(
        filter(
            None,
            (
                machine.cpu or "",
                count_text(best.allowed_cpus, "CPU"),
                bytes_text(memory_bytes),
            ),
        )
    )
    sentence = (
        f"This machine ({place}) {'just does' if tight else 'will do'}: the largest trial needed "
        f"{bytes_text(peak_bytes)}"
    )
    produced = next((each for each in extrapolations if each.label == best.label), None)
    if produced is not None:
        sentence += f", and a production prediction takes about {_time_text(produced.total)}"
    return f"{sentence}."


def _memory_bytes(records: Sequence[Record]) -> int:
    """Memory of the last trial's machine, or the limit of its control group; 0 if unknown."""
    machine = records[-1].machine
    limit = machine.cgroup_memory_max or ""
    known = [machine.memory_bytes or 0, int(limit) if limit.isdigit() else 0]
    return min(filter(None, known), default=0)


def fidelity_of(records: Sequence[Record]) -> dict[str, int]:
    """The fidelity of the trials that configurations are compared on."""
    compared = [record for record in records if record.role not in NOT_COMPARED]
    return (compared or list(records))[-1].workload.fidelity


def _time_text(time_s: Interval | None) -> str:
    return NOTHING if time_s is None else seconds_interval_text(time_s)


def _ratio_of(totals: Sequence[Interval | None]) -> str:
    """The first total over the second: the parts were measured apart, so without an interval."""
    if len(totals) != 2 or totals[0] is None or totals[1] is None:
        return NOTHING
    return f"{totals[0].median / totals[1].median:.2f}x as fast"
