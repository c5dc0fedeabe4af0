"""The page of a study: its recommendation, figures and tables."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from perfkit.errors import UserError
from perfkit.records.schema import Record, WorkloadRecord
from perfkit.report import facts
from perfkit.report.figures.memory import memory_figure, memory_info
from perfkit.report.figures.passes import passes_figure, passes_info
from perfkit.report.figures.production import check_text, production_figure, production_info
from perfkit.report.figures.scaling import scaling_figure, scaling_info
from perfkit.report.figures.search.instances import instances_figure, instances_info
from perfkit.report.figures.speedup import speedup_figure, speedup_info
from perfkit.report.figures.stages import stages_figure, stages_info
from perfkit.report.figures.time_memory import time_memory_figure, time_memory_info
from perfkit.report.figures.timeline import timeline_figure, timeline_info
from perfkit.report.page import PageContent, PageFigure, PageSection, render_page
from perfkit.report.selection import StudyRecords, predictions
from perfkit.report.status import Status
from perfkit.report.study.choice import choice_tables
from perfkit.report.study.jaxlib_tables import jaxlib_section
from perfkit.report.study.search_section import SearchNotes, search_section
from perfkit.report.tables import configuration_table
from perfkit.tuning.extrapolate import Extrapolation
from perfkit.tuning.jaxlibs import JaxlibComparison
from perfkit.tuning.recommend import Recommendation, recommend
from perfkit.units import count_text, seconds_interval_text

NO_NOTES = SearchNotes()
"""Of a study that is read from its records."""


def study_page(
    records: Sequence[Record],
    recommendation: Recommendation | None,
    extrapolations: Sequence[Extrapolation],
    title: str,
    preset_path: Path | None,
    skipped: Sequence[str] = (),
    search: SearchNotes = NO_NOTES,
    jaxlibs: Sequence[JaxlibComparison] = (),
) -> str:
    """Render the page of one study as a self-contained HTML document.

    Parameters
    ----------
    records
        All records of the study with any outcome, including those of parts and checks.
    recommendation
        Recommendation of the study; None for a sweep, whose workloads are ranked separately.
    extrapolations
        Production times, that of stock first; may be empty.
    title
        Title of the page as plain text.
    preset_path
        File of the recommended preset; None if none was saved.
    skipped
        One sentence per line of the records that could not be read.
    search
        What the records do not hold about the search.
    jaxlibs
        Comparisons of versions of jaxlib.

    Raises
    ------
    UserError
        ``records`` is empty.
    """
    if not records:
        raise UserError("there is nothing to report: no trial has finished yet")
    ordered = sorted(records, key=lambda record: record.created)
    studies = predictions(ordered)
    compared = [record for study in studies for record in study.ranked]
    best = recommendation.best if recommendation is not None else None
    return render_page(
        PageContent(
            title=title,
            subtitle=_subtitle(ordered),
            sentence=recommendation.sentence if recommendation is not None else "",
            settings=tuple(best.settings.items()) if best is not None else (),
            command=_command(preset_path),
            production=tuple(map(_production_sentence, extrapolations)),
            notices=facts.notices(ordered),
            warnings=(*facts.skipped_warnings("line", skipped), *facts.warnings(ordered)),
            facts=(
                facts.workload_facts(compared),
                facts.machine_facts(ordered),
                facts.version_facts(ordered),
            ),
            sections=(
                jaxlib_section(tuple(jaxlibs)),
                PageSection("Scaling", figures=_scaling_figures(studies)),
                *_workload_sections(studies, recommendation, search),
                PageSection("At production fidelity", figures=_production_figures(extrapolations)),
            ),
        )
    )


def _subtitle(records: Sequence[Record]) -> str:
    first, last = (record.created[:16].replace("T", " ") for record in (records[0], records[-1]))
    span = first if first == last else f"{first} to {last}"
    return f"{count_text(len(records), 'trial')}, {span} UTC"


def _command(preset_path: Path | None) -> str:
    if preset_path is None:
        return ""
    return f"perfkit exec --preset {shlex.quote(str(preset_path))} -- CMD"


def _production_sentence(extrapolation: Extrapolation) -> str:
    return (
        f"A production prediction ({facts.fidelity_text(extrapolation.fidelity)}) with "
        f"{extrapolation.label} takes about {seconds_interval_text(extrapolation.total)}, "
        f"extrapolated; {check_text(extrapolation)}."
    )


def _scaling_figures(studies: Sequence[StudyRecords]) -> tuple[PageFigure, ...]:
    info = scaling_info([record for study in studies for record in study.full])
    if info is None:
        return ()
    figure = scaling_figure(info)
    caption = "Median steady time."
    if figure.layout.yaxis.type == "log":
        caption += " Both axes are logarithmic, so a power law is a straight line."
    return (PageFigure(f"Time against {info.over}", caption, figure),)


def _production_figures(extrapolations: Sequence[Extrapolation]) -> tuple[PageFigure, ...]:
    info = production_info(extrapolations)
    if info is None:
        return ()
    caption = (
        f"Time of one prediction with {facts.fidelity_text(info.fidelity)}: the sum of its parts, "
        "measured at low fidelity. The check is the relative error of such a sum for a longer run."
    )
    return (PageFigure("Production time by part", caption, production_figure(info)),)


def _workload_sections(
    studies: Sequence[StudyRecords], recommendation: Recommendation | None, search: SearchNotes
) -> list[PageSection]:
    """The sections of each workload. A single one has the recommendation of the study itself."""
    sections = []
    for study in studies:
        alone = len(studies) == 1
        ranked = recommendation if alone and recommendation is not None else recommend(study.ranked)
        sections.append(
            PageSection(
                heading="Configurations" if alone else _heading(study.workload),
                lead="" if alone else _lead(ranked),
                figures=_workload_figures(study.full, ranked),
                table=configuration_table(ranked),
                plain=choice_tables(ranked),
            )
        )
        if alone and recommendation is not None:
            sections.append(search_section(study, ranked, search))
    return sections


def _lead(recommendation: Recommendation) -> str:
    """Recommendation for one of several workloads; empty if nothing is faster than stock."""
    best = recommendation.best
    if best is None or best is recommendation.stock:
        return ""
    return f"{best.label}: {recommendation.sentence}"


def _heading(workload: WorkloadRecord) -> str:
    fidelity = facts.fidelity_text(workload.fidelity)
    return f"{workload.name}, size {workload.size}" + (f" ({fidelity})" if fidelity else "")


def _workload_figures(
    records: Sequence[Record], recommendation: Recommendation
) -> tuple[PageFigure, ...]:
    """The figures for which there are data."""
    figures = []
    speedup = speedup_info(recommendation)
    if any(row.speedup and row.status is not Status.STOCK for row in speedup.rows):
        caption = (
            "Ratios of interleaved passes, and the agreement with the float32 reference. Intervals "
            "are exact 95 % intervals from six or more pairs of fresh processes; ratios without an "
            "interval are from screening, or from too few pairs. Configurations with a cross are "
            "not recommended. Agreement is judged after few sampling steps: after hundreds, two "
            "correct programs give two samples by chaos, and what they share is the distribution "
            "over seeds (perfkit compare A B --structures)."
        )
        figures.append(PageFigure("Speed-up over stock", caption, speedup_figure(speedup)))
    passes = passes_info(records, recommendation)
    if passes.groups:
        caption = "Every timed pass. A slope within one configuration is drift of the machine."
        figures.append(PageFigure("Steady time of all trials", caption, passes_figure(passes)))
    memory = memory_info(recommendation)
    if memory.rows:
        caption = "Largest resident set of the process tree in any trial, including compilation."
        figures.append(PageFigure("Peak memory", caption, memory_figure(memory)))
    points = time_memory_info(recommendation)
    if len(points.points) > 1:
        caption = "Lower left is better. The colour is the share of the CPUs in use."
        if len(points.front) > 1:
            caption += (
                " No configuration is surely better in time and memory than those on the line."
            )
        figures.append(PageFigure("Time against memory", caption, time_memory_figure(points)))
    instances = instances_info(recommendation)
    if instances is not None:
        caption = (
            "Predictions of all instances of the recommended configuration together, each on CPUs "
            "of its own. A round counts as long as its slowest instance."
        )
        heading = "Throughput by number of instances"
        figures.append(PageFigure(heading, caption, instances_figure(instances)))
    stages = stages_info(records)
    if stages.bars:
        caption = "Trials in order of time. The steady time never includes compilation."
        figures.append(PageFigure("Stages of each trial", caption, stages_figure(stages)))
    timeline = timeline_info(records, recommendation)
    if timeline.panels:
        caption = (
            "Sampled from outside the process. Bands are stages, in the colours of the figure "
            "above; the process waits between them."
        )
        heading = "Memory and CPU use over time"
        figures.append(PageFigure(heading, caption, timeline_figure(timeline)))
    return tuple(figures)
