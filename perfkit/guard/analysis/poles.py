"""Finds the values of a traced program by which something is divided, directly or later.

There the zeroing guard leaves rounding in. Divided by zero, or by the small epsilon that the
program adds, a numerator that is itself rounding becomes infinite or large; divided by the
residue of the same rounding it stays small.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

from jax.extend.core import JaxprEqn, Literal, Var

from perfkit.guard.analysis.structure import ControlFlow, Program, control_flow
from perfkit.guard.analysis.traits import SHAPE_OPERATIONS, SPLITS, trait_of_constant

_POLES = {"div": 1, "rem": 1, "rsqrt": 0, "log": 0, "log2": 0, "atan2": 1}
"""Primitive -> the operand that it divides by, or whose zero is as bad."""

_SMALL_TO_SMALL = (
    SHAPE_OPERATIONS
    | SPLITS
    | frozenset(
        {
            "mul",
            "neg",
            "abs",
            "sqrt",
            "cbrt",
            "square",
            "integer_pow",
            "pow",
            "clamp",
            "select_n",
            "concatenate",
            "pad",
            "stack",
            "convert_element_type",
            "reduce_precision",
            "reduce_sum",
            "reduce_prod",
            "cumsum",
            "cumprod",
            "cummax",
            "sort",
            "dot_general",
            "sin",
            "tan",
            "tanh",
            "sinh",
            "expm1",
            "log1p",
            "erf",
            "asin",
            "atan",
            "asinh",
            "atanh",
        }
    )
)
"""Primitives whose result may be small because an operand is."""

_WITH_EPSILON = frozenset({"add", "sub", "max", "min"})
"""The same, but only where the other operand is one number, such as an epsilon: what is added to
an array of the model's own is as large as that array."""


class Poles:
    """Looks programs through from their results to their operands, each use once."""

    def __init__(self) -> None:
        """Start with nothing looked through."""
        self._found: dict[Any, set[Var]] = {}
        self._alive: list[Program] = []

    def inside(self, program: Program, results: Sequence[bool]) -> set[Var]:
        """The values of a program that something is divided by, directly or later.

        Parameters
        ----------
        program
            The program.
        results
            For each result, whether something is divided by it outside.
        """
        key = (id(program.jaxpr), tuple(results))
        if key not in self._found:
            self._alive.append(program)
            self._found[key] = self._search(program, results)
        return self._found[key]

    def operands(self, program: Program, results: Sequence[bool]) -> list[bool]:
        """For each operand of a program, whether something is divided by it."""
        found = self.inside(program, results)
        return [operand in found for operand in program.jaxpr.invars]

    def results_inside(self, flow: ControlFlow, results: Sequence[bool]) -> list[bool]:
        """For each result of an equation's programs, whether something is divided by it.

        The carry of a loop is divided by outside of the loop, or in its next iteration.
        """
        divides = list(results)
        if flow.kind not in ("scan", "while"):
            return divides
        while True:
            inside = self.operands(flow.programs[0], divides)
            carried = inside[flow.consts : flow.consts + flow.carry]
            joined = list(map(operator.or_, divides, carried)) + divides[flow.carry :]
            if joined == divides:
                return divides
            divides = joined

    def _search(self, program: Program, results: Sequence[bool]) -> set[Var]:
        jaxpr = program.jaxpr
        found = set(_chosen(jaxpr.outvars, results))
        numbers = {
            out
            for equation in jaxpr.eqns
            for out in equation.outvars
            if equation.primitive.name == "broadcast_in_dim" and _is_scalar(equation.invars[0])
        }
        for equation in reversed(jaxpr.eqns):
            wanted = [out in found for out in equation.outvars]
            if equation.primitive.name in _WITH_EPSILON:
                first, second = (
                    _is_scalar(atom) or (isinstance(atom, Var) and atom in numbers)
                    for atom in equation.invars
                )
                divides = [any(wanted) and second, any(wanted) and first]
            else:
                divides = self._operands_of(equation, wanted)
            found.update(_chosen(equation.invars, divides))
        return found

    def _operands_of(self, equation: JaxprEqn, wanted: list[bool]) -> list[bool]:
        flow = control_flow(equation)
        if flow is None:
            return _through(equation, any(wanted))
        if flow.kind == "call":
            return self.operands(flow.programs[0], wanted)
        if flow.kind == "cond":
            branches = [self.operands(branch, wanted) for branch in flow.programs]
            return [False, *map(any, zip(*branches, strict=True))]
        inside = self.operands(flow.programs[0], self.results_inside(flow, wanted))
        return [False] * flow.condition_consts + inside


def _through(equation: JaxprEqn, result_divides: bool) -> list[bool]:
    """Which operands of an equation without inner programs something is divided by."""
    name, count = equation.primitive.name, len(equation.invars)
    if name in _POLES:
        divides = [place == _POLES[name] for place in range(count)]
        # A small numerator makes a small quotient.
        return [divides[0] or (name == "div" and result_divides), *divides[1:]]
    if name == "integer_pow" and equation.params["y"] < 0:
        return [True]
    if name == "pow" and not _is_positive_constant(equation.invars[1]):
        return [True, False]
    return [result_divides and name in _SMALL_TO_SMALL] * count


def _is_scalar(atom: Var | Literal) -> bool:
    return getattr(atom.aval, "shape", None) == ()


def _is_positive_constant(atom: Var | Literal) -> bool:
    constant = trait_of_constant(atom.val).constant if isinstance(atom, Literal) else None
    return constant is not None and constant > 0


def _chosen(atoms: Iterable[Var | Literal], flags: Iterable[bool]) -> list[Var]:
    return [atom for atom, flag in zip(atoms, flags, strict=True) if flag and isinstance(atom, Var)]
