"""Which configurations a recorded sweep has, and which of them can share a process."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence

from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.tuning.search.settings import process_settings
from perfkit.tuning.search.strategy import Change


def factor_values(changes: Iterable[Change], at_least: int) -> dict[str, tuple[str, ...]]:
    """Values of knobs whose combinations, with the defaults, are at least ``at_least``.

    The values are taken in the order of the search space, so that the knobs with the largest known
    gains come first.

    Parameters
    ----------
    changes
        Changes of a search space, most promising first. Changes of several knobs are left out.
    at_least
        Number of combinations; if the whole space has fewer, all values are taken.
    """
    values: dict[str, tuple[str, ...]] = {}
    for change in changes:
        if len(change) == 1 and math.prod(1 + len(own) for own in values.values()) < at_least:
            ((name, value),) = change
            values[name] = (*values.get(name, ()), value)
    return values


def factorial(
    catalogue: Catalogue, values: Mapping[str, Sequence[str]]
) -> tuple[Configuration, ...]:
    """Every combination of the values and the defaults, stock first.

    Raises
    ------
    UserError
        A knob is unknown or a value impossible.
    """
    choices = ([None, *own] for own in values.values())
    found = (
        catalogue.configuration(
            {name: value for name, value in zip(values, chosen, strict=True) if value is not None}
        )
        for chosen in itertools.product(*choices)
    )
    return tuple(dict.fromkeys(found))


def sample(
    configurations: Sequence[Configuration], count: int, seed: int = 0
) -> tuple[Configuration, ...]:
    """Stock, all single changes, and others that are chosen at random.

    Parameters
    ----------
    configurations
        All configurations.
    count
        Number of configurations to choose; all of them where there are fewer.
    seed
        Seed of the choice.
    """
    few = [one for one in configurations if len(one.settings) <= 1]
    others = [one for one in configurations if len(one.settings) > 1]
    random.Random(seed).shuffle(others)
    chosen = set([*few, *others][:count])
    return tuple(one for one in configurations if one in chosen)


def process_key(configuration: Configuration) -> tuple[str, ...]:
    """Settings that need a process of their own; configurations with equal keys can share one.

    It names settings and not environment variables, which depend on where a machine has its
    allocators.
    """
    return tuple(f"{name}={value}" for name, value in process_settings(configuration.settings))
