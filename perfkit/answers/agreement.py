"""Holds the outputs of a configuration against those of the reference configuration."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]


class AgreementClass(enum.IntEnum):
    """How closely outputs agree, best first; ``NONE`` is no agreement."""

    BITWISE = 0
    FLOAT32 = 1
    BFLOAT16 = 2
    NONE = 3

    @property
    def label(self) -> str:
        """The name as it stands in records: ``bitwise``, ``float32``, ``bfloat16``, ``none``."""
        return self.name.lower()


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far one compared quantity may be from the reference, a class.

    Attributes
    ----------
    float32, bfloat16
        Largest distance of the class: relative RMS distance for values, RMSD over the radius
        of gyration for positions (both without unit).
    kind
        ``values`` are compared element by element, ``positions`` (shape ``(..., atoms, 3)``)
        after superposition of each structure.
    scale
        For positions, what the RMSD is divided by, in the positions' unit; None for the
        reference's radius of gyration.
    why
        Why this quantity stands for the prediction, for the report.

    Raises
    ------
    ValueError
        A tolerance is negative or not finite, float32 is wider than bfloat16, or the scale is
        no length.
    """

    float32: float
    bfloat16: float
    kind: Literal["values", "positions"] = "values"
    scale: float | None = None
    why: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no tolerance."""
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise ValueError(f"a scale of distances must be above 0, got {self.scale}")
        if not 0 <= self.float32 <= self.bfloat16 < math.inf:
            raise ValueError(
                "tolerances must satisfy 0 <= float32 <= bfloat16 < inf, "
                f"got {self.float32} and {self.bfloat16}"
            )

    def classify(self, distance: float) -> AgreementClass:
        """The class that a distance reaches (never ``BITWISE``, which is not a distance)."""
        if distance <= self.float32:
            return AgreementClass.FLOAT32
        if distance <= self.bfloat16:
            return AgreementClass.BFLOAT16
        return AgreementClass.NONE


@dataclasses.dataclass(frozen=True)
class QuantityAgreement:
    """How one quantity compares with its reference.

    Attributes
    ----------
    name
        The quantity.
    reached
        The best class it is in.
    distance
        Relative RMS distance, or RMSD over the radius of gyration; NaN where it cannot be
        measured (missing, other shape, not finite).
    largest_difference
        Largest absolute difference of an element, or displacement of an atom after
        superposition, in the quantity's own unit; NaN where it cannot be measured.
    reason
        Why it cannot be measured, else empty.
    why
        Why this quantity stands for the prediction.
    """

    name: str
    reached: AgreementClass
    distance: float
    largest_difference: float
    reason: str = ""
    why: str = ""

    def as_dict(self) -> dict[str, str | float | None]:
        """The comparison as plain data for JSON; what is not finite becomes None."""
        return {
            "name": self.name,
            "class": self.reached.label,
            "distance": _finite_or_none(self.distance),
            "largest_difference": _finite_or_none(self.largest_difference),
            "reason": self.reason,
            "why": self.why,
        }


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How all compared quantities compare with their reference."""

    quantities: tuple[QuantityAgreement, ...]

    @property
    def reached(self) -> AgreementClass:
        """The worst class of any quantity; ``NONE`` when nothing was compared."""
        return max((quantity.reached for quantity in self.quantities), default=AgreementClass.NONE)

    def within(self, wanted: AgreementClass) -> bool:
        """Whether every quantity is in the wanted class or a better one."""
        return self.reached is not AgreementClass.NONE and self.reached <= wanted

    def as_dict(self) -> dict[str, object]:
        """The comparison as plain data for JSON."""
        return {
            "class": self.reached.label,
            "quantities": [quantity.as_dict() for quantity in self.quantities],
        }

    def sentence(self) -> str:
        """One sentence for a person: the class, and the quantity that decided it."""
        if not self.quantities:
            return "nothing was compared"
        worst = max(self.quantities, key=lambda one: (one.reached, _rank(one.distance)))
        detail = worst.reason or f"distance {worst.distance:.3g}"
        return f"agreement class {self.reached.label}, decided by {worst.name} ({detail})"


def compare(
    candidate: Mapping[str, ArrayLike],
    reference: Mapping[str, ArrayLike],
    tolerances: Mapping[str, Tolerance],
    expected_nan: Mapping[str, ArrayLike] | None = None,
) -> Agreement:
    """Hold every quantity that has a tolerance against its reference.

    Parameters
    ----------
    candidate, reference
        Arrays by name, of any dtype; they are compared in float64.
    tolerances
        The quantities to compare and how far each may be from its reference. Arrays without
        a tolerance are not looked at.
    expected_nan
        For some quantities of kind ``values``, a boolean mask (broadcastable to the quantity):
        where the model declares NaN. There both sides must be NaN; the rest is compared.

    Returns
    -------
    Agreement
        One entry a tolerance, in their order, without those of quantities that neither side
        has. A quantity that one side lacks, of another shape or not finite is in class ``NONE``,
        with the reason.
    """
    masks = expected_nan or {}
    entries = (
        _compare_quantity(
            name, candidate.get(name), reference.get(name), tolerance, masks.get(name)
        )
        for name, tolerance in tolerances.items()
        if name in candidate or name in reference
    )
    return Agreement(
        tuple(dataclasses.replace(entry, why=tolerances[entry.name].why) for entry in entries)
    )


def relative_distance(candidate: ArrayLike, reference: ArrayLike) -> float:
    """``||candidate - reference|| / ||reference||`` over all elements, in float64.

    Zero for equal arrays, also when both are zero or empty; infinite when only the reference
    is zero.
    """
    ours = _as_float64(np.asarray(candidate))
    theirs = _as_float64(np.asarray(reference))
    return _ratio(float(np.linalg.norm(ours - theirs)), float(np.linalg.norm(theirs)))


def superpose(mobile: ArrayLike, target: ArrayLike) -> Float64Array:
    """Rotate and shift one structure onto another so that their RMSD is least.

    Parameters
    ----------
    mobile, target
        Positions, shape ``(atoms, 3)``, atom by atom in the same order and unit.

    Returns
    -------
    Float64Array
        ``mobile`` moved onto ``target``, shape ``(atoms, 3)``. The rotation is proper: a
        mirror image stays one.

    Notes
    -----
    W. Kabsch, "A solution for the best rotation to relate two sets of vectors", Acta
    Crystallographica A32 (1976) 922, with the sign correction of A34 (1978) 827.
    """
    moving = _as_float64(np.asarray(mobile))
    fixed = _as_float64(np.asarray(target))
    fixed_centre = fixed.mean(axis=0)
    centred = moving - moving.mean(axis=0)
    left, _, right = np.linalg.svd(centred.T @ (fixed - fixed_centre))
    handedness = np.sign(np.linalg.det(left) * np.linalg.det(right))
    rotation = left @ np.diag([1.0, 1.0, handedness]) @ right
    moved: Float64Array = centred @ rotation + fixed_centre
    return moved


def radius_of_gyration(positions: ArrayLike) -> float:
    """Root mean square distance of atoms, shape ``(atoms, 3)``, from their centroid."""
    atoms = _as_float64(np.asarray(positions))
    return _root_mean_square(atoms - atoms.mean(axis=0))


def _compare_quantity(
    name: str,
    candidate: ArrayLike | None,
    reference: ArrayLike | None,
    tolerance: Tolerance,
    expected_nan: ArrayLike | None,
) -> QuantityAgreement:
    if candidate is None or reference is None:
        side = "candidate" if candidate is None else "reference"
        return _unmeasured(name, f"missing in the {side}")
    ours, theirs = np.asarray(candidate), np.asarray(reference)
    if ours.shape != theirs.shape:
        return _unmeasured(name, f"shape {ours.shape} instead of {theirs.shape}")
    same_bits = ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes()
    ours64, theirs64 = _as_float64(ours), _as_float64(theirs)
    if expected_nan is not None:
        declared = np.broadcast_to(expected_nan, ours.shape)
        if not (np.all(np.isnan(ours64[declared])) and np.all(np.isnan(theirs64[declared]))):
            return _unmeasured(name, "a number where NaN is declared")
        ours64, theirs64 = ours64[~declared], theirs64[~declared]
    for side, array in (("candidate", ours64), ("reference", theirs64)):
        if not np.all(np.isfinite(array)):
            return _unmeasured(name, f"not finite in the {side}")
    if tolerance.kind == "positions":
        distance, largest = _structure_distance(ours64, theirs64, tolerance.scale)
    else:
        distance = relative_distance(ours64, theirs64)
        largest = float(np.max(np.abs(ours64 - theirs64), initial=0.0))
    reached = AgreementClass.BITWISE if same_bits else tolerance.classify(distance)
    return QuantityAgreement(name, reached, distance, largest)


def _structure_distance(
    candidate: Float64Array, reference: Float64Array, scale: float | None
) -> tuple[float, float]:
    """Worst RMSD over scale or radius of gyration of any structure, and largest displacement."""
    distance = largest = 0.0
    atoms = reference.shape[-2] if reference.ndim >= 2 else 0
    if reference.shape[-1:] != (3,) or atoms == 0:
        raise ValueError(f"positions need the shape (..., atoms, 3), got {reference.shape}")
    for ours, theirs in zip(
        candidate.reshape(-1, atoms, 3), reference.reshape(-1, atoms, 3), strict=True
    ):
        displaced = superpose(ours, theirs) - theirs
        relative = _ratio(_root_mean_square(displaced), scale or radius_of_gyration(theirs))
        distance = max(distance, relative)
        largest = max(largest, float(np.linalg.norm(displaced, axis=-1).max()))
    return distance, largest


def _as_float64(array: NDArray[np.generic]) -> Float64Array:
    return array.astype(np.float64)


def _root_mean_square(vectors: Float64Array) -> float:
    return float(np.sqrt(np.mean(np.sum(vectors**2, axis=-1))))


def _ratio(part: float, whole: float) -> float:
    if part == 0:
        return 0.0
    return part / whole if whole else math.inf


def _unmeasured(name: str, reason: str) -> QuantityAgreement:
    return QuantityAgreement(name, AgreementClass.NONE, math.nan, math.nan, reason)


def _rank(distance: float) -> float:
    return math.inf if math.isnan(distance) else distance


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
