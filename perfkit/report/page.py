"""The page as data, and its rendering as one self-contained HTML document.

Templates lie in ``templates/``. They escape every text, so nothing in a record becomes markup.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from perfkit.report.plain_table import PlainTable
from perfkit.report.tables import HEADERS, TableRow

PLOT_OPTIONS = {"displayModeBar": False, "displaylogo": False, "responsive": True}
"""Options of plotly.js. The mode bar covers legends, and one of its buttons uploads the data."""

ANSWER = "Answer"
"""Heading of the first section."""

LONG_CELL = 26
"""Characters from which the text of a cell may be wrapped; shorter ones stay on one line."""


@dataclass(frozen=True)
class PageFigure:
    """A figure with its heading and a caption.

    Attributes
    ----------
    heading
        Heading above the figure.
    caption
        One or two sentences on how to read the figure.
    figure
        The plotly figure.
    alt
        Description for readers who do not see the figure; the caption if empty.
    least_width_px
        Width below which the figure scrolls in its own box, in pixels; 0 if it fits a phone.
    """

    heading: str
    caption: str
    figure: go.Figure
    alt: str = ""
    least_width_px: int = 0


@dataclass(frozen=True)
class PageLink:
    """A link to a file next to the page.

    Attributes
    ----------
    text
        Text of the link.
    path
        Path relative to the page.
    note
        Remark in brackets after the link; empty for none.
    """

    text: str
    path: str
    note: str = ""


@dataclass(frozen=True)
class PageCommand:
    """A command to copy.

    Attributes
    ----------
    purpose
        What the command is for.
    text
        The command.
    note
        Remark below the command; empty for none.
    """

    purpose: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and values under a heading, for example those of the machine.

    Attributes
    ----------
    heading
        Heading of the group.
    entries
        Pairs of name and value; a group without entries is left out of the page.
    """

    heading: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PageSection:
    """Figures on one topic, followed by tables and links.

    Attributes
    ----------
    heading
        Heading of the section.
    lead
        One sentence under the heading; empty for none.
    figures
        Figures from top to bottom.
    table
        Table of configurations, one row per configuration; empty for none.
    plain
        Further tables, below the table of configurations.
    links
        Links to files.
    facts
        Groups of facts.
    parts
        Sections within this one, at its end.
    """

    heading: str
    lead: str = ""
    figures: tuple[PageFigure, ...] = ()
    table: tuple[TableRow, ...] = ()
    plain: tuple[PlainTable, ...] = ()
    links: tuple[PageLink, ...] = ()
    facts: tuple[Facts, ...] = ()
    parts: tuple[PageSection, ...] = ()

    @property
    def has_content(self) -> bool:
        """Whether there is anything to show. A section without content is left out of the page."""
        own = (self.figures, self.table, self.plain, self.links)
        return any(own) or bool(self.shown_facts or self.shown_parts)

    @property
    def shown_facts(self) -> tuple[Facts, ...]:
        """The groups of facts with entries."""
        return tuple(group for group in self.facts if group.entries)

    @property
    def shown_parts(self) -> tuple[PageSection, ...]:
        """The sections within this one that have content."""
        return tuple(part for part in self.parts if part.has_content)

    @property
    def has_figures(self) -> bool:
        """Whether this section or one within it has a figure."""
        return bool(self.figures) or any(part.has_figures for part in self.shown_parts)


@dataclass(frozen=True)
class PageContent:
    """Everything on the page, as plain text and figures. The template escapes the text.

    Attributes
    ----------
    title
        Title of the page.
    subtitle
        Line under the title, for example the number of trials and their dates.
    sentence
        The recommendation in one sentence; empty for none.
    verdict
        Whether this machine will do, in one sentence; empty for none.
    sides
        Table of stock and of the recommended configuration next to each other, or None.
    settings
        Knob names and values of the recommended configuration.
    commands
        Commands to copy, for example those that apply the preset.
    production
        Sentences below the recommendation, for example the production time per configuration.
    notices
        Notices that concern every number on the page, for example that weights are synthetic.
    warnings
        Circumstances that make the measurements less trustworthy.
    facts
        Groups of facts: workload, machine, versions.
    sections
        Sections from top to bottom.
    """

    title: str
    subtitle: str = ""
    sentence: str = ""
    verdict: str = ""
    sides: PlainTable | None = None
    settings: tuple[tuple[str, str], ...] = ()
    commands: tuple[PageCommand, ...] = ()
    production: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    facts: tuple[Facts, ...] = ()
    sections: tuple[PageSection, ...] = ()

    @property
    def has_answer(self) -> bool:
        """Whether there is anything in the first section of the page."""
        texts = (self.sentence, self.verdict, self.settings, self.commands, self.production)
        return self.sides is not None or any(texts)


def anchors(headings: Sequence[str]) -> tuple[str, ...]:
    """Names of the anchors of headings: their words in lower case, joined by hyphens.

    A name that an earlier heading has already gets a number, and so has one without any letter.
    """
    found: list[str] = []
    for heading in headings:
        name = "-".join(re.findall(r"[a-z0-9]+", heading.lower())) or "section"
        number = 1
        while (chosen := name if number == 1 else f"{name}-{number}") in found:
            number += 1
        found.append(chosen)
    return tuple(found)


def render_page(content: PageContent) -> str:
    """Render the page as one HTML document that loads nothing: CSS and plotly.js are inside.

    Parameters
    ----------
    content
        Content of the page; its texts are not escaped yet.

    Returns
    -------
    str
        The HTML document. Figures have the identifiers ``figure-1``, ``figure-2``, ...
    """
    sections = [section for section in content.sections if section.has_content]
    numbers = itertools.count(1)
    names = anchors([ANSWER, *(section.heading for section in sections)])

    def plot(figure: PageFigure) -> Markup:
        return _plot(figure.figure, f"figure-{next(numbers)}")

    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            content=content,
            facts=[group for group in content.facts if group.entries],
            answer=ANSWER,
            sections=list(zip(sections, names[1:], strict=True)),
            plot=plot,
            # The library itself is the one script that must not be escaped.
            plotly_js=Markup(get_plotlyjs()) if any(s.has_figures for s in sections) else "",
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("perfkit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["configuration_headers"] = HEADERS
    environment.globals["long_cell"] = LONG_CELL
    return environment


def _plot(figure: go.Figure, identifier: str) -> Markup:
    """The figure as HTML. plotly escapes markup in its data, so ``</script>`` is harmless."""
    return Markup(
        to_html(
            figure,
            config=PLOT_OPTIONS,
            include_plotlyjs=False,
            full_html=False,
            div_id=identifier,
        )
    )
