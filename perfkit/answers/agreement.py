"""Compares the outputs of a configuration with those of the reference configuration."""

from __future__ import annotations

import dataclasses
import enum
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]

BLOCK = 1 << 20
"""Elements that are compared at a time, so that their copies in float64 need little memory."""


class AgreementClass(enum.IntEnum):
    """How closely outputs agree, closest first; ``NONE`` means that they do not agree."""

    BITWISE = 0
    FLOAT32 = 1
    BFLOAT16 = 2
    NONE = 3

    @property
    def label(self) -> str:
        """The name that records use: ``bitwise``, ``float32``, ``bfloat16`` or ``none``."""
        return self.name.lower()


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far one quantity may be from its reference in each agreement class.

    Attributes
    ----------
    float32, bfloat16
        Largest distance in the class, dimensionless: relative RMS distance for values, RMSD
        divided by ``scale`` for positions.
    kind
        ``values`` are compared element by element; ``positions``, of shape ``(..., atoms, 3)``,
        are compared after each structure is superposed on its reference.
    scale
        For positions, the length by which the RMSD is divided, in the unit of the positions;
        None for the radius of gyration of the reference.
    why
        Why this quantity represents the prediction, for the report.

    Raises
    ------
    ValueError
        A tolerance is negative or not finite, float32 is larger than bfloat16, or the scale is
        not a positive length.
    """

    float32: float
    bfloat16: float
    kind: Literal["values", "positions"] = "values"
    scale: float | None = None
    why: str = ""

    def __post_init__(self) -> None:
        """Refuse impossible tolerances."""
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise ValueError(f"the scale must be a finite length above 0, got {self.scale}")
        if not 0 <= self.float32 <= self.bfloat16 < math.inf:
            raise ValueError(
                "tolerances must satisfy 0 <= float32 <= bfloat16 < inf, "
                f"got {self.float32} and {self.bfloat16}"
            )

    def classify(self, distance: float) -> AgreementClass:
        """Return the class of a distance; never ``BITWISE``, which no distance implies."""
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
        Name of the quantity.
    reached
        The best class that the quantity reaches.
    distance
        Relative RMS distance, or RMSD divided by the scale; dimensionless. NaN if the distance
        cannot be measured: a side is missing, has another shape or is not finite.
    largest_difference
        Largest absolute difference of an element, or largest displacement of an atom after
        superposition, in the unit of the quantity; NaN if it cannot be measured.
    reason
        Why the distance cannot be measured, else empty.
    why
        Why this quantity represents the prediction.
    """

    name: str
    reached: AgreementClass
    distance: float
    largest_difference: float
    reason: str = ""
    why: str = ""

    def as_dict(self) -> dict[str, str | float | None]:
        """Return the comparison as plain data for JSON; numbers that are not finite become None."""
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
    """How all compared quantities compare with their references.

    Attributes
    ----------
    quantities
        The comparison of each quantity.
    """

    quantities: tuple[QuantityAgreement, ...]

    @property
    def reached(self) -> AgreementClass:
        """The worst class of any quantity; ``NONE`` if nothing was compared."""
        return max((quantity.reached for quantity in self.quantities), default=AgreementClass.NONE)

    def within(self, wanted: AgreementClass) -> bool:
        """Return whether every quantity reaches the wanted class or a better one."""
        return self.reached is not AgreementClass.NONE and self.reached <= wanted

    def as_dict(self) -> dict[str, object]:
        """Return the comparison as plain data for JSON."""
        return {
            "class": self.reached.label,
            "quantities": [quantity.as_dict() for quantity in self.quantities],
        }

    def sentence(self) -> str:
        """Return one sentence with the class and the quantity that decided it."""
        if not self.quantities:
            return "nothing was compared"
        worst = max(
            self.quantities, key=lambda quantity: (quantity.reached, _rank(quantity.distance))
        )
        detail = worst.reason or f"distance {worst.distance:.3g}"
        return f"agreement class {self.reached.label}, decided by {worst.name} ({detail})"


def compare(
    candidate: Mapping[str, ArrayLike],
    reference: Mapping[str, ArrayLike],
    tolerances: Mapping[str, Tolerance],
    expected_nan: Mapping[str, ArrayLike] | None = None,
) -> Agreement:
    """Compare every quantity that has a tolerance with its reference.

    Parameters
    ----------
    candidate, reference
        Arrays by name, of any dtype; they are compared in float64. Each is asked for once, and only
        one of each side is held at a time.
    tolerances
        Tolerance by name of the quantity. Arrays without a tolerance are ignored.
    expected_nan
        For some quantities of kind ``values``, a boolean mask, broadcastable to the quantity, of
        the elements that the model declares to be NaN. There, both sides must be NaN; the other
        elements are compared.

    Returns
    -------
    Agreement
        One entry for each tolerance, in their order, without quantities that neither side has.
        A quantity that is missing on one side, has another shape or is not finite is in class
        ``NONE``, with the reason.
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
    """Return ``||candidate - reference|| / ||reference||`` over all elements, in float64.

    The distance is 0 for equal arrays, including zero or empty ones, and infinite if only the
    reference is zero.
    """
    theirs = np.asarray(reference)
    difference = sum(float(each @ each) for each in _differences(np.asarray(candidate), theirs))
    whole = sum(float(each @ each) for each in _blocks(theirs))
    return _ratio(math.sqrt(difference), math.sqrt(whole))


def superpose(mobile: ArrayLike, target: ArrayLike) -> Float64Array:
    """Rotate and shift one structure onto another so that their RMSD is smallest.

    Parameters
    ----------
    mobile, target
        Positions, shape ``(atoms, 3)``, with the atoms in the same order and the same unit.

    Returns
    -------
    Float64Array
        ``mobile`` moved onto ``target``, shape ``(atoms, 3)``. The rotation is proper: a mirror
        image stays a mirror image.

    Notes
    -----
    The rotation is that of Kabsch, as ``scipy.spatial.transform.Rotation.align_vectors`` computes
    it: W. Kabsch, "A solution for the best rotation to relate two sets of vectors", Acta
    Crystallographica A32 (1976) 922, with the sign correction of A34 (1978) 827. Structures whose
    best rotation is not unique, such as atoms on a line, get one of the best rotations.
    """
    # Every command imports this module, and only a check of positions superposes.
    from scipy.spatial.transform import Rotation

    moving = _as_float64(np.asarray(mobile))
    fixed = _as_float64(np.asarray(target))
    fixed_centre = fixed.mean(axis=0)
    centred = moving - moving.mean(axis=0)
    # A single atom is at its centre, and SciPy rotates no vector without length.
    if len(centred) > 1:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Optimal rotation is not uniquely")
            rotation, _ = Rotation.align_vectors(fixed - fixed_centre, centred)
        centred = rotation.apply(centred)
    moved: Float64Array = centred + fixed_centre
    return moved


def radius_of_gyration(positions: ArrayLike) -> float:
    """Return the root mean square distance of atoms, shape ``(atoms, 3)``, from their centroid."""
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
    same_bits = ours.dtype == theirs.dtype and all(
        mine.tobytes() == other.tobytes()
        for mine, other in zip(_parts(ours), _parts(theirs), strict=True)
    )
    if expected_nan is not None:
        declared = np.broadcast_to(expected_nan, ours.shape)
        if not (np.all(np.isnan(ours[declared])) and np.all(np.isnan(theirs[declared]))):
            return _unmeasured(name, "a number where NaN is declared")
        ours, theirs = ours[~declared], theirs[~declared]
    for side, array in (("candidate", ours), ("reference", theirs)):
        if not np.all(np.isfinite(array)):
            return _unmeasured(name, f"not finite in the {side}")
    if tolerance.kind == "positions":
        distance, largest = _structure_distance(
            _as_float64(ours), _as_float64(theirs), tolerance.scale
        )
    else:
        distance = relative_distance(ours, theirs)
        differences = _differences(ours, theirs)
        largest = max((float(np.abs(each).max()) for each in differences), default=0.0)
    reached = AgreementClass.BITWISE if same_bits else tolerance.classify(distance)
    return QuantityAgreement(name, reached, distance, largest)


def _structure_distance(
    candidate: Float64Array, reference: Float64Array, scale: float | None
) -> tuple[float, float]:
    """Return the largest scaled RMSD and the largest displacement of an atom in any structure."""
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


def _parts(array: NDArray[np.generic]) -> Iterator[NDArray[np.generic]]:
    """Consecutive parts of the flattened array, of up to :data:`BLOCK` elements."""
    flat = array.reshape(-1)
    return (flat[start : start + BLOCK] for start in range(0, flat.size, BLOCK))


def _blocks(array: NDArray[np.generic]) -> Iterator[Float64Array]:
    return (_as_float64(part) for part in _parts(array))


def _differences(
    candidate: NDArray[np.generic], reference: NDArray[np.generic]
) -> Iterator[Float64Array]:
    pairs = zip(_blocks(candidate), _blocks(reference), strict=True)
    return (ours - theirs for ours, theirs in pairs)


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
