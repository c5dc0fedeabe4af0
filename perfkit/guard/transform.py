"""The domain guard as a function transformation: ``guard(function)``.

The guarded function returns the same result, except where rounding took the operand of a
domain-limited primitive (:data:`perfkit.guard.analysis.domains.DOMAINS`) out of its domain. Such
an operand is lifted to the edge of the domain. How far rounding may reach follows from the
operations that made the operand: a difference may be off by the rounding errors of its terms.
Every lift is counted. An operand that is further outside stays there, and the result is the NaN
that it should be.

>>> result, report = jax.jit(guard(lambda a, b: jnp.sqrt(a - b)))(1.0, 1.0000001)
>>> float(result), report.rows()[0].lifted
(0.0, 1)
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

from perfkit.guard.analysis.structure import as_program
from perfkit.guard.analysis.traits import Trait
from perfkit.guard.counts import GuardReport
from perfkit.guard.interpreter import evaluate
from perfkit.guard.plan import Plan
from perfkit.guard.planner import Planner
from perfkit.guard.unreachable import unreachable_sites


def guard[Result](
    function: Callable[..., Result], *, enabled: bool = True, zero_rounding: bool = False
) -> Callable[..., tuple[Result, GuardReport]]:
    """Wrap a function of arrays so that rounding cannot take an operand out of its domain.

    Parameters
    ----------
    function
        Any function that JAX can trace. Arguments that are not arrays (including Python numbers)
        are passed on unchanged and may steer its control flow.
    enabled
        False leaves the function unchanged; its report is then empty.
    zero_rounding
        Also set to exactly zero the differences that are positive only by rounding, if they feed
        a square root or a power, possibly through a clamp. Exact arithmetic adds nothing there,
        while a positive residue would remain as noise. An epsilon that the program adds to the
        difference is kept, and so are residues that the program divides by. Elements lifted and
        elements zeroed are counted separately.

    Returns
    -------
    Callable
        A function with the same arguments that returns the result and a :class:`GuardReport`.
        Wrap it in ``jax.jit``: otherwise every call traces the function again.

    Notes
    -----
    A custom derivative rule is kept if nothing inside it is guarded; otherwise the derivative of
    the guarded function replaces it. An operand that was moved to the edge of a domain is held
    there, so its derivative is zero.

    Operands inside their domain are not changed. The guard reads them, though, and XLA may then
    fuse the program differently: the last bit of some results may differ. A sampler of hundreds of
    steps amplifies such a difference to another sample; that is chaos, not an error. A function is
    left unchanged if its constants show that no operand can leave its domain
    (:mod:`perfkit.guard.analysis.ranges`).
    """

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> tuple[Result, GuardReport]:
        if not enabled:
            return function(*args, **kwargs), GuardReport(jnp.zeros((0, 2), jnp.int32), ())
        traced = Traced.of(function, args, kwargs)
        plan = plan_traced(traced, zero_rounding)
        if not plan.sites:
            return function(*args, **kwargs), _report(plan, jnp.zeros((0, 2), jnp.int32))
        result, report = _carry_out(plan, traced, zero_rounding)
        return cast("Result", result), report

    return guarded


@dataclasses.dataclass(frozen=True)
class Traced:
    """A function traced for given arguments.

    Attributes
    ----------
    closed
        The jaxpr with its constants (``ClosedJaxpr``).
    arrays
        The arrays among the arguments, in order: the operands of the jaxpr.
    out_tree
        The tree structure of the result.
    """

    closed: Any
    arrays: list[Array]
    out_tree: Any

    @classmethod
    def of(cls, function: Callable[..., object], args: Any, kwargs: Any) -> Traced:
        """Trace a function; only arrays and tracers become operands."""
        leaves, tree = jax.tree_util.tree_flatten((args, kwargs))
        positions = [index for index, leaf in enumerate(leaves) if is_array(leaf)]

        def of_arrays(*arrays: Array) -> object:
            filled = list(leaves)
            for position, array in zip(positions, arrays, strict=True):
                filled[position] = array
            args, kwargs = jax.tree_util.tree_unflatten(tree, filled)
            return function(*args, **kwargs)

        arrays = [leaves[position] for position in positions]
        closed, shapes = jax.make_jaxpr(of_arrays, return_shape=True)(*arrays)
        return cls(closed, arrays, jax.tree_util.tree_structure(shapes))


def evaluate_guarded(traced: Traced, zero_rounding: bool) -> tuple[object, GuardReport]:
    """Evaluate a traced function under the guard.

    Parameters
    ----------
    traced
        The function with its arguments.
    zero_rounding
        As for :func:`guard`.
    """
    return _carry_out(plan_traced(traced, zero_rounding), traced, zero_rounding)


def plan_traced(traced: Traced, zero_rounding: bool) -> Plan:
    """Plan a traced function.

    The plan assumes nothing about the arguments, so it holds for all arguments of these shapes.
    """
    program = as_program(traced.closed)
    operands = [Trait()] * len(program.jaxpr.invars)
    results = len(program.jaxpr.outvars)
    return Planner(zero_rounding).plan(program, operands, [-1] * results, [False] * results)


def _carry_out(plan: Plan, traced: Traced, zero_rounding: bool) -> tuple[object, GuardReport]:
    outcome = evaluate(plan, traced.arrays, [None] * len(traced.arrays), zero_rounding)
    result = jax.tree_util.tree_unflatten(traced.out_tree, outcome.values)
    return result, _report(plan, outcome.counts)


def _report(plan: Plan, counts: Array) -> GuardReport:
    return GuardReport(counts, plan.sites, unreachable_sites(plan.program))


def is_array(leaf: object) -> bool:
    """Return whether a leaf of the arguments is an array, and so an operand of the program."""
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype.kind not in "OSU"
    return isinstance(leaf, Array)
