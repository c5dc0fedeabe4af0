"""The comparison of versions of jaxlib as rows of text, for the terminal and for the page."""

from __future__ import annotations

from perfkit.report.page import PageSection
from perfkit.report.plain_table import NOTHING, PlainTable
from perfkit.report.status import agreement_text, outcome_text
from perfkit.tuning.versions.jaxlibs import JaxlibComparison, KnownAnswers, VersionRow
from perfkit.units import bytes_text, ratio_text, seconds_interval_text

HEADING = "Versions of jaxlib"


def jaxlib_table(comparison: JaxlibComparison) -> PlainTable:
    """One row per configuration and version."""
    headers = (
        "configuration",
        "jaxlib",
        "known answers",
        "agreement (distance)",
        "time",
        f"speed-up over {comparison.base}",
        "memory",
        "outcome",
    )
    rows = tuple(
        (
            each.configuration,
            each.jaxlib,
            known_text(comparison.known.get(each.jaxlib)),
            agreement_text(each.row),
            NOTHING if each.row.time_s is None else seconds_interval_text(each.row.time_s),
            _ratio_text(each, comparison.base),
            bytes_text(each.row.peak_rss_bytes) if each.row.peak_rss_bytes else NOTHING,
            outcome_text(each.row.outcome, each.row.reason),
        )
        for each in comparison.rows
    )
    return PlainTable(comparison.workload, headers, rows)


def known_text(answers: KnownAnswers | None) -> str:
    """How many known answers are right, and which are not."""
    if answers is None:
        return NOTHING
    if answers.healthy:
        return f"all {answers.total} right"
    return f"{len(answers.wrong)} of {answers.total} WRONG: {', '.join(answers.wrong)}"


def jaxlib_section(comparisons: tuple[JaxlibComparison, ...]) -> PageSection:
    """The section of a page; without content where nothing was compared."""
    lead = " ".join(each.sentence for each in comparisons)
    return PageSection(HEADING, lead=lead, plain=tuple(map(jaxlib_table, comparisons)))


def _ratio_text(row: VersionRow, base: str) -> str:
    if row.jaxlib == base or row.ratio is None:
        return NOTHING
    return ratio_text(row.ratio)
