"""Says where the first bad value of a computation arose, in minutes on a real model.

The program stays compiled. At each level one compiled run tells which equation made the bad
value from good ones; if that equation holds programs of its own (a call, a loop, a branch),
its operands are fetched, loops are run one compiled iteration at a time until the bad one, and
the search goes on inside. Flags of products are taken from a computation beside them, since
looking at a product keeps the compiler from contracting it into a fused multiply-add, and with
the contraction the fault would vanish (see :mod:`perfkit.guard.analysis.provenance`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import JaxprEqn, Var

from perfkit.answers.finite import NOTHING_DECLARED, DeclaredNan
from perfkit.diagnose.declared import Mask, Seen, run_marked
from perfkit.diagnose.finding import Finding, Kind, Operand
from perfkit.diagnose.watched import (
    bad_elements,
    compiled_run,
    first_cause,
    holds,
    outputs,
    unmasked,
)
from perfkit.guard.analysis.origin import Origin, join_path
from perfkit.guard.analysis.source import origin_of
from perfkit.guard.analysis.structure import (
    ControlFlow,
    Program,
    control_flow,
    is_floating,
    opened,
    program_label,
)
from perfkit.guard.domain import Traced, is_array

_PRODUCTS = frozenset({"mul", "square", "integer_pow"})

_Stopped = tuple[int, list[Array], list[Mask], list[bool]]
"""Where a loop became bad: the iteration, its operands, their masks, which results are bad."""


def locate(
    function: Callable[..., object],
    *args: Any,
    declared: DeclaredNan = NOTHING_DECLARED,
    **kwargs: Any,
) -> Finding | None:
    """Find the first NaN, or where there is none the first infinity, that reaches the result.

    Parameters
    ----------
    function
        Any function that JAX can trace.
    *args, **kwargs
        Its concrete arguments.
    declared
        Where NaN is meant: it is followed through the program and passed over, until it leaks
        into what it is not meant for.

    Returns
    -------
    Finding or None
        None when the result is finite. A bad value that the program makes and masks again is
        not found.
    """
    traced = Traced.of(function, args, kwargs)
    program = opened(traced.closed)
    results = compiled_run(program)(program.consts, traced.arrays, unmasked(traced.arrays))[0]
    meant = masks_by_path(declared.results, jax.tree_util.tree_unflatten(traced.out_tree, results))
    masks = masks_by_path(declared.arguments, args, more=len(traced.arrays))
    for kind in _KINDS:
        bad = [holds(kind, value, mask) for value, mask in zip(results, meant, strict=True)]
        if not any(bad):
            continue
        found = _Search(kind, bool(declared.results)).inside(
            program, traced.arrays, masks, bad, "", ()
        )
        # What is bad by the model's word and declared by its way through the program was moved
        # to where it does not belong; it is then followed back as any other.
        return found or _Search(kind, False).inside(
            program, traced.arrays, unmasked(traced.arrays), bad, "", ()
        )
    return None


def masks_by_path(declared: Mapping[str, Any], tree: object, more: int = 0) -> list[Mask]:
    """The masks of the arrays in a tree, in order, filled up to ``more`` entries."""
    leaves = [
        (jax.tree_util.keystr(path), leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        if is_array(leaf)
    ]
    unknown = sorted(set(declared) - {name for name, _ in leaves})
    if unknown:
        raise ValueError(f"NaN is declared for what does not exist: {', '.join(unknown)}")
    masks: list[Mask] = [
        jnp.asarray(np.broadcast_to(declared[name], leaf.shape)) if name in declared else None
        for name, leaf in leaves
    ]
    return masks + [None] * (more - len(masks))


_KINDS: tuple[Kind, ...] = ("nan", "inf")


class _Search:
    """The descent after one kind of bad value."""

    def __init__(self, kind: Kind, trusts_literals: bool) -> None:
        """``trusts_literals``: a NaN that is written in the program is meant."""
        self._kind = kind
        self._trusts_literals = trusts_literals
        self._run = functools.partial(run_marked, trusts_literals=trusts_literals)

    def inside(
        self,
        program: Program,
        operands: Sequence[Array],
        masks: Sequence[Mask],
        wanted: Sequence[bool],
        path: str,
        iterations: tuple[tuple[str, int], ...],
    ) -> Finding | None:
        """Search a program whose wanted results are bad; None when they turn out good."""
        jaxpr = program.jaxpr
        variables = [*jaxpr.constvars, *jaxpr.invars]
        given = zip(
            variables,
            [*program.consts, *operands],
            [*unmasked(program.consts), *masks],
            strict=True,
        )
        bad = {
            variable
            for variable, value, mask in given
            if is_floating(variable) and holds(self._kind, value, mask)
        }
        flags = jax.jit(self._flags(program))(program.consts, list(operands), list(masks))
        flagged = np.asarray(flags)
        bad.update(out for out, flag in zip(outputs(program), flagged, strict=True) if flag)
        ends = [atom for atom, is_wanted in zip(jaxpr.outvars, wanted, strict=True) if is_wanted]
        found = first_cause(program, bad, [end for end in ends if isinstance(end, Var)])
        if found is None:
            return None
        if isinstance(found, Var):
            label = f"argument {variables.index(found) - len(jaxpr.constvars)}"
            origin = Origin("unknown", 0, "", join_path(path, label))
            return Finding(self._kind, "argument", "argument", origin, iterations)
        return self._at(program, found, operands, masks, bad, path, iterations)

    def _at(
        self,
        program: Program,
        index: int,
        operands: Sequence[Array],
        masks: Sequence[Mask],
        bad: set[Var],
        path: str,
        iterations: tuple[tuple[str, int], ...],
    ) -> Finding:
        """The finding at, or inside of, one equation of a program."""
        equation = program.jaxpr.eqns[index]
        around = jax.jit(self._around(program, index))
        seen = around(program.consts, list(operands), list(masks))
        flow = control_flow(equation)
        if flow is not None:
            wanted = [out in bad for out in equation.outvars]
            deeper = self._into(equation, flow, seen, wanted, path, iterations)
            if deeper is not None:
                return deeper
        place = self._first_bad(seen)
        return Finding(
            self._kind,
            "found" if flow is None else "inside",
            equation.primitive.name,
            origin_of(equation).below(path),
            iterations,
            place[1] if place else (),
            tuple(_summary(value, place) for value in seen.values) if flow is None else (),
        )

    def _into(
        self,
        equation: JaxprEqn,
        flow: ControlFlow,
        seen: Seen,
        wanted: list[bool],
        path: str,
        iterations: tuple[tuple[str, int], ...],
    ) -> Finding | None:
        values, masks = seen.values, seen.masks
        branch = (
            int(np.clip(int(values[0]), 0, len(flow.programs) - 1)) if (flow.kind == "cond") else 0
        )
        outer = join_path(path, str(equation.source_info.name_stack))
        below = join_path(outer, program_label(equation, branch))
        program = flow.programs[branch]
        if flow.kind == "call":
            return self.inside(program, values, masks, wanted, below, iterations)
        if flow.kind == "cond":
            return self.inside(program, values[1:], masks[1:], wanted, below, iterations)
        run = self._scan if flow.kind == "scan" else self._while
        stopped = run(equation, flow, values, masks, wanted)
        if stopped is None:
            return None
        number, inputs, marked, bad = stopped
        return self.inside(program, inputs, marked, bad, below, (*iterations, (below, number)))

    def _scan(
        self,
        equation: JaxprEqn,
        flow: ControlFlow,
        values: list[Array],
        masks: list[Mask],
        wanted: list[bool],
    ) -> _Stopped | None:
        """Run a scan one iteration at a time until a carried or wanted result is bad."""
        program = flow.programs[0]
        body = compiled_run(program, self._trusts_literals)
        first, end = flow.consts, flow.consts + flow.carry
        carry, carry_masks = values[first:end], masks[first:end]
        length = equation.params["length"]
        order = range(length)
        for number in reversed(order) if equation.params["reverse"] else order:
            inputs = [*values[:first], *carry, *(stacked[number] for stacked in values[end:])]
            sliced = [None if stacked is None else stacked[number] for stacked in masks[end:]]
            marked = [*masks[:first], *carry_masks, *sliced]
            results, result_masks = body(program.consts, inputs, marked)
            bad = [
                (place < flow.carry or wanted[place]) and holds(self._kind, value, mask)
                for place, (value, mask) in enumerate(zip(results, result_masks, strict=True))
            ]
            if any(bad):
                return number, inputs, marked, bad
            carry, carry_masks = results[: flow.carry], result_masks[: flow.carry]
        return None

    def _while(
        self,
        equation: JaxprEqn,
        flow: ControlFlow,
        values: list[Array],
        masks: list[Mask],
        wanted: list[bool],
    ) -> _Stopped | None:
        """Run a while loop one iteration at a time until a carried value is bad."""
        program, condition = flow.programs[0], flow.condition
        assert condition is not None
        body, proceed = compiled_run(program, self._trusts_literals), compiled_run(condition)
        first, end = flow.condition_consts, flow.condition_consts + flow.consts
        carry, carry_masks = values[end:], masks[end:]
        number = 0
        while True:
            asked = [*values[:first], *carry]
            if not bool(proceed(condition.consts, asked, unmasked(asked))[0][0]):
                return None
            inputs, marked = [*values[first:end], *carry], [*masks[first:end], *carry_masks]
            carry, carry_masks = body(program.consts, inputs, marked)
            bad = [
                holds(self._kind, value, mask)
                for value, mask in zip(carry, carry_masks, strict=True)
            ]
            if any(bad):
                return number, inputs, marked, bad
            number += 1

    def _flags(self, program: Program) -> Callable[..., Array]:
        """A function of constants, operands and masks: whether each of ``outputs`` is bad."""

        def flags(consts: Sequence[Array], operands: list[Array], masks: list[Mask]) -> Array:
            found: list[Array] = [jnp.zeros((0,), jnp.bool_)]

            def look(equation: JaxprEqn, seen: Seen) -> None:
                for out, result, mask in zip(
                    equation.outvars, seen.results, seen.result_masks, strict=True
                ):
                    if is_floating(out):
                        found.append(self._flag(equation, seen.values, result, mask)[None])

            self._run(program, consts, operands, masks, look=look)
            return jnp.concatenate(found)

        return flags

    def _flag(self, equation: JaxprEqn, values: list[Array], result: Array, mask: Mask) -> Array:
        looked_at = result
        if equation.primitive.name in _PRODUCTS:
            first = 0.5 * jnp.abs(values[0])
            other = jnp.abs(values[-1])
            looked_at = first * other ** (equation.params.get("y", 2) - 1)
        return jnp.any(bad_elements(self._kind, looked_at, mask))

    def _around(self, program: Program, index: int) -> Callable[..., Seen]:
        """A function that returns what stands around one equation."""
        wanted = program.jaxpr.eqns[index]

        def run(consts: Sequence[Array], operands: list[Array], masks: list[Mask]) -> Seen:
            kept: list[Seen] = []

            def look(equation: JaxprEqn, seen: Seen) -> None:
                if equation is wanted:
                    values = [jnp.asarray(value) for value in seen.values]
                    kept.append(seen._replace(values=values))

            self._run(program, consts, operands, masks, look=look)
            return kept[0]

        return run

    def _first_bad(self, seen: Seen) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Shape of the first bad result, and the position of its first bad element."""
        for value, mask in zip(seen.results, seen.result_masks, strict=True):
            if holds(self._kind, value, mask):
                places = np.argwhere(np.asarray(bad_elements(self._kind, value, mask)))
                return value.shape, tuple(int(place) for place in places[0])
        return None


def _summary(value: Array, place: tuple[tuple[int, ...], tuple[int, ...]] | None) -> Operand:
    numeric = jnp.issubdtype(value.dtype, jnp.number) and value.size > 0
    at_fault: float | None = None
    if numeric and value.ndim == 0:
        at_fault = float(value)
    elif numeric and place is not None and value.shape == place[0]:
        at_fault = float(value[place[1]])
    return Operand(
        tuple(value.shape),
        str(value.dtype),
        float(jnp.min(value)) if numeric else float("nan"),
        float(jnp.max(value)) if numeric else float("nan"),
        at_fault,
    )
