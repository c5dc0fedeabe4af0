"""The page of asv results: each benchmark over the commits, and what jumped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from perfkit.history.asv_results import AsvResult
from perfkit.history.course import Jump, Series, series_of_results
from perfkit.history.snapshot import Kind
from perfkit.report.facts import skipped_warnings
from perfkit.report.figures.history import history_figure, history_info, jump_text
from perfkit.report.page import Facts, PageContent, PageFigure, PageSection, render_page

HEADINGS = {
    Kind.ANSWER: "Answers",
    Kind.TIME: "Times",
    Kind.MEMORY: "Memory",
    Kind.OTHER: "Everything else",
}

CAPTION = "Dots are commits, lines the levels that asv's step detection finds."


def history_page(results: Sequence[AsvResult], skipped: Sequence[str] = ()) -> str:
    """The page of results, at least one, in order of their commits' dates.

    Parameters
    ----------
    results
        What could be read.
    skipped
        A sentence for each file that could not be.
    """
    series = series_of_results(results)
    grouped: dict[Kind, dict[str, list[Series]]] = defaultdict(lambda: defaultdict(list))
    for one in series:
        grouped[one.kind][one.benchmark].append(one)
    commits = dict.fromkeys(result.commit[:8] for result in results)
    first, last = next(iter(commits)), next(reversed(commits))
    several = "s" if len(commits) > 1 else ""
    return render_page(
        PageContent(
            title="Regression history",
            subtitle=f"{len(commits)} commit{several}, {first} to {last}",
            sentence=_sentence(series),
            warnings=(
                *(_jump_sentence(one, jump) for one in series for jump in one.jumps),
                *skipped_warnings("file", skipped),
            ),
            facts=_facts(results),
            sections=tuple(
                PageSection(
                    HEADINGS[kind],
                    figures=tuple(
                        PageFigure(name, CAPTION, history_figure(history_info(own)))
                        for name, own in grouped[kind].items()
                    ),
                )
                for kind in HEADINGS
            ),
        )
    )


def _sentence(series: Sequence[Series]) -> str:
    lost = sum(jump.new is None for one in series for jump in one.jumps)
    jumps = {
        kind: sum(jump.new is not None for one in series if one.kind is kind for jump in one.jumps)
        for kind in Kind
    }
    told = [
        (lost, "lost measurement"),
        (jumps[Kind.ANSWER], "numerical change"),
        (jumps[Kind.TIME], "slowdown"),
        (jumps[Kind.MEMORY], "growth of memory"),
    ]
    found = [f"{count} x {what}" for count, what in told if count]
    return f"Found: {', '.join(found)}." if found else "No step up in any benchmark."


def _jump_sentence(series: Series, jump: Jump) -> str:
    what = "the answer changed: " if series.kind is Kind.ANSWER else ""
    if jump.new is None:
        what = "the answer is lost: " if series.kind is Kind.ANSWER else "lost: "
    name = series.benchmark + (f" ({series.parameters})" if series.parameters else "")
    return (
        f"{what}{name} on {series.place}: {jump_text(series, jump.old, jump.new)} "
        f"between {jump.before[:8]} and {jump.after[:8]}"
    )


def _facts(results: Sequence[AsvResult]) -> tuple[Facts, ...]:
    """One table a setting; several jaxlib builds or machines are several tables."""
    settings: dict[str, tuple[tuple[str, str], ...]] = {}
    for result in results:
        told = result.snapshot.setting
        heading = ", ".join(filter(None, [told.get("machine", ""), told.get("jaxlib", "")]))
        settings[heading] = tuple(told.items())
    return tuple(Facts(heading, entries) for heading, entries in settings.items())
