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

from perfkit.guard.analysis.differences import Operands, settle
from perfkit.guard.analysis.provenance import (
    Rounding,
    carries_bounds,
    is_product,
    representation_bound,
    result_bounds,
    sum_bound_from_result,
)
from perfkit.guard.analysis.rules import Lift, apply_lifted, lift
from perfkit.guard.analysis.structure import (
    REMATERIALISED,
    ControlFlow,
    call_label,
    control_flow,
    is_floating,
    repeat,
)
from perfkit.guard.planner import Plan, unguarded

Known = Rounding | None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a program returned under the guard.

    Attributes
    ----------
    values
        Its results.
    roundings
        What is known of their rounding where the plan asks for it, else None.
    counts
        Lifts and zeroed elements a site, int32 of shape ``(sites, 2)``.
    """

    values: list[Array]
    roundings: list[Known]
    counts: Array


def evaluate(
    plan: Plan, values: Sequence[Array], roundings: Sequence[Known], zero_rounding: bool
) -> Outcome:
    """Run a planned program.

    Parameters
    ----------
    plan
        The plan.
    values, roundings
        The program's operands and, where the plan's ``in_depths`` asks for it, what is known of
        their rounding.
    zero_rounding
        As in :func:`perfkit.guard.analysis.rules.lift`.
    """
    return _Evaluation(plan, zero_rounding).run(values, roundings)


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
        self._roundings: dict[Var, Rounding] = {}
        self._products: set[Var] = set()

    def run(self, values: Sequence[Array], roundings: Sequence[Known]) -> Outcome:
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
        known = [
            self._rounding(atom) if depth >= 0 else None
            for atom, depth in zip(jaxpr.outvars, self._plan.out_depths, strict=True)
        ]
        return Outcome(results, known, _stack(counts))

    def _read(self, atom: Var | Literal) -> Array:
        value: Array = atom.val if isinstance(atom, Literal) else self._values[atom]
        return value

    def _rounding(self, atom: Var | Literal) -> Rounding:
        """What is known of a value: computed, or its own precision; nothing for what is exact."""
        if not isinstance(atom, Literal) and atom in self._roundings:
            return self._roundings[atom]
        value = jnp.asarray(self._read(atom)) if is_floating(atom) else None
        exact = jnp.zeros((), jnp.float32)
        return Rounding(exact if value is None else representation_bound(value))

    def _plain(self, index: int, equation: JaxprEqn) -> list[Array]:
        """Evaluate an equation without inner programs; returns one row of counts a site."""
        values = [self._read(atom) for atom in equation.invars]
        rows = []
        if index in self._plan.guarded:
            values = [jnp.asarray(value) for value in values]
            found = lift(
                equation,
                values,
                self._full_rounding(equation.invars[0]),
                zero_rounding=self._zero_rounding,
                divides=self._plan.guarded[index],
            )
            results = apply_lifted(equation, values, found)
            rows.append(_row(found))
        else:
            results = repeat(equation, values)
        self._values.update(zip(equation.outvars, results, strict=True))
        self._note_rounding(index, equation, results)
        return rows

    def _note_rounding(self, index: int, equation: JaxprEqn, results: Sequence[Array]) -> None:
        """Keep what is known of the rounding of an equation's results, where it is wanted."""
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
        of_products = [
            not isinstance(atom, Literal) and atom in self._products for atom in equation.invars
        ]
        operands = Operands(values, roundings, of_products)
        settled = settle(equation, operands, results, bounds, is_difference)
        self._roundings.update(zip(equation.outvars, settled, strict=True))

    def _flow(self, plans: tuple[Plan, ...], flow: ControlFlow, equation: JaxprEqn) -> Array:
        values = [self._read(atom) for atom in equation.invars]
        skipped = 1 if flow.kind == "cond" else flow.condition_consts
        in_depths = [max(depths) for depths in zip(*(p.in_depths for p in plans), strict=True)]
        roundings: list[Known] = [None for _ in range(skipped)]
        roundings += [
            self._full_rounding(atom) if depth >= 0 else None
            for atom, depth in zip(equation.invars[skipped:], in_depths, strict=True)
        ]
        run = {"call": self._call, "cond": self._cond, "scan": self._scan, "while": self._while}
        outcome = run[flow.kind](plans, flow, equation, values, roundings)
        for out, value, rounding in zip(
            equation.outvars, outcome.values, outcome.roundings, strict=True
        ):
            self._values[out] = value
            if rounding is not None:
                self._roundings[out] = rounding
        return outcome.counts

    def _full_rounding(self, atom: Var | Literal) -> Rounding:
        """What is known of a value, each part in the value's shape."""
        known, shape = self._rounding(atom), jnp.shape(self._read(atom))
        bound = jnp.broadcast_to(known.bound, shape)
        if known.settled is None or known.chosen is None:
            return Rounding(bound)
        settled = jnp.broadcast_to(known.settled, shape)
        chosen = jnp.broadcast_to(known.chosen, shape)
        return Rounding(bound, settled, chosen)

    def _call(
        self,
        plans: tuple[Plan, ...],
        flow: ControlFlow,
        equation: JaxprEqn,
        values: list[Array],
        roundings: list[Known],
    ) -> Outcome:
        def inside(values: list[Array], roundings: list[Known]) -> tuple[Any, ...]:
            return _as_tuple(evaluate(plans[0], values, roundings, self._zero_rounding))

        if equation.primitive.name in REMATERIALISED:
            inside = jax.checkpoint(
                inside,
                prevent_cse=equation.params["prevent_cse"],
                policy=equation.params["policy"],
            )
        return Outcome(*inside(values, roundings))

    def _cond(
        self,
        plans: tuple[Plan, ...],
        flow: ControlFlow,
        equation: JaxprEqn,
        values: list[Array],
        roundings: list[Known],
    ) -> Outcome:
        totals = [len(plan.sites) for plan in plans]

        def branch(number: int) -> Callable[..., tuple[Any, ...]]:
            def inside(values: list[Array], roundings: list[Known]) -> tuple[Any, ...]:
                wanted = [
                    rounding if depth >= 0 else None
                    for rounding, depth in zip(roundings, plans[number].in_depths, strict=True)
                ]
                outcome = evaluate(plans[number], values, wanted, self._zero_rounding)
                before, after = sum(totals[:number]), sum(totals[number + 1 :])
                counts = jnp.pad(outcome.counts, ((before, after), (0, 0)))
                return outcome.values, _all_parts(outcome.values, outcome.roundings), counts

            return inside

        branches = [branch(number) for number in range(len(plans))]
        return Outcome(*lax.switch(values[0], branches, values[1:], roundings[1:]))

    def _scan(
        self,
        plans: tuple[Plan, ...],
        flow: ControlFlow,
        equation: JaxprEqn,
        values: list[Array],
        roundings: list[Known],
    ) -> Outcome:
        plan, first, end = plans[0], flow.consts, flow.consts + flow.carry
        carried = values[first:end]
        start = (carried, _all_parts(carried, roundings[first:end]), _no_counts(plan))

        def body(carry: Any, slices: Any) -> tuple[Any, Any]:
            outcome = evaluate(
                plan,
                [*values[:first], *carry[0], *slices[0]],
                [*roundings[:first], *carry[1], *slices[1]],
                self._zero_rounding,
            )
            kept = _carried(outcome, start[1], flow.carry, carry[2])
            return kept, (outcome.values[flow.carry :], outcome.roundings[flow.carry :])

        carry, stacked = lax.scan(
            body,
            start,
            (values[end:], roundings[end:]),
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
        roundings: list[Known],
    ) -> Outcome:
        plan, condition = plans[0], flow.condition
        assert condition is not None
        first, end = flow.condition_consts, flow.condition_consts + flow.consts
        condition_plan = unguarded(condition)
        carried = values[end:]
        start = (carried, _all_parts(carried, roundings[end:]), _no_counts(plan))

        def proceed(carry: Any) -> Array:
            operands = [*values[:first], *carry[0]]
            outcome = evaluate(condition_plan, operands, [None] * len(operands), False)
            return outcome.values[0]

        def body(carry: Any) -> Any:
            outcome = evaluate(
                plan,
                [*values[first:end], *carry[0]],
                [*roundings[first:end], *carry[1]],
                self._zero_rounding,
            )
            return _carried(outcome, start[1], flow.carry, carry[2])

        return Outcome(*lax.while_loop(proceed, body, start))


def _carried(outcome: Outcome, wanted: Sequence[Known], carry: int, counts: Array) -> Any:
    """The next carry of a loop: values, what the loop carries of their rounding, counts so far."""
    values = outcome.values[:carry]
    known = [
        rounding if start is not None else None
        for rounding, start in zip(outcome.roundings[:carry], wanted, strict=True)
    ]
    return values, _all_parts(values, known), counts + outcome.counts


def _all_parts(values: Sequence[Array], roundings: Sequence[Known]) -> list[Known]:
    """Fill in what holds no difference, so that every iteration or branch carries the same."""
    return [
        rounding
        if rounding is None or rounding.settled is not None
        else Rounding(rounding.bound, value, jnp.zeros_like(rounding.bound))
        for value, rounding in zip(values, roundings, strict=True)
    ]


def _as_tuple(outcome: Outcome) -> tuple[list[Array], list[Known], Array]:
    return outcome.values, outcome.roundings, outcome.counts


def _row(lifted: Lift) -> Array:
    return jnp.stack([lifted.lifted, lifted.zeroed])[None]


def _no_counts(plan: Plan) -> Array:
    return jnp.zeros((len(plan.sites), 2), jnp.int32)


def _stack(rows: Sequence[Array]) -> Array:
    return jnp.concatenate(rows) if rows else jnp.zeros((0, 2), jnp.int32)
