"""Draws maps of the first and last step of a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perfkit.models.gencast.forecast import DESCRIPTIONS, Forecast
from perfkit.models.gencast.task import ATMOSPHERIC_VARIABLES
from perfkit.packages import require_packages

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SHOWN = (("2m_temperature", None), ("mean_sea_level_pressure", None), ("geopotential", 500))
"""Variables of the maps, with the pressure level in hPa of an atmospheric variable."""

_MOST_COLUMNS = 180
"""Most longitudes of a map. A page has no more pixels for it; finer grids are thinned."""


class Map(NamedTuple):
    """One field at one step.

    Attributes
    ----------
    title
        Variable, level and valid time.
    unit
        Unit of ``values``.
    values
        The field, ``[lat, lon]``; NaN where a value is missing.
    lat, lon
        Coordinates of the grid in degrees.
    """

    title: str
    unit: str
    values: NDArray[np.float32]
    lat: NDArray[np.float32]
    lon: NDArray[np.float32]


def maps_info(forecast: Forecast) -> tuple[tuple[Map, ...], ...]:
    """Select the maps of a forecast.

    Returns
    -------
    tuple of tuple of Map
        One row per variable, with the first and last step of the first member (a single map if the
        forecast has one step).
    """
    thin = -(-len(forecast.lon) // _MOST_COLUMNS)
    last = forecast.seconds.shape[1] - 1
    rows = []
    for name, level in _SHOWN:
        row = []
        for step in sorted({0, last}):
            values = forecast.fields[name][0, 0, step]
            if name in ATMOSPHERIC_VARIABLES and level is not None:
                values = values[forecast.levels.index(level)]
            moment = np.datetime64(int(forecast.seconds[0, step]), "s").item()
            where = f" at {level} hPa" if level is not None else ""
            title = f"{DESCRIPTIONS[name].long_name}{where}, {moment:%Y-%m-%d %H:%M} UTC"
            thinned = values[::thin, ::thin]
            coordinates = forecast.lat[::thin], forecast.lon[::thin]
            row.append(Map(title, DESCRIPTIONS[name].units, thinned, *coordinates))
        rows.append(tuple(row))
    return tuple(rows)


def maps_figure(info: tuple[tuple[Map, ...], ...], notices: Sequence[str] = ()) -> go.Figure:
    """Draw the maps in rows. Maps of one variable share a colour scale.

    Parameters
    ----------
    info
        Rows of maps, from :func:`maps_info`.
    notices
        Sentences that the title of the figure carries.

    Raises
    ------
    MissingDependencyError
        Plotly is not installed.
    """
    require_packages("drawing maps", ("plotly",))
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    columns = len(info[0])
    titles = [field.title for row in info for field in row]
    figure = make_subplots(rows=len(info), cols=columns, subplot_titles=titles)
    for number, row in enumerate(info, start=1):
        axis = f"coloraxis{number}"
        for column, field in enumerate(row, start=1):
            heatmap = go.Heatmap(x=field.lon, y=field.lat, z=field.values, coloraxis=axis)
            figure.add_trace(heatmap, row=number, col=column)
        middle = 1 - (number - 0.5) / len(info)
        bar = {"title": row[0].unit, "len": 0.9 / len(info), "y": middle}
        figure.update_layout({axis: {"colorscale": "Viridis", "colorbar": bar}})
    figure.update_xaxes(title_text="longitude, degrees east", row=len(info))
    figure.update_yaxes(title_text="latitude", col=1)
    title = {"text": "<br>".join(("GenCast forecast", *notices)), "font_size": 14}
    figure.update_layout(
        height=320 * len(info) + 60, width=560 * columns + 140, title=title, margin_t=140
    )
    return figure


def write_maps(forecast: Forecast, path: Path) -> None:
    """Write the maps as one HTML page that works without a network."""
    maps_figure(maps_info(forecast), forecast.notices).write_html(path, include_plotlyjs=True)
