"""What the settings of a study do: effects, interactions, gains, and time against memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perfkit.records.schema import Record
from perfkit.report.figures.memory import memory_figure, memory_info
from perfkit.report.figures.search.effects import (
    EffectsInfo,
    effects_figure,
    effects_info,
    effects_sentence,
)
from perfkit.report.figures.search.importance import importance_figure, importance_info
from perfkit.report.figures.search.interactions import interactions_figure, interactions_info
from perfkit.report.figures.search.parallel import parallel_figure, parallel_info
from perfkit.report.figures.speedup import speedup_figure, speedup_info
from perfkit.report.figures.time_memory import time_memory_figure, time_memory_info
from perfkit.report.page import PageFigure, PageSection
from perfkit.report.selection import StudyRecords
from perfkit.report.status import Status
from perfkit.report.study.choice import choice_tables
from perfkit.report.study.search_section import SearchNotes, search_section
from perfkit.report.tables import configuration_table
from perfkit.report.thinning import (
    Shortlist,
    points_sentence,
    shortlist,
    thinned_points,
)
from perfkit.tuning.choice.importance import (
    BEST_SHARE,
    CONFIGURATIONS_LEAST,
    PED_ANOVA,
    SettingEffect,
    importance,
    setting_effects,
)
from perfkit.tuning.choice.interactions import interactions
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.units import percent_text

MOST_DRAWN = 30
"""Most configurations in a figure with a row for each."""

PARALLEL_PX = 720
"""Least width of the parallel coordinates, in pixels."""


def effects_section(
    heading: str,
    study: StudyRecords,
    recommendation: Recommendation,
    notes: SearchNotes,
    lead: str = "",
) -> PageSection:
    """Everything on the settings of one workload.

    Parameters
    ----------
    heading
        Heading of the section.
    study
        Records of the workload.
    recommendation
        Recommendation from these records.
    notes
        What the records do not hold about the search.
    lead
        Sentence before that on the effects; empty for none.
    """
    measured = setting_effects(study.ranked)
    effects = effects_info(measured, recommendation, notes.not_tried)
    tabulated, drawn = shortlist(recommendation), shortlist(recommendation, MOST_DRAWN)
    leads = (lead, "" if effects is None else effects_sentence(effects), tabulated.sentence)
    return PageSection(
        heading,
        lead=" ".join(filter(None, leads)),
        figures=(
            *_effect_figures(effects),
            *_importance_figures(study.ranked),
            *_interaction_figures(study.ranked),
            *_speedup_figures(drawn),
            *_parallel_figures(measured, recommendation),
            *_memory_figures(recommendation, drawn),
        ),
        table=configuration_table(tabulated.recommendation),
        plain=choice_tables(recommendation),
        parts=(search_section(study, recommendation, notes),),
    )


def _effect_figures(info: EffectsInfo | None) -> list[PageFigure]:
    if info is None or not any(row.gain for row in info.rows):
        return []
    caption = (
        "Time with the default, or with the other value that is named, over time with the setting, "
        "other settings being equal: to the right of 1 the setting is faster. Settings that were "
        "only measured together share their gain equally. An interval across 1 decides nothing, "
        "and so does a gain without an interval; more pairs would."
    )
    if info.left_out:
        caption += f" {info.left_out} more are only in the tables."
    return [
        PageFigure(
            "Effect of each setting",
            caption,
            effects_figure(info),
            alt=effects_sentence(info) or "No setting has a sure effect.",
        )
    ]


def _importance_figures(records: Sequence[Record]) -> list[PageFigure]:
    info = importance_info(importance(records))
    # A single knob has all of the importance.
    if info is None or len(info.rows) < 2:
        return []
    best = percent_text(BEST_SHARE)
    how = (
        f"PED-ANOVA: how much the values of the knob in the fastest {best} of all configurations "
        "differ from those in all of them"
        if info.method == PED_ANOVA
        else "the effect of the knob from its best value to its worst, as a share of those of all "
        f"knobs (PED-ANOVA needs Optuna and {CONFIGURATIONS_LEAST} configurations)"
    )
    caption = (
        f"The percentage is {how}. Dots are the time with the default over the time with the best "
        "value that was measured, other settings being equal."
    )
    first = info.rows[0]
    alt = f"Most important: {first.knob}, with a share of {percent_text(first.share)}."
    figure = importance_figure(info)
    return [PageFigure("Importance of each knob", caption, figure, alt=alt)]


def _interaction_figures(records: Sequence[Record]) -> list[PageFigure]:
    info = interactions_info(interactions(records))
    if info is None:
        return []
    caption = (
        "Gain of both settings together over the product of their separate gains, where all four "
        "combinations were measured, other settings being equal. At 1 they do not depend on each "
        "other. Lines reach from the smallest to the largest of several such squares."
    )
    if info.left_out:
        caption += f" {info.left_out} weaker ones are not shown."
    first = info.rows[0]
    return [
        PageFigure(
            "Interactions",
            caption,
            interactions_figure(info),
            alt=f"Strongest: {first.name}, {first.ratio:.2f} times the product of both gains.",
        )
    ]


def _speedup_figures(drawn: Shortlist) -> list[PageFigure]:
    info = speedup_info(drawn.recommendation)
    if not any(row.speedup and row.status is not Status.STOCK for row in info.rows):
        return []
    caption = (
        "Ratios of interleaved passes, and the agreement with the float32 reference. Intervals "
        "are exact 95 % intervals from six or more pairs of fresh processes; ratios without an "
        "interval are from screening, or from too few pairs. Configurations with a cross are "
        "not recommended. Agreement is judged after few sampling steps: after hundreds, two "
        "correct programs give two samples by chaos, and what they share is the distribution "
        "over seeds (perfkit compare A B --structures)."
    )
    return [
        PageFigure(
            "Speed-up over stock",
            f"{caption} {drawn.sentence}".strip(),
            speedup_figure(info),
            alt=drawn.recommendation.sentence,
        )
    ]


def _parallel_figures(
    effects: Sequence[SettingEffect], recommendation: Recommendation
) -> list[PageFigure]:
    strongest = sorted(effects, key=lambda one: -abs(math.log(one.gain.median)))
    info = parallel_info(recommendation, [one.knob for one in strongest])
    if info is None:
        return []
    caption = (
        "Each line is a configuration: through its value of each knob, to its gain over stock at "
        "the right. Knobs with the largest effects are on the left."
    )
    if info.left_out:
        caption += f" Every n-th by its gain: {info.left_out} are not drawn."
    return [
        PageFigure(
            "All configurations at a glance",
            caption,
            parallel_figure(info),
            alt=f"The fastest is {info.lines[0].label}, {info.lines[0].gain:.2f} times stock.",
            least_width_px=PARALLEL_PX,
        )
    ]


def _memory_figures(recommendation: Recommendation, drawn: Shortlist) -> list[PageFigure]:
    figures = []
    points = time_memory_info(recommendation)
    if len(points.points) > 1:
        caption = "Lower left is better. The colour is the share of the CPUs in use."
        if len(points.front) > 1:
            caption += (
                " No configuration is surely better in time and memory than those on the line."
                if recommendation.front
                else " The line joins the configurations of which none has the lower median time "
                "and memory (Pareto front)."
            )
        seen = thinned_points(points)
        caption = f"{caption} {points_sentence(points, seen)}".strip()
        figures.append(PageFigure("Time against memory", caption, time_memory_figure(seen)))
    memory = memory_info(drawn.recommendation)
    if memory.rows:
        caption = "Largest resident set of the process tree in any trial, including compilation."
        figures.append(PageFigure("Peak memory", caption, memory_figure(memory)))
    return figures
