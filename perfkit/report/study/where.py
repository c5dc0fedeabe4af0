"""Where the time of a study goes: parts of a prediction, stages, and what observers saw."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.records.schema import Outcome, Record
from perfkit.report import facts
from perfkit.report.figures.production import production_figure, production_info
from perfkit.report.figures.stages import stages_figure, stages_info
from perfkit.report.figures.timeline import timeline_figure, timeline_info
from perfkit.report.names import Names
from perfkit.report.page import PageFigure, PageSection
from perfkit.report.profile.sections import observed_sections
from perfkit.report.selection import StudyRecords
from perfkit.report.thinning import latest_trials, shortlist, thinned_timeline
from perfkit.tuning.choice.extrapolate import Extrapolation
from perfkit.tuning.choice.recommend import Recommendation

MOST_STAGES = 30
"""Most trials in the figure of stages."""

TIMELINE_PX = 640
"""Least width of the timelines, in pixels: two columns."""

HEADING = "Where time goes"


def production_figures(extrapolations: Sequence[Extrapolation]) -> tuple[PageFigure, ...]:
    """The parts of a production prediction; empty without extrapolations."""
    info = production_info(extrapolations)
    if info is None:
        return ()
    caption = (
        f"Time of one prediction with {facts.fidelity_text(info.fidelity)}: the sum of its parts, "
        "measured at low fidelity. The check is the relative error of such a sum for a longer run."
    )
    return (PageFigure("Production time by part", caption, production_figure(info)),)


def where_section(
    heading: str,
    study: StudyRecords,
    recommendation: Recommendation,
    extrapolations: Sequence[Extrapolation] = (),
) -> PageSection:
    """Where the time of one workload goes, as far as it was observed.

    Parameters
    ----------
    heading
        Heading of the section.
    study
        Records of the workload.
    recommendation
        Recommendation from these records.
    extrapolations
        Production times of the workload.
    """
    records = study.full
    figures = [*production_figures(extrapolations)]
    latest = latest_trials(shortlist(recommendation, MOST_STAGES).records(records), MOST_STAGES)
    stages = stages_info(latest, Names.of(recommendation))
    if stages.bars:
        caption = "Trials in order of time. The steady time never includes compilation."
        if len(latest) < len(records):
            caption += f" The last trial of each configuration, {len(latest)} of {len(records):,}."
        figures.append(PageFigure("Stages of each trial", caption, stages_figure(stages)))
    timeline = thinned_timeline(timeline_info(records, recommendation))
    if timeline.panels:
        caption = (
            "Sampled from outside the process. Bands are stages, in the colours of the figure "
            "above; the process waits between them."
        )
        figures.append(
            PageFigure(
                "Memory and CPU use over time",
                caption,
                timeline_figure(timeline),
                least_width_px=TIMELINE_PX if len(timeline.panels) > 1 else 0,
            )
        )
    observed = _observed(records, recommendation)
    return PageSection(
        heading,
        figures=tuple(figures),
        parts=() if observed is None else observed_sections(observed),
    )


def _observed(records: Sequence[Record], recommendation: Recommendation) -> Record | None:
    """The last trial with observations: of the recommended configuration, or else of stock."""
    for row in (recommendation.best, recommendation.stock):
        found = [
            record
            for record in records
            if row is not None
            and record.configuration.digest == row.digest
            and record.outcome is Outcome.OK
            and any(observation.data for observation in record.observations.values())
        ]
        if found:
            return found[-1]
    return None
