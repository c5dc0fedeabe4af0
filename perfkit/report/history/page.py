"""The page of asv results: every benchmark over the commits, and its regressions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from perfkit.history.asv_results import AsvResult
from perfkit.history.series import Jump, Series, series_of_results
from perfkit.history.snapshot import Kind
from perfkit.report.facts import skipped_warnings
from perfkit.report.figures.history import history_figure, history_info, jump_text
from perfkit.report.page import Facts, PageContent, PageFigure, PageSection, render_page
from perfkit.units import count_text

HEADINGS = {
    Kind.ANSWER: "Answers",
    Kind.TIME: "Times",
    Kind.MEMORY: "Memory",
    Kind.OTHER: "Other quantities",
}

CAPTION = "Dots are commits; lines are the levels that asv's step detection finds."


def history_page(results: Sequence[AsvResult], skipped: Sequence[str] = ()) -> str:
    """Render the page of asv results as a self-contained HTML document.

    Parameters
    ----------
    results
        Results by date of their commits, at least one.
    skipped
        One sentence per file that could not be read.
    """
    series = series_of_results(results)
    grouped: dict[Kind, dict[str, list[Series]]] = defaultdict(lambda: defaultdict(list))
    for line in series:
        grouped[line.kind][line.benchmark].append(line)
    commits = dict.fromkeys(result.commit[:8] for result in results)
    first, last = next(iter(commits)), next(reversed(commits))
    return render_page(
        PageContent(
            title="Regression history",
            subtitle=f"{count_text(len(commits), 'commit')}, {first} to {last}",
            sentence=_sentence(series),
            warnings=(
                *(_jump_sentence(line, jump) for line in series for jump in line.jumps),
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
    jumps = [(line.kind, jump) for line in series for jump in line.jumps]
    lost = sum(jump.new is None for _, jump in jumps)
    changed = Counter(kind for kind, jump in jumps if jump.new is not None)
    counts = [
        (lost, "lost measurement"),
        (changed[Kind.ANSWER], "numerical change"),
        (changed[Kind.TIME], "slowdown"),
        (changed[Kind.MEMORY], "growth of memory"),
    ]
    found = [f"{count} x {event}" for count, event in counts if count]
    return f"Found: {', '.join(found)}." if found else "No regression in any benchmark."


def _jump_sentence(series: Series, jump: Jump) -> str:
    event = "the answer changed: " if series.kind is Kind.ANSWER else ""
    if jump.new is None:
        event = "the answer is lost: " if series.kind is Kind.ANSWER else "lost: "
    name = series.benchmark + (f" ({series.parameters})" if series.parameters else "")
    return (
        f"{event}{name} on {series.machine}: {jump_text(series, jump.old, jump.new)} "
        f"between {jump.before[:8]} and {jump.after[:8]}"
    )


def _facts(results: Sequence[AsvResult]) -> tuple[Facts, ...]:
    """One group of facts per machine and version of jaxlib."""
    groups: dict[str, tuple[tuple[str, str], ...]] = {}
    for result in results:
        metadata = result.snapshot.metadata
        names = [metadata.get("machine", ""), metadata.get("jaxlib", "")]
        groups[", ".join(filter(None, names))] = tuple(metadata.items())
    return tuple(Facts(heading, entries) for heading, entries in groups.items())
