"""The page of a fit: its laws, their figures, and how far they were off."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.capacity.laws.assemble import MEMORY, TIME
from perfkit.capacity.laws.fit import ModelFit
from perfkit.records.schema import Record
from perfkit.report import facts
from perfkit.report.figures.capacity.held_out import held_out_figure, held_out_info
from perfkit.report.figures.capacity.laws import laws_figure, laws_info
from perfkit.report.fit_tables import accuracy_table, fit_sentence, law_table
from perfkit.report.page import PageContent, PageFigure, PageSection, render_page


def fit_page(fit: ModelFit, records: Sequence[Record]) -> str:
    """One self-contained HTML document.

    Parameters
    ----------
    records
        That the fit was made of.
    """
    ordered = sorted(records, key=lambda record: record.created)
    laws = PageFigure(
        "Time of each part over size",
        "Lines are the laws, dots the trials; right of the dotted line is extrapolated.",
        laws_figure(laws_info(fit, ordered)),
    )
    return render_page(
        PageContent(
            title=f"scaling laws of {fit.model}",
            subtitle=fit_sentence(fit),
            settings=tuple(fit.settings.items()),
            notices=facts.notices(ordered),
            warnings=facts.warnings(ordered),
            facts=(facts.machine_facts(ordered), facts.version_facts(ordered)),
            sections=(
                PageSection("Laws", figures=(laws,), plain=(law_table(fit),)),
                held_out_section(fit),
            ),
        )
    )


def held_out_section(fit: ModelFit) -> PageSection:
    """How far predictions were off of runs that the fit had not seen; empty where none were."""
    if not fit.held_out:
        return PageSection("Accuracy")
    figures = tuple(
        PageFigure(
            f"Error of predicted {quantity}",
            "Runs that the fit had not seen, with the interval that is meant to hold nine in ten.",
            held_out_figure(held_out_info(fit, quantity)),
        )
        for quantity in (TIME, MEMORY)
    )
    return PageSection(f"Accuracy, {fit.model}", figures=figures, plain=(accuracy_table(fit),))
