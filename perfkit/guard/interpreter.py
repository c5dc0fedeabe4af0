"""Evaluates a planned program equation by equation, and lifts the guarded operands.

A control-flow equation that holds nothing to guard is repeated unchanged, so that its derivative
rules, compilation cache and sharding stay what they are.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array
from jax.extend.core import JaxprEqn, Literal, Var

from perfkit.guard.analysis.bounds import (
    Rounding,
    carries_bounds,
    is_product,
    representation_bound,
    result_bounds,
    sum_bound_from_result,
)
from perfkit.guard.analysis.differences import Operands, propagate_rounding
from perfkit.guard.analysis.lifting import Lift, apply_lift, find_lift
from perfkit.guard.analysis.source import in_place_of
from perfkit.guard.analysis.structure import (
    ControlFlow,
    call_label,
    control_flow,
    is_floating,
    repeat,
)
from perfkit.guard.control_flow import FlowInputs, MaybeRounding, Outcome, evaluate_flow
from perfkit.guard.plan import Plan
from perfkit.guard.planner import deepest


def evaluate(
    plan: Plan,
    values: Sequence[Array],
    roundings: Sequence[MaybeRounding],
    zero_rounding: bool,
) -> Outcome:
    """Run a planned program.

    Parameters
    ----------
    plan
        The plan.
    values
        The program's operands.
    roundings
        The rounding of each operand whose depth in ``plan.in_depths`` is at least 0, else None.
    zero_rounding
        As for :func:`perfkit.guard.analysis.lifting.find_lift`.
    """
    return _Evaluation(plan, zero_rounding).run(values, roundings)


class _Evaluation:
    """The values of one program while it is evaluated."""

    def __init__(self, plan: Plan, zero_rounding: bool) -> None:
        self._plan = plan
        self._zero_rounding = zero_rounding
        self._values: dict[Var, Array] = {}
        self._roundings: dict[Var, Rounding] = {}
        self._products: set[Var] = set()

    def run(self, values: Sequence[Array], roundings: Sequence[MaybeRounding]) -> Outcome:
        jaxpr = self._plan.program.jaxpr
        self._values.update(zip(jaxpr.constvars, self._plan.program.consts, strict=True))
        self._values.update(zip(jaxpr.invars, values, strict=True))
        for variable, rounding in zip(jaxpr.invars, roundings, strict=True):
            if rounding is not None:
                self._roundings[variable] = rounding
        counts: list[Array] = []
        for index, equation in enumerate(jaxpr.eqns):
            flow = control_flow(equation) if index in self._plan.inner else None
            label = call_label(equation) if flow is not None else ""
            with in_place_of(equation, label):
                if flow is None:
                    counts.extend(self._plain(index, equation))
                else:
                    counts.append(self._flow(self._plan.inner[index], flow, equation))
        results = [self._read(atom) for atom in jaxpr.outvars]
        of_results = [
            self._rounding(atom) if depth >= 0 else None
            for atom, depth in zip(jaxpr.outvars, self._plan.out_depths, strict=True)
        ]
        return Outcome(results, of_results, _stack(counts))

    def _read(self, atom: Var | Literal) -> Array:
        value: Array = atom.val if isinstance(atom, Literal) else self._values[atom]
        return value

    def _rounding(self, atom: Var | Literal) -> Rounding:
        """Return the computed rounding of a value, or else that of its own precision.

        Values that are not floating-point numbers are exact.
        """
        if not isinstance(atom, Literal) and atom in self._roundings:
            return self._roundings[atom]
        value = jnp.asarray(self._read(atom)) if is_floating(atom) else None
        exact = jnp.zeros((), jnp.float32)
        return Rounding(exact if value is None else representation_bound(value))

    def _plain(self, index: int, equation: JaxprEqn) -> list[Array]:
        """Evaluate an equation without inner programs; return a row of counts if guarded."""
        values = [self._read(atom) for atom in equation.invars]
        rows = []
        if index in self._plan.guarded:
            values = [jnp.asarray(value) for value in values]
            lift = find_lift(
                equation,
                values,
                self._full_rounding(equation.invars[0]),
                zero_rounding=self._zero_rounding,
                is_divisor=self._plan.guarded[index],
            )
            results = apply_lift(equation, values, lift)
            rows.append(_row(lift))
        else:
            results = repeat(equation, values)
        self._values.update(zip(equation.outvars, results, strict=True))
        self._note_rounding(index, equation, results)
        return rows

    def _note_rounding(self, index: int, equation: JaxprEqn, results: Sequence[Array]) -> None:
        """Compute the rounding of an equation's results if the plan requires it."""
        if is_product(equation):
            self._products.add(equation.outvars[0])
        depth = max((self._plan.depths.get(out, -1) for out in equation.outvars), default=-1)
        follows = (depth > 0 and carries_bounds(equation)) or (depth == 0 and is_product(equation))
        is_summed = depth >= 0 and index in self._plan.summed
        if not (follows or is_summed):
            return
        values = [jnp.asarray(self._read(atom)) for atom in equation.invars]
        roundings = [self._rounding(atom) for atom in equation.invars]
        if is_summed:
            terms = values[0].size // max(results[0].size, 1)
            bounds = [sum_bound_from_result(terms, results[0])]
        else:
            known = [rounding.bound for rounding in roundings]
            bounds = result_bounds(equation, values, known, results)
        is_difference = index in self._plan.differences
        are_products = [
            not isinstance(atom, Literal) and atom in self._products for atom in equation.invars
        ]
        operands = Operands(values, roundings, are_products)
        propagated = propagate_rounding(equation, operands, results, bounds, is_difference)
        self._roundings.update(zip(equation.outvars, propagated, strict=True))

    def _flow(self, plans: tuple[Plan, ...], flow: ControlFlow, equation: JaxprEqn) -> Array:
        """Evaluate a control-flow equation; return one row of counts for each site in it."""
        leading = flow.leading_operands
        in_depths = deepest([plan.in_depths for plan in plans])
        roundings: list[MaybeRounding] = [None for _ in range(leading)]
        roundings += [
            self._full_rounding(atom) if depth >= 0 else None
            for atom, depth in zip(equation.invars[leading:], in_depths, strict=True)
        ]
        outcome = evaluate_flow(
            FlowInputs(
                equation,
                flow,
                plans,
                [self._read(atom) for atom in equation.invars],
                roundings,
                functools.partial(evaluate, zero_rounding=self._zero_rounding),
            )
        )
        for out, value, rounding in zip(
            equation.outvars, outcome.values, outcome.roundings, strict=True
        ):
            self._values[out] = value
            if rounding is not None:
                self._roundings[out] = rounding
        return outcome.counts

    def _full_rounding(self, atom: Var | Literal) -> Rounding:
        """Return the rounding of a value with each part in the value's shape."""
        known, shape = self._rounding(atom), jnp.shape(self._read(atom))
        bound = jnp.broadcast_to(known.bound, shape)
        if known.cleaned is None or known.was_cleaned is None:
            return Rounding(bound)
        cleaned = jnp.broadcast_to(known.cleaned, shape)
        was_cleaned = jnp.broadcast_to(known.was_cleaned, shape)
        return Rounding(bound, cleaned, was_cleaned)


def _row(lift: Lift) -> Array:
    return jnp.stack([lift.lifted, lift.zeroed])[None]


def _stack(rows: Sequence[Array]) -> Array:
    return jnp.concatenate(rows) if rows else jnp.zeros((0, 2), jnp.int32)
