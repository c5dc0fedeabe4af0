"""How time and memory of a study grow: by size, by CPUs, and by instances side by side."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.report.figures.scaling import (
    law_sentence,
    memory_scaling_figure,
    memory_scaling_info,
    scaling_figure,
    scaling_info,
)
from perfkit.report.figures.search.instances import instances_figure, instances_info
from perfkit.report.page import PageFigure, PageSection
from perfkit.report.selection import StudyRecords
from perfkit.tuning.choice.recommend import Recommendation


def scaling_section(
    studies: Sequence[StudyRecords], recommendation: Recommendation | None
) -> PageSection:
    """The figures for which there are data; without content for a single size and machine.

    Parameters
    ----------
    studies
        Records by workload.
    recommendation
        Recommendation of the study; None for a sweep.
    """
    records = [record for study in studies for record in study.full]
    figures = []
    info = scaling_info(records)
    if info is not None:
        figure = scaling_figure(info)
        caption = f"Dots are median steady times. {law_sentence(info)}".strip()
        if any(line.law is not None for line in info.lines):
            caption += (
                " Lines are power laws through the dots; bands hold a further measurement with a "
                "probability of 95 %, and need four dots."
            )
        if figure.layout.yaxis.type == "log":
            caption += " Both axes are logarithmic, so a power law is a straight line."
        figures.append(PageFigure(f"Time against {info.over}", caption, figure))
    memory = memory_scaling_info(records)
    if memory is not None:
        caption = "Largest resident set of the process tree in any trial, including compilation."
        figures.append(PageFigure("Memory against size", caption, memory_scaling_figure(memory)))
    instances = None if recommendation is None else instances_info(recommendation)
    if instances is not None:
        caption = (
            "Predictions of all instances of the recommended configuration together, each on CPUs "
            "of its own. A round counts as long as its slowest instance."
        )
        heading = "Throughput by number of instances"
        figures.append(PageFigure(heading, caption, instances_figure(instances)))
    return PageSection("Scaling", figures=tuple(figures))
