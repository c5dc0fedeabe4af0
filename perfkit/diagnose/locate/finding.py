"""Describes where a bad value, NaN or infinity, arose."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

from perfkit.guard.analysis.origin import Origin

Kind = Literal["nan", "inf"]


@dataclasses.dataclass(frozen=True)
class Operand:
    """One operand of the equation that made the bad value.

    Attributes
    ----------
    shape, dtype
        Shape and dtype of the operand.
    smallest, largest
        Range of its elements; NaN if an element is NaN or the operand is empty.
    at_fault
        The operand's element at the position of the first bad element of the result. None if the
        operand is neither a single number nor of the shape of the result.
    """

    shape: tuple[int, ...]
    dtype: str
    smallest: float
    largest: float
    at_fault: float | None


@dataclasses.dataclass(frozen=True)
class Finding:
    """The equation in which the first bad value arose.

    Attributes
    ----------
    kind
        ``nan`` or ``inf``.
    certainty
        ``found``: this equation made the bad value from good operands. ``argument``: the bad
        value is in the arguments. ``inside``: a program inside this equation makes the bad
        value, but not if its equations run separately, so that the cause includes rounding across
        equations.
    primitive
        The JAX primitive, or ``argument``.
    origin
        Source file, line and function in the program, and the module path.
    iterations
        The loops around the equation, outermost first: module path and iteration, from 0.
    index
        Position of the first bad element in the result.
    operands
        The operands of the equation.
    """

    kind: Kind
    certainty: Literal["found", "argument", "inside"]
    primitive: str
    origin: Origin
    iterations: tuple[tuple[str, int], ...] = ()
    index: tuple[int, ...] = ()
    operands: tuple[Operand, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return the finding as plain data for JSON; numbers that are not finite become text."""
        plain = dataclasses.asdict(self)
        for operand in plain["operands"]:
            for key in ("smallest", "largest", "at_fault"):
                value = operand[key]
                operand[key] = value if value is None or math.isfinite(value) else str(value)
        return plain

    def sentence(self) -> str:
        """Return one sentence: primitive, values, source line and iterations."""
        if self.certainty == "argument":
            return f"the first {self.kind} is in the arguments ({self.origin.module_path})"
        iterations = ", ".join(f"iteration {number} of {path}" for path, number in self.iterations)
        values = ", ".join(
            f"{operand.at_fault:g}" for operand in self.operands if operand.at_fault is not None
        )
        verb = "arose in" if self.certainty == "found" else "arose somewhere inside"
        return (
            f"the first {self.kind} {verb} {self.primitive}"
            f"{f' of {values}' if values else ''} at {self.origin.file}:{self.origin.line}"
            f" ({self.origin.function}), module {self.origin.module_path or 'top'}"
            f"{f', {iterations}' if iterations else ''}"
        )


def finding_from_dict(plain: Mapping[str, Any]) -> Finding:
    """Return the finding that :meth:`Finding.as_dict` gave as plain data."""
    return Finding(
        kind=plain["kind"],
        certainty=plain["certainty"],
        primitive=plain["primitive"],
        origin=Origin(**plain["origin"]),
        iterations=tuple((path, number) for path, number in plain["iterations"]),
        index=tuple(plain["index"]),
        operands=tuple(_operand(operand) for operand in plain["operands"]),
    )


def _operand(plain: Mapping[str, Any]) -> Operand:
    at_fault = plain["at_fault"]
    return Operand(
        shape=tuple(plain["shape"]),
        dtype=plain["dtype"],
        smallest=float(plain["smallest"]),
        largest=float(plain["largest"]),
        at_fault=None if at_fault is None else float(at_fault),
    )
