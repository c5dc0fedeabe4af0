"""What is said of the place where a bad value arose."""

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
        Its type.
    smallest, largest
        Its range (NaN where it holds NaN or nothing).
    at_fault
        Its value at the first bad element of the result, where the operand has the result's
        shape or is a single number.
    """

    shape: tuple[int, ...]
    dtype: str
    smallest: float
    largest: float
    at_fault: float | None


@dataclasses.dataclass(frozen=True)
class Finding:
    """Where the first bad value arose.

    Attributes
    ----------
    kind
        ``nan`` or ``inf``.
    certainty
        ``found``: this equation made it from good operands. ``argument``: it came in with the
        arguments. ``inside``: it is made inside of this equation, but not when that is run in
        smaller pieces, so that rounding across the pieces is part of the cause.
    primitive
        The JAX primitive (or ``argument``).
    origin
        Source file, line and function in the program, and the module path.
    iterations
        Around it, outermost first: each loop's module path and the iteration, from 0.
    index
        Position of the first bad element in the result.
    operands
        What the equation worked on.
    """

    kind: Kind
    certainty: Literal["found", "argument", "inside"]
    primitive: str
    origin: Origin
    iterations: tuple[tuple[str, int], ...] = ()
    index: tuple[int, ...] = ()
    operands: tuple[Operand, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The finding as plain data for JSON; numbers that are not finite become text."""
        plain = dataclasses.asdict(self)
        for operand in plain["operands"]:
            for key in ("smallest", "largest", "at_fault"):
                value = operand[key]
                operand[key] = value if value is None or math.isfinite(value) else str(value)
        return plain

    def sentence(self) -> str:
        """One sentence for a person."""
        if self.certainty == "argument":
            return f"the first {self.kind} came in with the arguments ({self.origin.module_path})"
        rounds = ", ".join(f"iteration {number} of {path}" for path, number in self.iterations)
        values = ", ".join(
            f"{operand.at_fault:g}" for operand in self.operands if operand.at_fault is not None
        )
        verb = "arose in" if self.certainty == "found" else "arose somewhere inside"
        return (
            f"the first {self.kind} {verb} {self.primitive}"
            f"{f' of {values}' if values else ''} at {self.origin.file}:{self.origin.line}"
            f" ({self.origin.function}), module {self.origin.module_path or 'top'}"
            f"{f', {rounds}' if rounds else ''}"
        )


def finding_from_dict(plain: Mapping[str, Any]) -> Finding:
    """The finding that :meth:`Finding.as_dict` gave."""
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
