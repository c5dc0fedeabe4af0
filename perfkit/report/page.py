"""The page: its content as data, and that data as one self-contained HTML document."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from urllib.parse import quote

import plotly.graph_objects as go
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from perfkit.report.plain_table import PlainTable
from perfkit.report.standing import Standing
from perfkit.report.tables import HEADERS, TableRow

# The bar of buttons covers legends, and one of them would send the data to a server.
PLOT_OPTIONS = {"displayModeBar": False, "displaylogo": False, "responsive": True}


@dataclass(frozen=True)
class PageFigure:
    """A figure with its heading and a sentence that says how to read it."""

    heading: str
    caption: str
    figure: go.Figure


@dataclass(frozen=True)
class PageLink:
    """A file beside the page: what it is, its relative path, and a word on it."""

    text: str
    path: str
    note: str = ""


@dataclass(frozen=True)
class PageSection:
    """Figures that belong together, and the table behind them.

    Parameters
    ----------
    heading
        Of the section.
    lead
        One sentence under the heading, empty for none.
    figures
        In order; an empty section shows nothing.
    table
        One row a configuration.
    plain
        Tables of any other kind, behind it.
    links
        Files beside the page, last.
    """

    heading: str
    lead: str = ""
    figures: tuple[PageFigure, ...] = ()
    table: tuple[TableRow, ...] = ()
    plain: tuple[PlainTable, ...] = ()
    links: tuple[PageLink, ...] = ()


@dataclass(frozen=True)
class Facts:
    """Names and values under a heading, e.g. the machine's."""

    heading: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PageContent:
    """All that stands on the page, as plain text and figures; nothing is escaped yet.

    Parameters
    ----------
    title, subtitle
        What was measured, and when.
    sentence
        The recommendation in one sentence, empty for none.
    settings
        Knob names and values of the recommended configuration.
    command
        How to apply it, empty where no preset was saved.
    production
        What a production prediction would take, one sentence a configuration.
    notices
        What a reader of any number must know.
    warnings
        What makes the measurements less trustworthy.
    facts
        Workload, machine, versions.
    sections
        Figures and tables.
    """

    title: str
    subtitle: str = ""
    sentence: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    command: str = ""
    production: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    facts: tuple[Facts, ...] = ()
    sections: tuple[PageSection, ...] = field(default=())


def render_page(content: PageContent) -> str:
    """The content as one HTML document that loads nothing: styles and plotly.js are inside."""
    style = resources.files("perfkit.report").joinpath("page.css").read_text(encoding="utf-8")
    plots = any(section.figures for section in content.sections)
    body = "\n".join(
        part
        for part in (
            _element("h1", _text(content.title)),
            _element("p", _text(content.subtitle), "subtitle") if content.subtitle else "",
            _notices(content.notices),
            _recommendation(content),
            _warnings(content.warnings),
            _facts(content.facts),
            *_sections(content.sections),
        )
        if part
    )
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            _element("title", _text(content.title)),
            _element("style", style),
            _element("script", get_plotlyjs()) if plots else "",
            "</head>",
            _element("body", _element("main", body)),
            "</html>",
            "",
        )
    )


def _text(text: str) -> str:
    return html.escape(text)


def _element(tag: str, inner: str, css_class: str = "") -> str:
    """An element around ``inner``, which is HTML already."""
    attribute = f' class="{css_class}"' if css_class else ""
    return f"<{tag}{attribute}>{inner}</{tag}>"


def _paragraphs(texts: Iterable[str]) -> str:
    return "".join(_element("p", _text(text)) for text in texts)


def _notices(notices: Sequence[str]) -> str:
    return _element("div", _paragraphs(notices), "notices") if notices else ""


def _recommendation(content: PageContent) -> str:
    inner = ""
    if content.sentence:
        inner += _element("p", _text(content.sentence), "sentence")
    if content.settings:
        inner += _definitions(content.settings)
    if content.command:
        inner += _element("p", "Apply it to any command:")
        inner += _element("pre", _text(content.command))
    inner += _paragraphs(content.production)
    return _element("section", inner, "recommendation") if inner else ""


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(_element("li", _text(warning)) for warning in warnings)
    return _element("div", "<strong>Read with care</strong>" + _element("ul", items), "warnings")


def _definitions(entries: Sequence[tuple[str, str]]) -> str:
    return _element(
        "dl",
        "".join(
            _element("dt", _text(name)) + _element("dd", _text(value)) for name, value in entries
        ),
    )


def _facts(facts: Sequence[Facts]) -> str:
    groups = [
        _element("section", _element("h3", _text(group.heading)) + _definitions(group.entries))
        for group in facts
        if group.entries
    ]
    return _element("div", "".join(groups), "facts") if groups else ""


def _sections(sections: Sequence[PageSection]) -> list[str]:
    parts: list[str] = []
    drawn = 0
    for section in sections:
        if not (section.figures or section.table or section.plain or section.links):
            continue
        parts.append(_element("h2", _text(section.heading)))
        if section.lead:
            parts.append(_element("p", _text(section.lead), "lead"))
        for figure in section.figures:
            drawn += 1
            parts.append(_figure(figure, f"figure-{drawn}"))
        if section.table:
            parts.append(_table(section.table))
        parts += [_plain_table(table) for table in section.plain]
        if section.links:
            parts.append(_element("ul", "".join(map(_link, section.links))))
    return parts


def _figure(figure: PageFigure, identifier: str) -> str:
    plot = to_html(
        figure.figure,
        config=PLOT_OPTIONS,
        include_plotlyjs=False,
        full_html=False,
        div_id=identifier,
    )
    return _element(
        "figure",
        _element("h3", _text(figure.heading))
        + _element("p", _text(figure.caption), "caption")
        + plot,
    )


def _table(rows: Sequence[TableRow]) -> str:
    head = _row("th", HEADERS)
    body = "\n".join(_table_row(row) for row in rows)
    table = _element("table", _element("thead", head) + _element("tbody", body))
    return _element("h3", "All configurations") + _element("div", table, "scroll")


def _link(link: PageLink) -> str:
    address = html.escape(quote(link.path), quote=True)
    note = f" ({_text(link.note)})" if link.note else ""
    return _element("li", f'<a href="{address}">{_text(link.text)}</a>{note}')


def _plain_table(table: PlainTable) -> str:
    head = _row("th", table.headers)
    body = "\n".join(_row("td", row) for row in table.rows)
    drawn = _element("table", _element("thead", head) + _element("tbody", body))
    return _element("h3", _text(table.heading)) + _element("div", drawn, "scroll")


def _row(tag: str, cells: Iterable[str]) -> str:
    return _element("tr", "".join(_element(tag, _text(cell)) for cell in cells))


def _table_row(row: TableRow) -> str:
    first, *others = (_text(cell) for cell in row.cells)
    if row.standing is not Standing.STOCK:
        first = _element("span", _text(row.standing.value), "word") + first
    cells = "".join(_element("td", cell) for cell in (first, *others))
    return _element("tr", cells, row.standing.name.lower())
