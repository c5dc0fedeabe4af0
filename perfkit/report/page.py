"""The page as data, and its rendering as one self-contained HTML document.

Templates lie in ``templates/``. They escape every text, so nothing in a record becomes markup.
"""

from __future__ import annotations

import itertools
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
    """

    heading: str
    caption: str
    figure: go.Figure


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
        Links to files, at the end of the section.
    """

    heading: str
    lead: str = ""
    figures: tuple[PageFigure, ...] = ()
    table: tuple[TableRow, ...] = ()
    plain: tuple[PlainTable, ...] = ()
    links: tuple[PageLink, ...] = ()

    @property
    def has_content(self) -> bool:
        """Whether there is anything to show. A section without content is left out of the page."""
        return bool(self.figures or self.table or self.plain or self.links)


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
    settings
        Knob names and values of the recommended configuration.
    command
        Command that applies the preset; empty if no preset was saved.
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
    settings: tuple[tuple[str, str], ...] = ()
    command: str = ""
    production: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    facts: tuple[Facts, ...] = ()
    sections: tuple[PageSection, ...] = ()


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

    def plot(figure: go.Figure) -> Markup:
        return _plot(figure, f"figure-{next(numbers)}")

    has_figures = any(section.figures for section in sections)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            content=content,
            facts=[group for group in content.facts if group.entries],
            sections=sections,
            plot=plot,
            # The library itself is the one script that must not be escaped.
            plotly_js=Markup(get_plotlyjs()) if has_figures else "",
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
