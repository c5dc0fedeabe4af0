"""The page of a fit: its scaling laws, their figures and their accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.capacity.laws.assemble import MEMORY, TIME
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.observation import observations
from perfkit.capacity.laws.prediction import COVERAGE
from perfkit.records.schema import Record
from perfkit.report import facts
from perfkit.report.figures.capacity.held_out import held_out_figure, held_out_info
from perfkit.report.figures.capacity.laws import laws_figure, laws_info
from perfkit.report.fit_tables import accuracy_table, fit_sentence, law_table, shallow_sentence
from perfkit.report.page import PageContent, PageFigure, PageSection, render_page
from perfkit.units import percent_text


def fit_page(fit: ModelFit, records: Sequence[Record]) -> str:
    """Render the page of a fit as a self-contained HTML document.

    Parameters
    ----------
    fit
        The fitted laws of one model.
    records
        Records that the laws were fitted to.
    """
    ordered = sorted(records, key=lambda record: record.created)
    laws = PageFigure(
        "Time of each part against size",
        "Lines are the laws, dots the trials. Right of the dotted line, the laws are extrapolated.",
        laws_figure(laws_info(fit, observations(ordered))),
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
                PageSection(
                    "Laws",
                    lead=shallow_sentence(fit),
                    figures=(laws,),
                    plain=(law_table(fit),),
                ),
                held_out_section(fit),
            ),
        )
    )


def held_out_section(fit: ModelFit) -> PageSection:
    """Accuracy of predictions for runs that were held out of the fit; empty without such runs."""
    if not fit.held_out:
        return PageSection("Accuracy")
    interval = f"{percent_text(COVERAGE)} interval of the prediction"
    caption = f"Runs that were held out of the fit, with the {interval}."
    figures = tuple(
        PageFigure(
            f"Error of predicted {quantity}",
            caption,
            held_out_figure(held_out_info(fit, quantity)),
        )
        for quantity in (TIME, MEMORY)
    )
    return PageSection(f"Accuracy, {fit.model}", figures=figures, plain=(accuracy_table(fit),))
