"""A traced program as one list of steps, which can be cut into ranges that compile on their own.

Calls (``jit``, ``custom_jvp_call``, ...) are replaced by the equations of what they call, as XLA
does. Loops and branches stay single steps. Every value has a number, so that a function that is
called twice has other values in each call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Literal, Var

from perfkit.guard.analysis.origin import in_hlo, join_path
from perfkit.guard.analysis.source import origin_of
from perfkit.guard.analysis.structure import (
    Program,
    control_flow,
    dtype_of,
    program_label,
    repeat,
)

type Operand = int | Literal
"""Number of a value, or a literal of the program."""


@dataclass(frozen=True)
class Step:
    """One equation of a flat program.

    Attributes
    ----------
    equation
        The equation, with the parameters of its primitive.
    operands
        Its operands, in order.
    results
        Numbers of its results, in order.
    scope
        Module path of the equation, as in the ``op_name`` of optimised HLO but without the name of
        the primitive.
    """

    equation: JaxprEqn
    operands: tuple[Operand, ...]
    results: tuple[int, ...]
    scope: str

    @property
    def primitive(self) -> str:
        """Name of the primitive."""
        return str(self.equation.primitive.name)

    @property
    def op_name(self) -> str:
        """Path of the operation, as in the metadata of optimised HLO."""
        return join_path(self.scope, self.primitive)

    @property
    def reads(self) -> tuple[int, ...]:
        """Numbers of the values among the operands."""
        return tuple(operand for operand in self.operands if isinstance(operand, int))

    def sentence(self) -> str:
        """The operation with the types of its operands and its source line."""
        operands = ", ".join(str(atom.aval) for atom in self.equation.invars)
        results = ", ".join(str(atom.aval) for atom in self.equation.outvars)
        origin = origin_of(self.equation)
        return (
            f"{self.primitive}({operands}) -> {results} at {origin.file}:{origin.line} "
            f"({origin.function}), module {self.scope or 'top'}"
        )


@dataclass(frozen=True)
class FlatProgram:
    """A program as a list of steps.

    Attributes
    ----------
    steps
        The steps, in order.
    inputs
        Numbers of the operands of the program.
    outputs
        Its results; a result may be a literal.
    constants
        Values of its constants, by number.
    avals
        Type of each value: an object with ``shape`` and ``dtype``.
    """

    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[Operand, ...]
    constants: Mapping[int, Any]
    avals: Mapping[int, Any]

    @property
    def results(self) -> list[int]:
        """Numbers of the results that are values, each once."""
        return list(dict.fromkeys(each for each in self.outputs if isinstance(each, int)))

    def live_after(self, end: int) -> list[int]:
        """Numbers of the values that the first ``end`` steps make and that are used later."""
        later = {number for step in self.steps[end:] for number in step.reads}
        later.update(self.results)
        made = (number for step in self.steps[:end] for number in step.results)
        return [number for number in made if number in later]

    def cuts(self) -> list[int]:
        """Positions between steps, ends included, where all values that pass are arrays."""
        positions = range(len(self.steps) + 1)
        return [end for end in positions if all(map(self.is_array, self.live_after(end)))]

    def is_array(self, number: int) -> bool:
        """Whether a value is an array that a file can hold; a PRNG key or a token is not."""
        dtype = getattr(self.avals[number], "dtype", None)
        return dtype is not None and not jnp.issubdtype(dtype, jax.dtypes.extended)


def live_in(steps: Sequence[Step], outputs: Sequence[int] = ()) -> list[int]:
    """Numbers of the values that some steps, or results of theirs, take from before."""
    made = {number for step in steps for number in step.results}
    read = [number for step in steps for number in step.reads]
    return list(dict.fromkeys(number for number in (*read, *outputs) if number not in made))


def needed_for(
    steps: Sequence[Step], wanted: Iterable[int], known: Container[int] = ()
) -> list[Step]:
    """The steps that some values depend on, in order.

    Parameters
    ----------
    steps
        Steps of a program, in order.
    wanted
        Numbers of the values.
    known
        Numbers of values that need not be computed.
    """
    needed = {number for number in wanted if number not in known}
    kept = []
    for step in reversed(steps):
        if needed.isdisjoint(step.results):
            continue
        kept.append(step)
        needed.update(number for number in step.reads if number not in known)
    return kept[::-1]


def flatten(program: Program, scope: str = "") -> FlatProgram:
    """Make a flat program of a traced one.

    Parameters
    ----------
    program
        A jaxpr with its constants.
    scope
        Module path under which the program is reached.
    """
    flattener = _Flattener()
    inputs = [flattener.number(variable.aval) for variable in program.jaxpr.invars]
    outputs = flattener.add(program, inputs, scope)
    return FlatProgram(
        tuple(flattener.steps), tuple(inputs), tuple(outputs), flattener.constants, flattener.avals
    )


def run_steps(
    steps: Sequence[Step],
    inputs: Sequence[int],
    outputs: Sequence[int],
    bind: Callable[[JaxprEqn, Sequence[Any]], Sequence[Any]] = repeat,
) -> Callable[..., list[Any]]:
    """Return a function that runs some steps.

    Parameters
    ----------
    steps
        The steps.
    inputs
        Numbers of the function's arguments.
    outputs
        Numbers of its results.
    bind
        Runs one equation on its operands.
    """

    def run(*values: Any) -> list[Any]:
        known = dict(zip(inputs, values, strict=True))
        for step in steps:
            operands = [
                known[operand] if isinstance(operand, int) else literal_value(operand)
                for operand in step.operands
            ]
            with jax.named_scope(step.scope or "top"):
                made = bind(step.equation, operands)
            known.update(zip(step.results, made, strict=True))
        return [known[number] for number in outputs]

    return run


def literal_value(literal: Literal) -> Any:
    """The value of a literal with its dtype."""
    return jnp.asarray(literal.val, dtype_of(literal))


class _Flattener:
    """Collects steps and numbers their values."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.constants: dict[int, Any] = {}
        self.avals: dict[int, Any] = {}
        self._numbers = itertools.count()

    def number(self, aval: Any) -> int:
        """A new number for a value of this type."""
        number = next(self._numbers)
        self.avals[number] = aval
        return number

    def add(self, program: Program, operands: Sequence[Operand], scope: str) -> list[Operand]:
        """Append the equations of a program, and return its results."""
        jaxpr = program.jaxpr
        names: dict[Var, Operand] = {}
        for variable, value in zip(jaxpr.constvars, program.consts, strict=True):
            names[variable] = number = self.number(variable.aval)
            self.constants[number] = value
        names.update(zip(jaxpr.invars, operands, strict=True))
        for equation in jaxpr.eqns:
            given = tuple(
                atom if isinstance(atom, Literal) else names[atom] for atom in equation.invars
            )
            inner = join_path(scope, str(equation.source_info.name_stack))
            flow = control_flow(equation)
            results: Sequence[Operand]
            if flow is not None and flow.kind == "call":
                called = join_path(inner, in_hlo(program_label(equation, 0)))
                results = self.add(flow.programs[0], given, called)
            else:
                made = tuple(self.number(variable.aval) for variable in equation.outvars)
                self.steps.append(Step(equation, given, made, inner))
                results = made
            names.update(zip(equation.outvars, results, strict=True))
        return [atom if isinstance(atom, Literal) else names[atom] for atom in jaxpr.outvars]
