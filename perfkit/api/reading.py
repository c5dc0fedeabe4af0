"""Reads results of earlier calls: records as a data frame, presets, and figures of records."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.api.results import RunResult
from perfkit.api.studies.study_results import SweepResult, TuneResult
from perfkit.errors import unknown_name
from perfkit.records import store
from perfkit.records.schema import Record
from perfkit.tuning import preset

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

type Source = Path | str | RunResult | TuneResult | SweepResult | Sequence[Record]
"""Where records come from: a folder, a result, or the records themselves."""


def read_records(folder: Path | str) -> pd.DataFrame:
    """Read the records of a folder as a data frame, one row per trial.

    Parameters
    ----------
    folder
        Folder of a run, a tuning, a sweep or a fit.

    Returns
    -------
    pandas.DataFrame
        One row per trial, oldest first; the columns are those of
        :func:`perfkit.records.frame.read_frame`.

    Raises
    ------
    UserError
        The folder does not exist, or all its records were written by a newer perfkit.

    Examples
    --------
    >>> frame = perfkit.read_records("perfkit-results/sweep-af3")  # doctest: +SKIP
    >>> frame.groupby("configuration")["steady_s"].median()  # doctest: +SKIP
    """
    from perfkit.records.frame import read_frame

    return read_frame(Path(folder))


def load_preset(path: Path | str) -> preset.Preset:
    """Load a preset from a file.

    Parameters
    ----------
    path
        TOML file that ``perfkit tune`` wrote.

    Returns
    -------
    perfkit.tuning.preset.Preset
        The preset; its method ``environment()`` gives the variables to set before JAX is imported.

    Raises
    ------
    UserError
        The file cannot be read, is no preset, or names a knob or value that does not exist.

    Examples
    --------
    >>> os.environ.update(perfkit.load_preset("preset.toml").environment())  # doctest: +SKIP
    """
    return preset.load_preset(Path(path))


class _Figures(Mapping[str, Callable[[Source], "go.Figure"]]):
    """Figures of records by name; Plotly is imported when a name is looked up."""

    def __getitem__(self, name: str) -> Callable[[Source], go.Figure]:
        from perfkit.report.figures import FIGURES

        if name not in FIGURES:
            raise unknown_name("figure", name, FIGURES)
        draw = FIGURES[name]

        @functools.wraps(draw)
        def drawn(source: Source) -> go.Figure:
            return draw(records_of(source))

        return drawn

    def __contains__(self, name: object) -> bool:
        return any(name == known for known in self)

    def __iter__(self) -> Iterator[str]:
        from perfkit.report.figures import FIGURES

        return iter(FIGURES)

    def __len__(self) -> int:
        return sum(1 for _ in self)


figures: Mapping[str, Callable[[Source], go.Figure]] = _Figures()
"""Functions that draw a figure of records, by name.

Each takes a folder, a result or a sequence of records, and returns a Plotly figure.

Examples
--------
>>> list(perfkit.figures)  # doctest: +SKIP
>>> perfkit.figures["stages"]("perfkit-results/run-ubiquitin").show()  # doctest: +SKIP
"""


def records_of(source: Source) -> list[Record]:
    """The records of a folder or of a result.

    Raises
    ------
    UserError
        The folder does not exist.
    """
    if isinstance(source, str | Path):
        return store.read_records(Path(source))
    if isinstance(source, RunResult):
        return [source.record]
    if isinstance(source, TuneResult | SweepResult):
        return list(source.records)
    return list(source)
