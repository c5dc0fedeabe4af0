"""The domain guard: wraps a function so that rounding cannot make it NaN, and nothing is hidden.

Operands of domain-limited primitives (:data:`perfkit.guard.analysis.rules.DOMAINS`) that lie
outside their domain *by rounding* are lifted to its edge. What counts as rounding follows from
where the operand comes from: a difference may be off by what rounding its terms, and what they
were made of, may have done. Each lift is counted. What is outside by more than that stays, and
becomes the NaN that it is.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from perfkit.guard.analysis.structure import opened
from perfkit.guard.analysis.traits import Trait
from perfkit.guard.interpreter import evaluate
from perfkit.guard.planner import Planner, Site, closed_sites


@dataclasses.dataclass(frozen=True)
class SiteCount:
    """How often one guarded equation was lifted.

    Attributes
    ----------
    site
        The equation.
    lifted
        Elements that were outside of the domain by rounding and were put on its edge.
    zeroed
        Elements that were positive by rounding only and became zero (``zero_rounding``).
    """

    site: Site
    lifted: int
    zeroed: int

    def as_dict(self) -> dict[str, str | int]:
        """The count as plain data for JSON."""
        return {**self.site.as_dict(), "lifted": self.lifted, "zeroed": self.zeroed}


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["counts"], meta_fields=["sites", "closed"]
)
@dataclasses.dataclass(frozen=True)
class GuardReport:
    """What the guard did in one call: an auxiliary output that passes through transformations.

    Attributes
    ----------
    counts
        int32 of shape ``(..., sites, 2)``: elements lifted and elements zeroed; under ``vmap``
        with the mapped axes in front. A count wraps around at 2**31.
    sites
        The guarded equations, known from tracing alone.
    closed
        Equations that the guard cannot enter, though something in them has a domain.
    """

    counts: Array
    sites: tuple[Site, ...]
    closed: tuple[Site, ...] = ()

    def is_ready(self) -> bool:
        """Whether the counts are there, so that reading them waits for nothing."""
        asked: Any = getattr(self.counts, "is_ready", None)
        return asked is None or bool(asked())

    def rows(self) -> tuple[SiteCount, ...]:
        """The counts of every guarded equation, summed over mapped axes."""
        counts = np.asarray(self.counts, np.int64)
        totals = counts.sum(axis=tuple(range(counts.ndim - 2)))
        return tuple(
            SiteCount(site, int(lifted), int(zeroed))
            for site, (lifted, zeroed) in zip(self.sites, totals, strict=True)
        )

    def as_dict(self) -> dict[str, object]:
        """The report as plain data for JSON: totals, and the equations that were lifted."""
        return summary(self.rows())


def summary(rows: tuple[SiteCount, ...]) -> dict[str, object]:
    """Counts as plain data for JSON: totals, and only the equations that were touched."""
    return {
        "guarded_equations": len(rows),
        "lifted": sum(row.lifted for row in rows),
        "zeroed": sum(row.zeroed for row in rows),
        "sites": [row.as_dict() for row in rows if row.lifted or row.zeroed],
    }


def guard[Result](
    function: Callable[..., Result], *, enabled: bool = True, zero_rounding: bool = False
) -> Callable[..., tuple[Result, GuardReport]]:
    """Wrap a function of arrays so that rounding cannot take an operand out of its domain.

    Parameters
    ----------
    function
        Any function that JAX can trace. Arguments that are not arrays (also Python numbers)
        are passed on as they are and may steer its control flow.
    enabled
        False leaves the function as it is; the report is then empty.
    zero_rounding
        Take differences that are rounding in either direction for exactly zero where they feed
        a square root or a power, also through a clamp: exact arithmetic adds nothing there,
        while a positive residue would stay in as noise. What the program itself adds to the
        difference stays, and so do residues that something is divided by. Both directions are
        counted.

    Returns
    -------
    Callable
        ``function`` with the same arguments; it returns the result and a
        :class:`GuardReport`. Wrap it in ``jax.jit``: outside, every call traces anew.

    Notes
    -----
    Under derivatives, a custom derivative rule is kept where nothing inside of it is guarded,
    and replaced by the derivative of the guarded function where something is. An operand that
    was put on the edge of a domain is held there: its derivative is zero.
    """

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> tuple[Result, GuardReport]:
        if not enabled:
            return function(*args, **kwargs), GuardReport(jnp.zeros((0, 2), jnp.int32), ())
        result, report = Traced.of(function, args, kwargs).evaluate_guarded(zero_rounding)
        return cast("Result", result), report

    return guarded


@dataclasses.dataclass(frozen=True)
class Traced:
    """A function traced for some arguments.

    Attributes
    ----------
    closed
        The jaxpr with its constants.
    arrays
        The arrays among the arguments: the operands of the jaxpr.
    out_tree
        The structure of the result.
    """

    closed: Any
    arrays: list[Array]
    out_tree: Any

    @classmethod
    def of(cls, function: Callable[..., object], args: Any, kwargs: Any) -> Traced:
        """Trace a function; only arrays and tracers become operands."""
        leaves, tree = jax.tree_util.tree_flatten((args, kwargs))
        places = [index for index, leaf in enumerate(leaves) if is_array(leaf)]

        def of_arrays(*arrays: Array) -> object:
            filled = list(leaves)
            for place, array in zip(places, arrays, strict=True):
                filled[place] = array
            args, kwargs = jax.tree_util.tree_unflatten(tree, filled)
            return function(*args, **kwargs)

        arrays = [leaves[place] for place in places]
        closed, shapes = jax.make_jaxpr(of_arrays, return_shape=True)(*arrays)
        return cls(closed, arrays, jax.tree_util.tree_structure(shapes))

    def evaluate_guarded(self, zero_rounding: bool) -> tuple[object, GuardReport]:
        """The result under the guard, planned without knowing anything of the arguments."""
        program = opened(self.closed)
        operands = [Trait()] * len(program.jaxpr.invars)
        results = len(program.jaxpr.outvars)
        depths, divides = [-1] * results, [False] * results
        plan = Planner(zero_rounding).plan(program, operands, depths, divides)
        outcome = evaluate(plan, self.arrays, [None] * len(self.arrays), zero_rounding)
        result = jax.tree_util.tree_unflatten(self.out_tree, outcome.values)
        return result, GuardReport(outcome.counts, plan.sites, closed_sites(program))


def is_array(leaf: object) -> bool:
    """Whether a leaf of the arguments is an array, and so an operand of the traced program."""
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype.kind not in "OSU"
    return isinstance(leaf, Array)
