"""Parallel coordinates of a large study: every configuration as a line through its settings.

The lines are drawn as SVG. Plotly's own parallel coordinates need WebGL, which remote desktops and
printers often lack.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from perfkit.report.style import BLUE, GREY, ORANGE, PALE, SKY, shortened, styled
from perfkit.tuning.choice.recommend import Recommendation

LEAST_CONFIGURATIONS = 20
"""Fewer configurations are easier to read as a table."""

LEAST_KNOBS = 3

MOST_KNOBS = 8
"""Most axes of knobs: more do not fit on a page."""

MOST_LINES = 400
"""Most configurations. Of a larger study, every n-th by its gain is drawn."""

COLOURS = (BLUE, SKY, GREY, ORANGE)
"""Colours of the quarters of the configurations, the fastest first."""

JITTER = 0.05
"""Height over which the lines through one value are spread, as a share of the axis."""

VALUE_WIDTH = 16
"""Most characters of a value or of the name of a knob."""

DEFAULT = "default"


class ParallelLine(NamedTuple):
    """One configuration.

    Attributes
    ----------
    label
        Label of the configuration.
    values
        Value of each knob; :data:`DEFAULT` where it is not set.
    gain
        Time of stock over that of the configuration.
    """

    label: str
    values: tuple[str, ...]
    gain: float


class ParallelInfo(NamedTuple):
    """Data of the figure.

    Attributes
    ----------
    knobs
        The knobs with most values first, at most :data:`MOST_KNOBS`.
    lines
        Configurations, the fastest first.
    left_out
        Number of configurations that are not drawn.
    """

    knobs: tuple[str, ...]
    lines: tuple[ParallelLine, ...]
    left_out: int


def parallel_info(
    recommendation: Recommendation, order: Sequence[str] = (), most: int = MOST_LINES
) -> ParallelInfo | None:
    """The lines of a large study; None for a study with few configurations or knobs.

    Parameters
    ----------
    recommendation
        Its rows with a speed-up are drawn.
    order
        Names of knobs, the most important first; others follow by name.
    most
        Most lines.
    """
    rows = [row for row in recommendation.rows if row.speedup is not None]
    set_somewhere = {name for row in rows for name in row.settings}
    varied = [
        name
        for name in dict.fromkeys((*order, *sorted(set_somewhere)))
        if len({row.settings.get(name) for row in rows}) > 1
    ][:MOST_KNOBS]
    if len(rows) < LEAST_CONFIGURATIONS or len(varied) < LEAST_KNOBS:
        return None
    lines = sorted(
        (
            ParallelLine(
                row.label,
                tuple(row.settings.get(name, DEFAULT) for name in varied),
                row.speedup.median,
            )
            for row in rows
            if row.speedup is not None
        ),
        key=lambda line: -line.gain,
    )
    step = -(-len(lines) // most)
    kept = tuple(lines[::step])
    return ParallelInfo(tuple(varied), kept, len(lines) - len(kept))


def parallel_figure(info: ParallelInfo) -> go.Figure:
    """One axis per knob, and the gain on the last one. Colours are quarters by gain."""
    categories = [_categories(info, at) for at in range(len(info.knobs))]
    least, largest = info.lines[-1].gain, info.lines[0].gain
    reach = largest - least or 1.0
    quarter = -(-len(info.lines) // len(COLOURS))
    figure = go.Figure()
    # The fastest quarter is drawn last, on top of the others.
    for rank in reversed(range(len(COLOURS))):
        x: list[float | None] = []
        y: list[float | None] = []
        for number in range(rank * quarter, min((rank + 1) * quarter, len(info.lines))):
            line = info.lines[number]
            shift = JITTER * (0.5 - number / max(1, len(info.lines) - 1))
            heights = [
                _height(categories[at], value) + shift for at, value in enumerate(line.values)
            ]
            x += [*range(len(info.knobs) + 1), None]
            y += [*heights, (line.gain - least) / reach, None]
        if x:
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=y,
                    mode="lines",
                    line={"color": COLOURS[rank], "width": 1.2},
                    opacity=0.75,
                    name=("fastest quarter", "second", "third", "slowest")[rank],
                    hoverinfo="skip",
                )
            )
    styled(figure, 460)
    for at, values in enumerate(categories):
        for value in values:
            _add_text(figure, at, _height(values, value), shortened(value, VALUE_WIDTH))
    for share in (0.0, 0.5, 1.0):
        _add_text(figure, len(info.knobs), share, f"{least + share * (largest - least):.2f}x")
    names = [*(name.removeprefix("xla_") for name in info.knobs), "times as fast"]
    figure.update_xaxes(
        tickvals=list(range(len(names))),
        ticktext=["<br>".join(_lines(name)) for name in names],
        range=[-0.25, len(info.knobs) + 0.55],
        gridcolor=PALE,
        tickangle=0,
    )
    figure.update_yaxes(visible=False, range=[-0.08, 1.08])
    figure.update_layout(legend={"traceorder": "reversed"})
    return figure


def _categories(info: ParallelInfo, at: int) -> tuple[str, ...]:
    """The values on an axis from the bottom, the default first."""
    found = {line.values[at] for line in info.lines}
    return tuple(sorted(found, key=lambda value: (value != DEFAULT, value)))


def _height(values: Sequence[str], value: str) -> float:
    return values.index(value) / max(1, len(values) - 1)


def _add_text(figure: go.Figure, x: float, y: float, text: str) -> None:
    figure.add_annotation(
        x=x,
        y=y,
        text=text,
        showarrow=False,
        xanchor="left",
        xshift=4,
        font={"size": 11},
        bgcolor="rgba(255,255,255,0.75)",
        borderpad=1,
    )


def _lines(name: str) -> list[str]:
    """A name broken at underscores and blanks, as short lines."""
    lines = [""]
    for word in itertools.chain.from_iterable(part.split("_") for part in name.split(" ")):
        if lines[-1] and len(lines[-1]) + len(word) >= VALUE_WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [shortened(line, VALUE_WIDTH) for line in lines]
