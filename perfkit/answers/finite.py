"""Counts NaN and infinite elements in the outputs of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

_EXACT_KINDS = "biuSUO"
"""NumPy dtype kinds that cannot hold NaN or infinity; bfloat16 and float8 are kind V."""


@dataclasses.dataclass(frozen=True)
class DeclaredNan:
    """Where the arguments and results of a call are NaN by the definition of the model.

    Attributes
    ----------
    arguments, results
        Key path of a leaf, in the tuple of arguments and in the result, mapped to a boolean mask
        that is broadcastable to the leaf. Key paths have the form of ``jax.tree_util.keystr``,
        for example ``[1]['sea_surface_temperature']``.
    """

    arguments: Mapping[str, NDArray[np.bool_]] = dataclasses.field(default_factory=dict)
    results: Mapping[str, NDArray[np.bool_]] = dataclasses.field(default_factory=dict)


NOTHING_DECLARED = DeclaredNan()


@dataclasses.dataclass(frozen=True)
class LeafCounts:
    """How many elements of one output array are NaN or infinite.

    Attributes
    ----------
    name
        Name of the output.
    size
        Number of elements.
    nan
        Number of elements that are NaN where the model declares none.
    expected_nan
        Number of elements that are NaN where the model declares NaN.
    absent_nan
        Number of elements that are not NaN where the model declares NaN.
    positive_infinity, negative_infinity
        Number of elements that are +inf and -inf.
    """

    name: str
    size: int
    nan: int = 0
    expected_nan: int = 0
    absent_nan: int = 0
    positive_infinity: int = 0
    negative_infinity: int = 0

    @property
    def bad(self) -> int:
        """Number of elements that are infinite, or NaN where the model declares none."""
        return self.nan + self.positive_infinity + self.negative_infinity

    @property
    def fraction(self) -> float:
        """Bad elements as a fraction of all; 0 for an empty array."""
        return self.bad / self.size if self.size else 0.0

    def as_dict(self) -> dict[str, str | int | float]:
        """Return the counts as plain data for JSON."""
        return {**dataclasses.asdict(self), "bad": self.bad, "fraction": self.fraction}


@dataclasses.dataclass(frozen=True)
class FiniteReport:
    """The counts of all outputs.

    Attributes
    ----------
    leaves
        The counts of each output, in the order of the outputs.
    """

    leaves: tuple[LeafCounts, ...]

    @property
    def finite(self) -> bool:
        """Whether no output holds an undeclared NaN or an infinity."""
        return not any(leaf.bad for leaf in self.leaves)

    @property
    def bad_leaves(self) -> tuple[LeafCounts, ...]:
        """The outputs that hold an undeclared NaN or an infinity."""
        return tuple(leaf for leaf in self.leaves if leaf.bad)

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain data for JSON."""
        return {
            "finite": self.finite,
            "leaves": [leaf.as_dict() for leaf in self.leaves],
        }

    def sentence(self) -> str:
        """Return one sentence: all outputs are finite, or the worst output and its counts."""
        if self.finite:
            return f"all {len(self.leaves)} outputs are finite"
        worst = max(self.bad_leaves, key=lambda leaf: leaf.fraction)
        return (
            f"{len(self.bad_leaves)} of {len(self.leaves)} outputs are not finite; "
            f"worst is {worst.name}: {worst.bad} of {worst.size} elements "
            f"({worst.nan} NaN, {worst.positive_infinity} +inf, {worst.negative_infinity} -inf)"
        )


def count_leaf(name: str, values: ArrayLike, expected_nan: ArrayLike | None = None) -> LeafCounts:
    """Count NaN and infinities in one array.

    Parameters
    ----------
    name
        Name of the array in the report.
    values
        Array of any shape and dtype. A complex element counts once: as NaN if a part is NaN,
        else as infinite with the sign of its first infinite part.
    expected_nan
        Boolean mask, broadcastable to the shape of ``values``, of the elements that the model
        declares to be NaN.

    Raises
    ------
    ValueError
        ``expected_nan`` cannot be broadcast to the shape of ``values``.
    """
    array = np.asarray(values)
    mask = None if expected_nan is None else np.broadcast_to(expected_nan, array.shape)
    if array.dtype.kind in _EXACT_KINDS or bool(np.all(np.isfinite(array))):
        absent = 0 if mask is None else int(np.count_nonzero(mask))
        return LeafCounts(name, array.size, absent_nan=absent)
    is_nan: NDArray[np.bool_] = np.isnan(array)
    is_infinite = np.isinf(array)
    signed = array
    if array.dtype.kind == "c":
        signed = np.where(np.isinf(array.real), array.real, array.imag)
        is_infinite &= ~is_nan
    negative = int(np.count_nonzero(is_infinite & (signed < 0)))
    expected = is_nan & mask if mask is not None else np.zeros_like(is_nan)
    return LeafCounts(
        name=name,
        size=array.size,
        nan=int(np.count_nonzero(is_nan & ~expected)),
        expected_nan=int(np.count_nonzero(expected)),
        absent_nan=0 if mask is None else int(np.count_nonzero(mask & ~is_nan)),
        positive_infinity=int(np.count_nonzero(is_infinite)) - negative,
        negative_infinity=negative,
    )


def check_finite(
    outputs: Mapping[str, ArrayLike],
    expected_nan: Mapping[str, ArrayLike] | None = None,
) -> FiniteReport:
    """Count NaN and infinities in every output.

    Parameters
    ----------
    outputs
        Arrays by name; the caller flattens a nested result.
    expected_nan
        For some outputs, a boolean mask, broadcastable to the output, of the elements that the
        model declares to be NaN, for example sea-surface temperature over land.

    Raises
    ------
    ValueError
        A mask is given for an output that does not exist, or does not fit its shape.
    """
    masks = dict(expected_nan or {})
    unknown = sorted(set(masks) - set(outputs))
    if unknown:
        raise ValueError(f"NaN is declared for outputs that do not exist: {', '.join(unknown)}")
    return FiniteReport(
        tuple(count_leaf(name, values, masks.get(name)) for name, values in outputs.items())
    )
