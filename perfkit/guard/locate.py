"""Says where the first bad value of a computation arose, in minutes on a real model.

The program stays compiled. At each level one compiled run tells which equation made the bad
value from good ones; if that equation holds programs of its own (a call, a loop, a branch),
its operands are fetched, loops are run one compiled iteration at a time until the bad one, and
the search goes on inside. Flags of products are taken from a computation beside them, since
looking at a product keeps the compiler from contracting it into a fused multiply-add, and with
the contraction the fault would vanish (see :mod:`perfkit.guard.provenance`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import JaxprEqn, Var
from jax.extend.core import Literal as Constant

from perfkit.guard.domain import Traced
from perfkit.guard.finding import Finding, Kind, Operand
from perfkit.guard.interpreter import in_place_of
from perfkit.guard.origin import Origin, join_path
from perfkit.guard.source import origin_of
from perfkit.guard.structure import (
    ControlFlow,
    Program,
    control_flow,
    is_floating,
    opened,
    program_label,
    repeat,
)

_PRODUCTS = frozenset({"mul", "square", "integer_pow"})


def locate(function: Callable[..., object], *args: Any, **kwargs: Any) -> Finding | None:
    """Find the first NaN, or where there is none the first infinity, that reaches the result.

    Parameters
    ----------
    function
        Any function that JAX can trace.
    *args, **kwargs
        Its concrete arguments.

    Returns
    -------
    Finding or None
        None when the result is finite. A bad value that the program makes and masks again is
        not found.
    """
    traced = Traced.of(function, args, kwargs)
    program = opened(traced.closed)
    results = _compiled(program)(program.consts, traced.arrays)
    for kind in _KINDS:
        bad = [_holds(kind, value) for value in results]
        if any(bad):
            return _Search(kind).inside(program, traced.arrays, bad, "", ())
    return None


_KINDS: tuple[Kind, ...] = ("nan", "inf")


class _Search:
    """The descent after one kind of bad value."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def inside(
        self,
        program: Program,
        operands: Sequence[Array],
        wanted: Sequence[bool],
        path: str,
        iterations: tuple[tuple[str, int], ...],
    ) -> Finding | None:
        """Search a program whose wanted results are bad; None when they turn out good."""
        jaxpr = program.jaxpr
        variables = [*jaxpr.constvars, *jaxpr.invars]
        given = dict(zip(variables, [*program.consts, *operands], strict=True))
        bad = {variable for variable in variables if self._bad_value(variable, given[variable])}
        flagged = np.asarray(jax.jit(self._flags(program))(program.consts, list(operands)))
        bad.update(out for out, flag in zip(_outputs(program), flagged, strict=True) if flag)
        ends = [atom for atom, is_wanted in zip(jaxpr.outvars, wanted, strict=True) if is_wanted]
        found = _first_cause(program, bad, [end for end in ends if isinstance(end, Var)])
        if found is None:
            return None
        if isinstance(found, Var):
            label = f"argument {variables.index(found) - len(jaxpr.constvars)}"
            origin = Origin("unknown", 0, "", join_path(path, label))
            return Finding(self._kind, "argument", "argument", origin, iterations)
        return self._at(program, found, operands, bad, path, iterations)

    def _at(
        self,
        program: Program,
        index: int,
        operands: Sequence[Array],
        bad: set[Var],
        path: str,
        iterations: tuple[tuple[str, int], ...],
    ) -> Finding:
        """The finding at, or inside of, one equation of a program."""
        equation = program.jaxpr.eqns[index]
        values, results = jax.jit(_around(program, index))(program.consts, list(operands))
        flow = control_flow(equation)
        if flow is not None:
            wanted = [out in bad for out in equation.outvars]
            deeper = self._into(equation, flow, values, wanted, path, iterations)
            if deeper is not None:
                return deeper
        place = self._first_bad(results)
        return Finding(
            self._kind,
            "found" if flow is None else "inside",
            equation.primitive.name,
            origin_of(equation).below(path),
            iterations,
            place[1] if place else (),
            tuple(_summary(value, place) for value in values) if flow is None else (),
        )

    def _into(
        self,
        equation: JaxprEqn,
        flow: ControlFlow,
        values: list[Array],
        wanted: list[bool],
        path: str,
        iterations: tuple[tuple[str, int], ...],
    ) -> Finding | None:
        branch = (
            int(np.clip(int(values[0]), 0, len(flow.programs) - 1)) if (flow.kind == "cond") else 0
        )
        outer = join_path(path, str(equation.source_info.name_stack))
        below = join_path(outer, program_label(equation, branch))
        program = flow.programs[branch]
        if flow.kind == "call":
            return self.inside(program, values, wanted, below, iterations)
        if flow.kind == "cond":
            return self.inside(program, values[1:], wanted, below, iterations)
        run = self._scan if flow.kind == "scan" else self._while
        stopped = run(equation, flow, values, wanted)
        if stopped is None:
            return None
        number, inputs, bad = stopped
        return self.inside(program, inputs, bad, below, (*iterations, (below, number)))

    def _scan(
        self, equation: JaxprEqn, flow: ControlFlow, values: list[Array], wanted: list[bool]
    ) -> tuple[int, list[Array], list[bool]] | None:
        """Run a scan one iteration at a time until a carried or wanted result is bad."""
        program = flow.programs[0]
        body = _compiled(program)
        end = flow.consts + flow.carry
        consts, carry, slices = values[: flow.consts], values[flow.consts : end], values[end:]
        length = equation.params["length"]
        order = range(length)
        for number in reversed(order) if equation.params["reverse"] else order:
            inputs = [*consts, *carry, *(stacked[number] for stacked in slices)]
            results = body(program.consts, inputs)
            bad = [
                (place < flow.carry or wanted[place]) and _holds(self._kind, value)
                for place, value in enumerate(results)
            ]
            if any(bad):
                return number, inputs, bad
            carry = results[: flow.carry]
        return None

    def _while(
        self, equation: JaxprEqn, flow: ControlFlow, values: list[Array], wanted: list[bool]
    ) -> tuple[int, list[Array], list[bool]] | None:
        """Run a while loop one iteration at a time until a carried value is bad."""
        program, condition = flow.programs[0], flow.condition
        assert condition is not None
        body, proceed = _compiled(program), _compiled(condition)
        first, end = flow.condition_consts, flow.condition_consts + flow.consts
        carry = values[end:]
        number = 0
        while bool(proceed(condition.consts, [*values[:first], *carry])[0]):
            inputs = [*values[first:end], *carry]
            carry = body(program.consts, inputs)
            bad = [_holds(self._kind, value) for value in carry]
            if any(bad):
                return number, inputs, bad
            number += 1
        return None

    def _flags(self, program: Program) -> Callable[[Sequence[Array], list[Array]], Array]:
        """A function of constants and operands: for each of ``_outputs``, whether it is bad."""

        def flags(consts: Sequence[Array], operands: list[Array]) -> Array:
            found: list[Array] = [jnp.zeros((0,), jnp.bool_)]

            def look(equation: JaxprEqn, values: list[Array], results: list[Array]) -> None:
                for out, result in zip(equation.outvars, results, strict=True):
                    if is_floating(out):
                        found.append(self._flag(equation, values, result)[None])

            _run(program, consts, operands, look)
            return jnp.concatenate(found)

        return flags

    def _flag(self, equation: JaxprEqn, values: list[Array], result: Array) -> Array:
        looked_at = result
        if equation.primitive.name in _PRODUCTS:
            first = 0.5 * jnp.abs(values[0])
            other = jnp.abs(values[-1])
            looked_at = first * other ** (equation.params.get("y", 2) - 1)
        return jnp.any(_test(self._kind)(looked_at))

    def _bad_value(self, variable: Var, value: Array) -> bool:
        return is_floating(variable) and _holds(self._kind, value)

    def _first_bad(
        self, results: Sequence[Array]
    ) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Shape of the first bad result, and the position of its first bad element."""
        for value in results:
            if _holds(self._kind, value):
                places = np.argwhere(np.asarray(_test(self._kind)(value)))
                return value.shape, tuple(int(place) for place in places[0])
        return None


def _test(kind: Kind) -> Callable[[Array], Array]:
    return jnp.isnan if kind == "nan" else jnp.isinf


def _holds(kind: Kind, value: Array) -> bool:
    floating = jnp.issubdtype(jnp.result_type(value), jnp.floating)
    return bool(floating) and bool(jnp.any(_test(kind)(jnp.asarray(value))))


def _outputs(program: Program) -> list[Var]:
    """The floating-point results of all equations, in order."""
    return [out for equation in program.jaxpr.eqns for out in equation.outvars if is_floating(out)]


def _first_cause(program: Program, bad: set[Var], ends: Sequence[Var]) -> int | Var | None:
    """Follow bad values back from the results to what first made one.

    Returns the index of an equation with a bad result and good operands, or an operand of the
    program that is bad itself, or None when the ends are good.
    """
    producers = {
        out: index for index, equation in enumerate(program.jaxpr.eqns) for out in equation.outvars
    }
    pending = [end for end in ends if end in bad]
    seen = set(pending)
    causes: list[int] = []
    arguments: list[Var] = []
    while pending:
        variable = pending.pop()
        if variable not in producers:
            arguments.append(variable)
            continue
        equation = program.jaxpr.eqns[producers[variable]]
        operands = [atom for atom in equation.invars if isinstance(atom, Var) and atom in bad]
        if not operands:
            causes.append(producers[variable])
        pending.extend(operand for operand in operands if operand not in seen)
        seen.update(operands)
    if causes:
        return min(causes)
    return arguments[0] if arguments else None


def _run(
    program: Program,
    consts: Sequence[Array],
    operands: Sequence[Array],
    look: Callable[[JaxprEqn, list[Array], list[Array]], None],
) -> list[Array]:
    """Evaluate a program as it stands, showing each equation's operands and results."""
    jaxpr = program.jaxpr
    known: dict[Var, Array] = dict(zip(jaxpr.constvars, consts, strict=True))
    known.update(zip(jaxpr.invars, operands, strict=True))

    def read(atom: Var | Constant) -> Array:
        value: Array = atom.val if isinstance(atom, Constant) else known[atom]
        return value

    for equation in jaxpr.eqns:
        values = [read(atom) for atom in equation.invars]
        with in_place_of(equation):
            results = repeat(equation, values)
            look(equation, values, results)
        known.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _compiled(program: Program) -> Callable[[Sequence[Array], Sequence[Array]], list[Array]]:
    """A compiled function of constants and operands that returns the program's results."""

    def run(consts: Sequence[Array], operands: Sequence[Array]) -> list[Array]:
        return _run(program, consts, operands, lambda *_: None)

    compiled: Callable[[Sequence[Array], Sequence[Array]], list[Array]] = jax.jit(run)
    return compiled


def _around(
    program: Program, index: int
) -> Callable[[Sequence[Array], list[Array]], tuple[list[Array], list[Array]]]:
    """A function that returns the operands and the results of one equation."""
    wanted = program.jaxpr.eqns[index]

    def run(consts: Sequence[Array], operands: list[Array]) -> tuple[list[Array], list[Array]]:
        kept: list[tuple[list[Array], list[Array]]] = []

        def look(equation: JaxprEqn, values: list[Array], results: list[Array]) -> None:
            if equation is wanted:
                kept.append(([jnp.asarray(value) for value in values], results))

        _run(program, consts, operands, look)
        return kept[0]

    return run


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
