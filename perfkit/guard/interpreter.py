"""Evaluates a planned program equation by equation, with its lifts in place.

A control-flow equation that holds nothing to guard is repeated as it stands, so that its
derivative rules, compilation cache and sharding stay what they are.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import source_info_util
from jax.extend.core import JaxprEqn, Literal, Var

from perfkit.guard.planner import Plan, unguarded
from perfkit.guard.provenance import (
    carries_bounds,
    is_product,
    representation_bound,
    result_bounds,
    sum_bound_from_result,
)
from perfkit.guard.rules import Lift, divisor_place, lift, lift_divisor
from perfkit.guard.structure import (
    REMATERIALISED,
    ControlFlow,
    call_label,
    control_flow,
    is_floating,
    repeat,
)

Bound = Array | None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a program returned under the guard.

    Attributes
    ----------
    values
        Its results.
    bounds
        Their rounding bounds where the plan asks for them, else None.
    counts
        Lifts and zeroed elements a site, int32 of shape ``(sites, 2)``.
    """

    values: list[Array]
    bounds: list[Bound]
    counts: Array


def evaluate(
    plan: Plan, values: Sequence[Array], bounds: Sequence[Bound], zero_rounding: bool
) -> Outcome:
    """Run a planned program.

    Parameters
    ----------
    plan
        The plan.
    values, bounds
        The program's operands and, where the plan's ``in_depths`` asks for them, their rounding
        bounds.
    zero_rounding
        As in :func:`perfkit.guard.rules.lift`.
    """
    return _Evaluation(plan, zero_rounding).run(values, bounds)


@contextlib.contextmanager
def in_place_of(equation: JaxprEqn, inside: str = "") -> Iterator[None]:
    """Trace what follows as if it stood where an equation stands.

    Parameters
    ----------
    equation
        Gives the source line, the name stack and the context (precision, device kind).
    inside
        A name to add to the name stack, for the programs that the equation holds.
    """
    stack = source_info_util.current_name_stack() + equation.source_info.name_stack
    if inside:
        stack = stack.extend(inside)
    with (
        source_info_util.user_context(equation.source_info.traceback, name_stack=stack),
        equation.ctx.manager,
    ):
        yield


class _Evaluation:
    """The values of one program while it is evaluated."""

    def __init__(self, plan: Plan, zero_rounding: bool) -> None:
        self._plan = plan
        self._zero_rounding = zero_rounding
        self._values: dict[Var, Array] = {}
        self._bounds: dict[Var, Array] = {}

    def run(self, values: Sequence[Array], bounds: Sequence[Bound]) -> Outcome:
        jaxpr = self._plan.program.jaxpr
        self._values.update(zip(jaxpr.constvars, self._plan.program.consts, strict=True))
        self._values.update(zip(jaxpr.invars, values, strict=True))
        for variable, bound in zip(jaxpr.invars, bounds, strict=True):
            if bound is not None:
                self._bounds[variable] = bound
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
        out_bounds = [
            self._bound(atom) if depth >= 0 else None
            for atom, depth in zip(jaxpr.outvars, self._plan.out_depths, strict=True)
        ]
        return Outcome(results, out_bounds, _stack(counts))

    def _read(self, atom: Var | Literal) -> Array:
        value: Array = atom.val if isinstance(atom, Literal) else self._values[atom]
        return value

    def _bound(self, atom: Var | Literal) -> Array:
        """The bound of a value: computed, or its own precision; zero for what is exact."""
        if not isinstance(atom, Literal) and atom in self._bounds:
            return self._bounds[atom]
        value = jnp.asarray(self._read(atom)) if is_floating(atom) else None
        return jnp.zeros((), jnp.float32) if value is None else representation_bound(value)

    def _plain(self, index: int, equation: JaxprEqn) -> list[Array]:
        """Evaluate an equation without inner programs; returns one row of counts a site."""
        values = [self._read(atom) for atom in equation.invars]
        rows = []
        if index in self._plan.guarded:
            bound = jnp.broadcast_to(self._bound(equation.invars[0]), values[0].shape)
            floor = self._plan.guarded[index]
            arrays = [jnp.asarray(value) for value in values]
            lifted = lift(equation, arrays, bound, floor, self._zero_rounding)
            values[0] = lifted.operand
            rows.append(_row(lifted))
        elif index in self._plan.divisors:
            producer = self._plan.divisors[index]
            factors = [jnp.asarray(self._read(atom)) for atom in producer.invars]
            place = divisor_place(equation)
            assert place is not None
            lifted = lift_divisor(jnp.asarray(values[place]), producer, factors)
            values[place] = lifted.operand
            rows.append(_row(lifted))
        results = repeat(equation, values)
        self._values.update(zip(equation.outvars, results, strict=True))
        depth = max((self._plan.depths.get(out, -1) for out in equation.outvars), default=-1)
        if depth >= 0 and index in self._plan.settled:
            terms = values[0].size // max(results[0].size, 1)
            self._bounds[equation.outvars[0]] = sum_bound_from_result(terms, results[0])
        elif (depth > 0 and carries_bounds(equation)) or (depth == 0 and is_product(equation)):
            computed = result_bounds(
                equation,
                [jnp.asarray(value) for value in values],
                [self._bound(atom) for atom in equation.invars],
                results,
            )
            self._bounds.update(zip(equation.outvars, computed, strict=True))
        return rows

    def _flow(self, plans: tuple[Plan, ...], flow: ControlFlow, equation: JaxprEqn) -> Array:
        values = [self._read(atom) for atom in equation.invars]
        skipped = 1 if flow.kind == "cond" else flow.condition_consts
        in_depths = [max(depths) for depths in zip(*(p.in_depths for p in plans), strict=True)]
        bounds: list[Bound] = [None for _ in range(skipped)]
        bounds += [
            self._full_bound(atom) if depth >= 0 else None
            for atom, depth in zip(equation.invars[skipped:], in_depths, strict=True)
        ]
        run = {"call": self._call, "cond": self._cond, "scan": self._scan, "while": self._while}
        outcome = run[flow.kind](plans, flow, equation, values, bounds)
        for out, value, bound in zip(equation.outvars, outcome.values, outcome.bounds, strict=True):
            self._values[out] = value
            if bound is not None:
                self._bounds[out] = bound
        return outcome.counts

    def _full_bound(self, atom: Var | Literal) -> Array:
        return jnp.broadcast_to(self._bound(atom), jnp.shape(self._read(atom)))

    def _call(
        self,
        plans: tuple[Plan, ...],
        flow: ControlFlow,
        equation: JaxprEqn,
        values: list[Array],
        bounds: list[Bound],
    ) -> Outcome:
        def inside(values: list[Array], bounds: list[Bound]) -> tuple[Any, ...]:
            return _as_tuple(evaluate(plans[0], values, bounds, self._zero_rounding))

        if equation.primitive.name in REMATERIALISED:
            inside = jax.checkpoint(
                inside,
                prevent_cse=equation.params["prevent_cse"],
                policy=equation.params["policy"],
            )
        return Outcome(*inside(values, bounds))

    def _cond(
        self,
        plans: tuple[Plan, ...],
        flow: ControlFlow,
        equation: JaxprEqn,
        values: list[Array],
        bounds: list[Bound],
    ) -> Outcome:
        totals = [len(plan.sites) for plan in plans]

        def branch(number: int) -> Callable[..., tuple[Any, ...]]:
            def inside(values: list[Array], bounds: list[Bound]) -> tuple[Any, ...]:
                wanted = [
                    bound if depth >= 0 else None
                    for bound, depth in zip(bounds, plans[number].in_depths, strict=True)
                ]
                outcome = evaluate(plans[number], values, wanted, self._zero_rounding)
                before, after = sum(totals[:number]), sum(totals[number + 1 :])
                counts = jnp.pad(outcome.counts, ((before, after), (0, 0)))
                return _as_tuple(dataclasses.replace(outcome, counts=counts))

            return inside

        branches = [branch(number) for number in range(len(plans))]
        return Outcome(*lax.switch(values[0], branches, values[1:], bounds[1:]))

    def _scan(
        self,
        plans: tuple[Plan, ...],
        flow: ControlFlow,
        equation: JaxprEqn,
        values: list[Array],
        bounds: list[Bound],
    ) -> Outcome:
        plan, first, end = plans[0], flow.consts, flow.consts + flow.carry

        def body(carry: Any, slices: Any) -> tuple[Any, Any]:
            outcome = evaluate(
                plan,
                [*values[:first], *carry[0], *slices[0]],
                [*bounds[:first], *carry[1], *slices[1]],
                self._zero_rounding,
            )
            kept = _carried(outcome, bounds[first:end], flow.carry, carry[2])
            return kept, (outcome.values[flow.carry :], outcome.bounds[flow.carry :])

        start = (values[first:end], bounds[first:end], _no_counts(plan))
        carry, stacked = lax.scan(
            body,
            start,
            (values[end:], bounds[end:]),
            length=equation.params["length"],
            reverse=equation.params["reverse"],
            unroll=equation.params["unroll"],
        )
        return Outcome([*carry[0], *stacked[0]], [*carry[1], *stacked[1]], carry[2])

    def _while(
        self,
        plans: tuple[Plan, ...],
        flow: ControlFlow,
        equation: JaxprEqn,
        values: list[Array],
        bounds: list[Bound],
    ) -> Outcome:
        plan, condition = plans[0], flow.condition
        assert condition is not None
        first, end = flow.condition_consts, flow.condition_consts + flow.consts
        condition_plan = unguarded(condition)

        def proceed(carry: Any) -> Array:
            operands = [*values[:first], *carry[0]]
            outcome = evaluate(condition_plan, operands, [None] * len(operands), False)
            return outcome.values[0]

        def body(carry: Any) -> Any:
            outcome = evaluate(
                plan,
                [*values[first:end], *carry[0]],
                [*bounds[first:end], *carry[1]],
                self._zero_rounding,
            )
            return _carried(outcome, bounds[end:], flow.carry, carry[2])

        start = (values[end:], bounds[end:], _no_counts(plan))
        return Outcome(*lax.while_loop(proceed, body, start))


def _carried(outcome: Outcome, wanted: Sequence[Bound], carry: int, counts: Array) -> Any:
    """The next carry of a loop: values, the bounds that the loop carries, counts so far."""
    kept = [
        bound if start is not None else None
        for bound, start in zip(outcome.bounds[:carry], wanted, strict=True)
    ]
    return outcome.values[:carry], kept, counts + outcome.counts


def _as_tuple(outcome: Outcome) -> tuple[list[Array], list[Bound], Array]:
    return outcome.values, outcome.bounds, outcome.counts


def _row(lifted: Lift) -> Array:
    return jnp.stack([lifted.lifted, lifted.zeroed])[None]


def _no_counts(plan: Plan) -> Array:
    return jnp.zeros((len(plan.sites), 2), jnp.int32)


def _stack(rows: Sequence[Array]) -> Array:
    return jnp.concatenate(rows) if rows else jnp.zeros((0, 2), jnp.int32)
