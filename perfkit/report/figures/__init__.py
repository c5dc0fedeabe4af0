"""One module a figure: ``*_info`` gives its data, ``*_figure`` draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import plotly.graph_objects as go

from perfkit.records.schema import Record
from perfkit.report.figures.stages import stages_figure, stages_info

FIGURES: Mapping[str, Callable[[Sequence[Record]], go.Figure]] = {
    "stages": lambda records: stages_figure(stages_info(records)),
}
"""Figures of records by name."""
