"""The search space of a tuning: what is tried on this machine, in order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from perfkit.errors import UserError
from perfkit.knobs.availability import is_tried
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.host import this_host
from perfkit.knobs.installed_flags import lacking_flags
from perfkit.knobs.knob import Bundle, Host, Knob, Layer, Search
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.tuning.search.strategy import Change, SearchSpace

type SearchedKnobs = Sequence[str] | Mapping[str, Sequence[str]]
"""Names of knobs, or their canonical values by name; without values, those worth trying count."""


def search_space(
    model: Model,
    workload: Workload,
    catalogue: Catalogue,
    *,
    knobs: SearchedKnobs | None = None,
    widen: bool = False,
    host: Host | None = None,
    lacking: Callable[[tuple[str, ...]], Sequence[str]] = lacking_flags,
) -> SearchSpace:
    """The changes that are worth trying, most promising first.

    First come the bundles, which set one knob each of :class:`perfkit.knobs.knob.Bundle` to its
    first value: a step that fails is followed by the single changes. Then come the values of the
    knobs with large gains, and last those of all other knobs, the first value of each knob before
    the second value of any.

    Parameters
    ----------
    model, workload
        What is predicted; the model rules out values that make no difference to the workload.
    catalogue
        The knobs that may be set.
    knobs
        The knobs to search, with the values to try in this order, or without values for those that
        are worth trying. The default of a knob is always part of the search. By default, all knobs
        that are worth trying.
    widen
        Whether the knobs that are worth trying are searched in addition to ``knobs``.
    host
        The machine; this one by default.
    lacking
        Returns which of the given XLA flags the jaxlib in question does not have; by default for
        the installed one. They are never tried.

    Raises
    ------
    UserError
        A knob of ``knobs`` is unknown or a flag that jaxlib does not have, has no value to try, or
        has a value that is impossible for the workload or on this machine.
    """
    host = this_host() if host is None else host
    named = _named(catalogue, knobs)
    usual = [knob for knob in catalogue if knob.search is not None]
    extra = [knob for knob in named if knob not in usual]
    searched = sorted(usual, key=lambda knob: _search(knob).rank(host)) + extra
    absent = lacking(searched_flags(catalogue))
    matters = partial(model.worth_trying, workload)
    for knob in named:
        if knob.name in absent:
            raise UserError(f"knob {knob.name!r} cannot be set: the installed jaxlib lacks it")
    worth = {
        knob.name: [
            value
            for value in _search(knob).values
            if knob.name not in absent and is_tried(knob, value, host, matters)
        ]
        for knob in searched
    }
    values: dict[str, Sequence[str]] = dict(worth) if knobs is None or widen else {}
    for knob, given in named.items():
        values[knob.name] = _checked(model, workload, catalogue, knob, given, worth[knob.name])
    ordered = {knob.name: values[knob.name] for knob in searched if knob.name in values}
    bundles = {bundle: _members(searched, bundle, worth) for bundle in Bundle}
    return SearchSpace(catalogue, _changes(ordered, bundles))


def searched_flags(catalogue: Catalogue) -> tuple[str, ...]:
    """Names of the XLA flags that a search tries or that perfkit knows."""
    return tuple(knob.name for knob in catalogue if knob.layer is Layer.XLA)


def _members(
    searched: Sequence[Knob], bundle: Bundle, worth: Mapping[str, Sequence[str]]
) -> list[str]:
    """Names of the knobs of a bundle that are worth trying."""
    return [knob.name for knob in searched if _search(knob).bundle is bundle and worth[knob.name]]


def _changes(
    values: Mapping[str, Sequence[str]], bundles: Mapping[Bundle, Sequence[str]]
) -> tuple[Change, ...]:
    """The changes in the order in which they are tried, see :func:`search_space`.

    Parameters
    ----------
    values
        Values of each searched knob without its default, in the order of the knobs.
    bundles
        Names of the knobs of each bundle.
    """
    # A bundle of which some knobs are not searched would be another step.
    steps: list[Change] = [
        tuple((name, values[name][0]) for name in names)
        for names in bundles.values()
        if len(names) > 1 and all(values.get(name) for name in names)
    ]
    major = [name for name in bundles[Bundle.MAJOR] if name in values]
    first = [(name, value) for name in major for value in values[name]]
    ranks = itertools.zip_longest(
        *([(name, value) for value in values[name]] for name in values if name not in major)
    )
    rest = [setting for rank in ranks for setting in rank if setting is not None]
    return (*steps, *((setting,) for setting in [*first, *rest]))


_SET_BY_NAME = Search((), order=0)
"""How a search tries a knob that is set only by name: with the values that the user gives."""


def _search(knob: Knob) -> Search:
    return knob.search if knob.search is not None else _SET_BY_NAME


def _named(catalogue: Catalogue, knobs: SearchedKnobs | None) -> dict[Knob, Sequence[str]]:
    """The named knobs, with the values that the user gives."""
    given = knobs if isinstance(knobs, Mapping) else dict.fromkeys(knobs or (), ())
    return {catalogue.knob(name): values for name, values in given.items()}


def _checked(
    model: Model,
    workload: Workload,
    catalogue: Catalogue,
    knob: Knob,
    given: Sequence[str],
    worth: Sequence[str],
) -> Sequence[str]:
    """The values of a named knob that differ from its default.

    Raises
    ------
    UserError
        There are none, or one is impossible for the workload or on this machine.
    """
    if not given:
        if not worth:
            raise UserError(
                f"knob {knob.name!r} has no value that is worth trying here; leave it out, or "
                f"give values of your own, {knob.name}=VALUE"
            )
        return worth
    values = [value for value in given if value != knob.default]
    if not values:
        raise UserError(
            f"knob {knob.name!r} is given its default {knob.default!r} only, which every search "
            "starts from; give another value"
        )
    for value in values:
        configuration = catalogue.configuration({knob.name: value})
        configuration.ensure_possible()
        model.check(workload, configuration)
    return values
