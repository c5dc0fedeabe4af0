"""All that the page of a study shows, as data frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from perfkit.records.frame import frame_of
from perfkit.records.schema import Record
from perfkit.report.export.frames import (
    Cells,
    Tables,
    cells,
    elements,
    frame,
    interval_cells,
    plain_frame,
    with_constants,
)
from perfkit.report.figures.agreement import AgreementInfo, agreement_info
from perfkit.report.figures.memory import memory_info
from perfkit.report.figures.passes import passes_info
from perfkit.report.figures.production import ProductionInfo, production_info
from perfkit.report.figures.scaling import memory_scaling_info, scaling_info
from perfkit.report.figures.search.effects import EffectRow, effects_info
from perfkit.report.figures.search.importance import importance_info
from perfkit.report.figures.search.instances import instances_info
from perfkit.report.figures.search.interactions import interactions_info
from perfkit.report.figures.search.looked import LookedInfo, looked_info
from perfkit.report.figures.search.screening import screening_info
from perfkit.report.figures.speedup import speedup_info
from perfkit.report.figures.stages import StagesInfo, stages_info
from perfkit.report.figures.time_memory import time_memory_info
from perfkit.report.figures.timeline import TimelineInfo, timeline_info
from perfkit.report.selection import StudyRecords, predictions
from perfkit.report.status import status_of
from perfkit.report.study.jaxlib_tables import jaxlib_table
from perfkit.report.study.production import tolerances_of
from perfkit.tuning.choice.extrapolate import Extrapolation
from perfkit.tuning.choice.importance import importance, setting_effects
from perfkit.tuning.choice.interactions import interactions
from perfkit.tuning.choice.recommend import Recommendation, recommend
from perfkit.tuning.choice.rows import Row
from perfkit.tuning.versions.jaxlibs import JaxlibComparison


def study_tables(
    records: Sequence[Record],
    recommendation: Recommendation | None,
    extrapolations: Sequence[Extrapolation] = (),
    jaxlibs: Sequence[JaxlibComparison] = (),
) -> Tables:
    """The data behind every figure and table of :func:`perfkit.report.study.page.study_page`.

    Nothing is thinned: the tables hold all configurations, passes and samples. Tables of the
    configurations of a workload begin with its name and size, so that those of a sweep are one.

    Parameters
    ----------
    records
        All records of the study.
    recommendation
        Recommendation of the study; None for a sweep, whose workloads are ranked separately.
    extrapolations
        Production times, that of stock first.
    jaxlibs
        Comparisons of versions of jaxlib.

    Returns
    -------
    dict of str to DataFrame
        Tables with at least one row, by name. ``trials`` is described by
        :func:`perfkit.records.frame.read_frame`; the columns of the others are the fields of the
        ``*_info`` of their figure.
    """
    ordered = sorted(records, key=lambda record: record.created)
    studies = predictions(ordered)
    found: dict[str, list[pd.DataFrame]] = {"trials": [frame_of(ordered)]}
    for study in studies:
        alone = len(studies) == 1
        ranked = recommendation if alone and recommendation is not None else recommend(study.ranked)
        of: Cells = {"workload": study.workload.name, "size": study.workload.size}
        for name, table in _tables_of(study, ranked):
            if len(table):
                found.setdefault(name, []).append(with_constants(table, of))
    for name, rows in (
        ("scaling", _scaling(studies)),
        ("memory-scaling", _memory_scaling(studies)),
        ("production", _production(production_info(extrapolations))),
    ):
        found[name] = [frame(rows)]
    found["jaxlibs"] = [plain_frame(jaxlib_table(comparison)) for comparison in jaxlibs]
    joined = {
        name: pd.concat(tables, ignore_index=True) for name, tables in found.items() if tables
    }
    return {name: table for name, table in joined.items() if len(table)}


def _tables_of(study: StudyRecords, ranked: Recommendation) -> Iterator[tuple[str, pd.DataFrame]]:
    """The tables of the configurations of one workload."""
    yield "configurations", frame(_configuration(row, ranked) for row in ranked.rows)
    yield "speedup", frame(map(cells, speedup_info(ranked).rows))
    yield "memory", frame(map(cells, memory_info(ranked).rows))
    points = time_memory_info(ranked)
    yield "time-memory", frame(map(cells, points.points))
    yield (
        "time-memory-front",
        frame({"time_s": time_s, "peak_rss_bytes": peak} for time_s, peak in points.front),
    )
    passes = passes_info(study.full, ranked)
    yield (
        "passes",
        frame(one for group in passes.groups for one in elements(group, "elapsed_s", "wall_s")),
    )
    yield "stages", frame(_stages(stages_info(study.full)))
    timeline = timeline_info(study.full, ranked)
    yield "timeline-memory", frame(_samples(timeline, "time_s", "rss_bytes"))
    yield "timeline-cpu", frame(_samples(timeline, "utilisation_time_s", "utilisation"))
    yield "timeline-stages", frame(_bands(timeline))
    yield "looked", frame(_looked(looked_info(study.ranked, ranked)))
    screening = screening_info(study.screened, ranked, most=len(ranked.rows))
    if screening is not None:
        yield "screening", frame({"where": screening.where, **cells(one)} for one in screening.rows)
    measured = setting_effects(study.ranked)
    effects = effects_info(measured, ranked, most=len(measured) + len(ranked.rows))
    if effects is not None:
        yield "effects", frame(map(_effect, effects.rows))
    mixed = interactions(study.ranked)
    pairs = interactions_info(mixed, most=len(mixed))
    if pairs is not None:
        yield "interactions", frame(map(cells, pairs.rows))
    weights = importance_info(importance(study.ranked))
    if weights is not None:
        yield "importance", frame({**cells(one), "method": weights.method} for one in weights.rows)
    agreement = agreement_info(study.ranked, ranked, tolerances_of(study.workload.model))
    if agreement is not None:
        yield "agreement", frame(_distances(agreement))
    instances = instances_info(ranked)
    if instances is not None:
        yield "instances", frame(map(cells, instances.points))


def _configuration(row: Row, ranked: Recommendation) -> Cells:
    equals, front = ({one.digest for one in rows} for rows in (ranked.equals, ranked.front))
    return {
        "label": row.label,
        "digest": row.digest,
        "status": status_of(row, ranked.best).value,
        "outcome": row.outcome.value,
        "reason": row.reason,
        **interval_cells("time_s", row.time_s),
        "cpu_s": row.cpu_s,
        "compile_s": row.compile_s,
        "peak_rss_bytes": row.peak_rss_bytes or None,
        "utilisation": row.utilisation,
        "allowed_cpus": row.allowed_cpus,
        **interval_cells("speedup", row.speedup),
        "blocks": row.blocks,
        "agreement": row.agreement,
        "distance": row.distance,
        "declared": row.declared,
        "equal_to_recommended": row.digest in equals,
        "on_front": row.digest in front,
    }


def _stages(info: StagesInfo) -> Iterator[Cells]:
    for bar in info.bars:
        for stage, wall_s in bar.wall_s.items():
            yield {**cells(bar, ("wall_s",)), "stage": stage.value, "wall_s": wall_s}


def _samples(info: TimelineInfo, time: str, value: str) -> Iterator[Cells]:
    for panel in info.panels:
        own = panel._asdict()
        for time_s, measured in zip(own[time], own[value], strict=True):
            yield {"panel": panel.title, "time_s": time_s, value: measured}


def _bands(info: TimelineInfo) -> Iterator[Cells]:
    for panel in info.panels:
        for band in panel.stages:
            yield {"panel": panel.title, **cells(band)}


def _looked(info: LookedInfo) -> Iterator[Cells]:
    yield from (
        {"step": step, "configurations": number}
        for step, number in cells(info, ("failed",)).items()
    )
    yield from (
        {"step": outcome.value, "configurations": number} for outcome, number in info.failed.items()
    )


def _effect(row: EffectRow) -> Cells:
    return {
        "name": row.name,
        "effect": row.effect.value,
        **interval_cells("gain", row.gain),
        "why": row.why,
    }


def _distances(info: AgreementInfo) -> Iterator[Cells]:
    for row in info.rows:
        for point in row.points:
            yield {**cells(row, ("points",)), **cells(point)}


def _scaling(studies: Sequence[StudyRecords]) -> Iterator[Cells]:
    info = scaling_info([record for study in studies for record in study.full])
    if info is None:
        return
    for line in info.lines:
        for own in elements(line, "x", "time_s", without=("law",)):
            yield {"over": info.over, **own}


def _memory_scaling(studies: Sequence[StudyRecords]) -> Iterator[Cells]:
    info = memory_scaling_info([record for study in studies for record in study.full])
    if info is None:
        return
    for line in info.lines:
        for size, peak in zip(line.sizes, line.peak_rss_bytes, strict=True):
            yield {
                "label": line.label,
                "size": size,
                "peak_rss_bytes": peak,
                "machine_bytes": info.machine_bytes,
            }


def _production(info: ProductionInfo | None) -> Iterator[Cells]:
    if info is None:
        return
    for bar in info.bars:
        for part in bar.parts:
            yield {
                "label": bar.label,
                "part": part.name,
                "runs": part.runs,
                "part_total_s": part.total_s,
                "total_s": bar.total_s,
                "check_error": bar.check_error,
                **{f"fidelity_{axis}": value for axis, value in info.fidelity.items()},
            }
