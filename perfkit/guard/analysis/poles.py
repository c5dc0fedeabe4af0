"""Finds the poles of a traced program: the values that it divides by, directly or later.

In ``y = x / sqrt(a - b)``, both ``sqrt(a - b)`` and ``a - b`` are poles. The guard does not zero
rounding in a pole. If the numerator is itself rounding, dividing it by zero, or by a small epsilon
that the program adds, makes it infinite or large; dividing it by a residue of the same rounding
keeps it small.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

from jax.extend.core import JaxprEqn, Literal, Var

from perfkit.guard.analysis.structure import ControlFlow, Program, control_flow
from perfkit.guard.analysis.traits import SHAPE_OPERATIONS, SPLITS, trait_of_constant

_POLES = {"div": 1, "rem": 1, "rsqrt": 0, "log": 0, "log2": 0, "atan2": 1}
"""Primitive -> index of the operand that has the pole: the divisor, or the operand of a log."""

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
"""Primitives whose result may be small because an operand is small."""

_WITH_EPSILON = frozenset({"add", "sub", "max", "min"})
"""Primitives whose result may be small because an operand is small, if the other operand is a
single number such as an epsilon. The sum with another array of the model is as large as that
array."""


class Poles:
    """Searches programs from their results to their operands, each distinct use once."""

    def __init__(self) -> None:
        """Start with no program searched."""
        self._found: dict[Any, set[Var]] = {}
        # The keys hold ids of jaxprs, which stay unique only while the programs exist.
        self._alive: list[Program] = []

    def inside(self, program: Program, results: Sequence[bool]) -> set[Var]:
        """Return the values of a program that it, or its caller, divides by.

        Parameters
        ----------
        program
            The program.
        results
            For each result, whether the caller divides by it.
        """
        key = (id(program.jaxpr), tuple(results))
        if key not in self._found:
            self._alive.append(program)
            self._found[key] = self._search(program, results)
        return self._found[key]

    def operands(self, program: Program, results: Sequence[bool]) -> list[bool]:
        """Return for each operand of a program whether it is a pole."""
        found = self.inside(program, results)
        return [operand in found for operand in program.jaxpr.invars]

    def results_inside(self, flow: ControlFlow, results: Sequence[bool]) -> list[bool]:
        """Return for each result of an equation's programs whether it is a pole.

        The carry of a loop is a pole if the program divides by it after the loop, or in the next
        iteration.

        Parameters
        ----------
        flow
            The control flow of the equation.
        results
            For each result of the equation, whether the program divides by it.
        """
        divisors = list(results)
        if not flow.is_loop:
            return divisors
        while True:
            inside = self.operands(flow.programs[0], divisors)
            carried = inside[flow.consts : flow.consts + flow.carry]
            joined = list(map(operator.or_, divisors, carried)) + divisors[flow.carry :]
            if joined == divisors:
                return divisors
            divisors = joined

    def _search(self, program: Program, results: Sequence[bool]) -> set[Var]:
        jaxpr = program.jaxpr
        found = set(_flagged(jaxpr.outvars, results))
        single_numbers = {
            out
            for equation in jaxpr.eqns
            for out in equation.outvars
            if equation.primitive.name == "broadcast_in_dim" and _is_scalar(equation.invars[0])
        }
        for equation in reversed(jaxpr.eqns):
            wanted = [out in found for out in equation.outvars]
            if equation.primitive.name in _WITH_EPSILON:
                first, second = (
                    _is_scalar(atom) or (isinstance(atom, Var) and atom in single_numbers)
                    for atom in equation.invars
                )
                divisors = [any(wanted) and second, any(wanted) and first]
            else:
                divisors = self._operands_of(equation, wanted)
            found.update(_flagged(equation.invars, divisors))
        return found

    def _operands_of(self, equation: JaxprEqn, wanted: list[bool]) -> list[bool]:
        flow = control_flow(equation)
        if flow is None:
            return _poles_of_operands(equation, any(wanted))
        if flow.kind == "call":
            return self.operands(flow.programs[0], wanted)
        if flow.kind == "cond":
            branches = [self.operands(branch, wanted) for branch in flow.programs]
            return [False, *map(any, zip(*branches, strict=True))]
        inside = self.operands(flow.programs[0], self.results_inside(flow, wanted))
        return [False] * flow.condition_consts + inside


def _poles_of_operands(equation: JaxprEqn, result_is_pole: bool) -> list[bool]:
    """Return which operands of an equation without inner programs are poles."""
    name, count = equation.primitive.name, len(equation.invars)
    if name in _POLES:
        divisors = [position == _POLES[name] for position in range(count)]
        # A small numerator makes a small quotient.
        return [divisors[0] or (name == "div" and result_is_pole), *divisors[1:]]
    if name == "integer_pow" and equation.params["y"] < 0:
        return [True]
    if name == "pow" and not _is_positive_constant(equation.invars[1]):
        return [True, False]
    return [result_is_pole and name in _SMALL_TO_SMALL] * count


def _is_scalar(atom: Var | Literal) -> bool:
    return getattr(atom.aval, "shape", None) == ()


def _is_positive_constant(atom: Var | Literal) -> bool:
    constant = trait_of_constant(atom.val).constant if isinstance(atom, Literal) else None
    return constant is not None and constant > 0


def _flagged(atoms: Iterable[Var | Literal], flags: Iterable[bool]) -> list[Var]:
    return [atom for atom, flag in zip(atoms, flags, strict=True) if flag and isinstance(atom, Var)]
