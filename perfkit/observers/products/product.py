"""One shape of matrix product, as data that needs no JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass

ITEM_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}
"""Bytes of an element; other types are counted as four."""

XLA_TYPES = {"bfloat16": "bf16", "float16": "f16", "float32": "f32", "float64": "f64"}
"""JAX type -> XLA type."""

TOGETHER_FLOP = 4e9
"""As many products are measured together as have this work, so that a call's own cost vanishes."""

MOST_TOGETHER = 64

type Axes = tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """One shape of ``dot_general``. Two equations of a program with equal values are one shape.

    The requested precision is left out: XLA:CPU computes all precisions of a type alike.

    Attributes
    ----------
    left, right
        Shapes of the operands.
    contracted, batched
        Axes of the left operand and of the right one.
    left_type, right_type, result_type
        Element types, as JAX names them.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    contracted: tuple[Axes, Axes]
    batched: tuple[Axes, Axes]
    left_type: str
    right_type: str
    result_type: str

    @property
    def batch(self) -> int:
        """Number of independent products."""
        return math.prod(self.left[axis] for axis in self.batched[0])

    @property
    def depth(self) -> int:
        """Length of the sums."""
        return math.prod(self.left[axis] for axis in self.contracted[0])

    @property
    def rows(self) -> int:
        """Rows of each result."""
        return _left_over(self.left, self.batched[0] + self.contracted[0])

    @property
    def columns(self) -> int:
        """Columns of each result."""
        return _left_over(self.right, self.batched[1] + self.contracted[1])

    @property
    def elements(self) -> int:
        """Number of elements of the result."""
        return self.batch * self.rows * self.columns

    @property
    def result(self) -> tuple[int, ...]:
        """Shape of the result: batch axes, free axes of the left operand, then of the right."""
        free_left = _free(self.left, self.batched[0] + self.contracted[0])
        free_right = _free(self.right, self.batched[1] + self.contracted[1])
        return (*(self.left[axis] for axis in self.batched[0]), *free_left, *free_right)

    @property
    def flop(self) -> int:
        """Multiplications and additions."""
        return 2 * self.elements * self.depth

    @property
    def bytes(self) -> int:
        """Size of operands and result: the least that is read and written."""
        return (
            math.prod(self.left) * ITEM_BYTES.get(self.left_type, 4)
            + math.prod(self.right) * ITEM_BYTES.get(self.right_type, 4)
            + self.elements * ITEM_BYTES.get(self.result_type, 4)
        )

    @property
    def ceiling_type(self) -> str:
        """Type of the operands as XLA names it, which decides on the ceiling."""
        return XLA_TYPES.get(self.left_type, self.left_type)

    @property
    def together(self) -> int:
        """Number of such products that are measured in one call."""
        return min(max(1, round(TOGETHER_FLOP / self.flop)), MOST_TOGETHER)

    @property
    def label(self) -> str:
        """E.g. ``bf16 bmk[4,256,32] x bnk[4,256,32]``.

        The letters are the roles of the axes: b for batch, k for contracted, m and n for the rest.
        Equal shapes with axes in other roles differ in speed.
        """
        sides = [
            _roles(len(shape), batched, contracted, letter) + f"[{','.join(map(str, shape))}]"
            for shape, batched, contracted, letter in zip(
                (self.left, self.right), self.batched, self.contracted, "mn", strict=True
            )
        ]
        kinds = {self.left_type, self.right_type, self.result_type}
        result_type = XLA_TYPES.get(self.result_type, self.result_type)
        result = f" -> {result_type}" if len(kinds) > 1 else ""
        return f"{self.ceiling_type} {sides[0]} x {sides[1]}{result}"


def _free(shape: tuple[int, ...], taken: Axes) -> list[int]:
    return [size for axis, size in enumerate(shape) if axis not in taken]


def _left_over(shape: tuple[int, ...], taken: Axes) -> int:
    return math.prod(_free(shape, taken))


def _roles(rank: int, batched: Axes, contracted: Axes, free: str) -> str:
    return "".join(
        "b" if axis in batched else "k" if axis in contracted else free for axis in range(rank)
    )
