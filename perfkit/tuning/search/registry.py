"""Search strategies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from perfkit.errors import unknown_name
from perfkit.tuning.search.coordinate_ascent import CoordinateAscent
from perfkit.tuning.search.enumerations import Grid, RandomSearch
from perfkit.tuning.search.gaussian_process import GaussianProcess
from perfkit.tuning.search.screen_tpe import ScreenTpe
from perfkit.tuning.search.strategy import Strategy

DEFAULT_STRATEGY = CoordinateAscent.name

STRATEGIES: Mapping[str, Callable[[], Strategy]] = {
    CoordinateAscent.name: CoordinateAscent,
    ScreenTpe.name: ScreenTpe,
    GaussianProcess.name: GaussianProcess,
    Grid.name: Grid,
    RandomSearch.name: RandomSearch,
}
"""Name to factory. A new strategy is a class that satisfies
:class:`perfkit.tuning.search.strategy.Strategy`, and one entry here."""


def make_strategy(name: str = DEFAULT_STRATEGY) -> Strategy:
    """The strategy called ``name``.

    Raises
    ------
    UserError
        There is no such strategy; the message names the nearest one.
    MissingDependencyError
        A package that the strategy needs is not installed.
    """
    if name not in STRATEGIES:
        raise unknown_name("strategy", name, STRATEGIES)
    return STRATEGIES[name]()
