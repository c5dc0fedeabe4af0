"""Carries out the plans inside calls, branches and loops.

Each function here rebuilds one control-flow primitive around the guarded evaluation of its
programs. The rebuilt primitive carries three things: the values, their rounding bounds where the
plan requires them, and the counts. A guarded ``scan``, for example, carries
``(values, roundings, counts)`` instead of the values alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import JaxprEqn

from perfkit.guard.analysis.bounds import Rounding
from perfkit.guard.analysis.structure import REMATERIALISED, ControlFlow
from perfkit.guard.plan import Plan, plan_without_guard

MaybeRounding = Rounding | None
"""The rounding of a value, or None if the plan does not require it."""


class Outcome(NamedTuple):
    """What a program returned under the guard; a pytree.

    Attributes
    ----------
    values
        Its results.
    roundings
        The rounding of each result whose depth is at least 0, else None.
    counts
        Elements lifted and elements zeroed at each site: int32 of shape ``(sites, 2)``.
    """

    values: list[Array]
    roundings: list[MaybeRounding]
    counts: Array


Evaluate = Callable[[Plan, Sequence[Array], Sequence[MaybeRounding]], Outcome]
"""Runs a plan on operands and their roundings: :func:`perfkit.guard.interpreter.evaluate`."""


@dataclasses.dataclass(frozen=True)
class FlowInputs:
    """A control-flow equation that is about to be evaluated.

    Attributes
    ----------
    equation
        The equation.
    flow
        Its control flow.
    plans
        The plans of the programs that it holds.
    values
        Its operands.
    roundings
        The rounding of each operand whose depth is at least 0, else None.
    evaluate
        Runs the plans.
    """

    equation: JaxprEqn
    flow: ControlFlow
    plans: tuple[Plan, ...]
    values: list[Array]
    roundings: list[MaybeRounding]
    evaluate: Evaluate


def evaluate_flow(inputs: FlowInputs) -> Outcome:
    """Evaluate a control-flow equation under the guard."""
    return _RULES[inputs.flow.kind](inputs)


def _call(inputs: FlowInputs) -> Outcome:
    def inside(values: list[Array], roundings: list[MaybeRounding]) -> Outcome:
        return inputs.evaluate(inputs.plans[0], values, roundings)

    parameters = inputs.equation.params
    if inputs.equation.primitive.name in REMATERIALISED:
        inside = jax.checkpoint(
            inside, prevent_cse=parameters["prevent_cse"], policy=parameters["policy"]
        )
    return inside(inputs.values, inputs.roundings)


def _cond(inputs: FlowInputs) -> Outcome:
    totals = [len(plan.sites) for plan in inputs.plans]

    def branch(number: int) -> Callable[..., Outcome]:
        plan = inputs.plans[number]

        def inside(values: list[Array], roundings: list[MaybeRounding]) -> Outcome:
            wanted = [
                rounding if depth >= 0 else None
                for rounding, depth in zip(roundings, plan.in_depths, strict=True)
            ]
            outcome = inputs.evaluate(plan, values, wanted)
            before, after = sum(totals[:number]), sum(totals[number + 1 :])
            return Outcome(
                outcome.values,
                _with_all_parts(outcome.values, outcome.roundings),
                jnp.pad(outcome.counts, ((before, after), (0, 0))),
            )

        return inside

    branches = [branch(number) for number in range(len(inputs.plans))]
    index, *operands = inputs.values
    outcome: Outcome = lax.switch(index, branches, operands, inputs.roundings[1:])
    return outcome


def _scan(inputs: FlowInputs) -> Outcome:
    plan, flow, values, roundings = inputs.plans[0], inputs.flow, inputs.values, inputs.roundings
    first, end = flow.consts, flow.consts + flow.carry
    start = _first_carry(plan, values[first:end], roundings[first:end])

    def body(carry: Outcome, slices: Any) -> tuple[Outcome, Any]:
        outcome = inputs.evaluate(
            plan,
            [*values[:first], *carry.values, *slices[0]],
            [*roundings[:first], *carry.roundings, *slices[1]],
        )
        stacked = outcome.values[flow.carry :], outcome.roundings[flow.carry :]
        return _next_carry(outcome, start, carry), stacked

    carry, stacked = lax.scan(
        body,
        start,
        (values[end:], roundings[end:]),
        length=inputs.equation.params["length"],
        reverse=inputs.equation.params["reverse"],
        unroll=inputs.equation.params["unroll"],
    )
    return Outcome([*carry.values, *stacked[0]], [*carry.roundings, *stacked[1]], carry.counts)


def _while(inputs: FlowInputs) -> Outcome:
    plan, flow, values, roundings = inputs.plans[0], inputs.flow, inputs.values, inputs.roundings
    assert flow.condition is not None
    first, end = flow.condition_consts, flow.condition_consts + flow.consts
    # Nothing can be counted in the condition, so it runs unchanged.
    condition = plan_without_guard(flow.condition)
    start = _first_carry(plan, values[end:], roundings[end:])

    def proceed(carry: Outcome) -> Array:
        operands = [*values[:first], *carry.values]
        return inputs.evaluate(condition, operands, [None] * len(operands)).values[0]

    def body(carry: Outcome) -> Outcome:
        outcome = inputs.evaluate(
            plan,
            [*values[first:end], *carry.values],
            [*roundings[first:end], *carry.roundings],
        )
        return _next_carry(outcome, start, carry)

    carry: Outcome = lax.while_loop(proceed, body, start)
    return carry


_RULES: dict[str, Callable[[FlowInputs], Outcome]] = {
    "call": _call,
    "cond": _cond,
    "scan": _scan,
    "while": _while,
}


def _first_carry(
    plan: Plan, values: Sequence[Array], roundings: Sequence[MaybeRounding]
) -> Outcome:
    counts = jnp.zeros((len(plan.sites), 2), jnp.int32)
    return Outcome(list(values), _with_all_parts(values, roundings), counts)


def _next_carry(outcome: Outcome, start: Outcome, before: Outcome) -> Outcome:
    """Return the next carry of a loop: values, roundings as in ``start``, counts so far."""
    values = outcome.values[: len(start.values)]
    roundings = [
        rounding if in_carry is not None else None
        for rounding, in_carry in zip(
            outcome.roundings[: len(start.values)], start.roundings, strict=True
        )
    ]
    counts = before.counts + outcome.counts
    return Outcome(values, _with_all_parts(values, roundings), counts)


def _with_all_parts(
    values: Sequence[Array], roundings: Sequence[MaybeRounding]
) -> list[MaybeRounding]:
    """Fill in the parts of values without differences: all iterations and branches must agree."""
    return [
        rounding
        if rounding is None or rounding.cleaned is not None
        else Rounding(rounding.bound, value, jnp.zeros_like(rounding.bound))
        for value, rounding in zip(values, roundings, strict=True)
    ]
