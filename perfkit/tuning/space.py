"""The search space of a tuning: what is tried on this machine, in order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.host import this_host
from perfkit.knobs.knob import Bundle, Host, Knob, Layer, Search
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.tuning.search.strategy import Change, SearchSpace


def search_space(
    model: Model,
    workload: Workload,
    catalogue: Catalogue,
    *,
    knobs: Sequence[str] | None = None,
    host: Host | None = None,
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
        Names of the knobs to search; by default all that are worth trying.
    host
        The machine; this one by default.

    Raises
    ------
    UserError
        A knob of ``knobs`` is unknown, or has no value that is worth trying.
    """
    host = this_host() if host is None else host
    searched = [(knob, knob.search) for knob in catalogue if knob.search is not None]
    searched.sort(key=lambda pair: pair[1].rank(host))
    values = {
        knob.name: [
            value
            for value in search.values_for(host)
            if knob.layer is not Layer.MODEL or model.worth_trying(workload, knob.name, value)
        ]
        for knob, search in searched
    }
    major = _members(searched, Bundle.MAJOR)
    bundles = [
        tuple((name, values[name][0]) for name in names if values[name])
        for names in (major, _members(searched, Bundle.MINOR))
    ]
    first = [(name, value) for name in major for value in values[name]]
    ranks = itertools.zip_longest(
        *([(name, value) for value in values[name]] for name in values if name not in major)
    )
    rest = [setting for rank in ranks for setting in rank if setting is not None]
    singles: list[Change] = [(setting,) for setting in [*first, *rest]]
    changes = (*(bundle for bundle in bundles if len(bundle) > 1), *singles)
    if knobs is not None:
        changes = _restricted(changes, {catalogue.knob(name).name for name in knobs})
    return SearchSpace(catalogue, changes)


def _members(searched: Sequence[tuple[Knob, Search]], bundle: Bundle) -> list[str]:
    return [knob.name for knob, search in searched if search.bundle is bundle]


def _restricted(changes: Sequence[Change], names: set[str]) -> tuple[Change, ...]:
    """The changes that set only the named knobs."""
    chosen = tuple(change for change in changes if names.issuperset(dict(change)))
    missing = sorted(names.difference(*(dict(change) for change in chosen)))
    if missing:
        raise UserError(
            f"knob {missing[0]!r} has no value that is worth trying here; leave it out, or "
            "measure values of your own with perfkit sweep"
        )
    return chosen
