"""Agreement is classified by the declared tolerances, and broken outputs never agree."""

from __future__ import annotations

import json
import math
import tracemalloc
import weakref

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from perfkit.answers.agreement import (
    BLOCK,
    AgreementClass,
    Tolerance,
    compare,
    radius_of_gyration,
    relative_distance,
    superpose,
)
from perfkit.answers.made_arrays import MadeArrays

VALUES = Tolerance(float32=1e-4, bfloat16=1e-2)
POSITIONS = Tolerance(float32=1e-4, bfloat16=1e-2, kind="positions")


def random_structure(seed: int, atoms: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(atoms, 3)) * [4.0, 7.0, 11.0]


def test_classes_are_ordered_best_first() -> None:
    assert [member.label for member in sorted(AgreementClass)] == [
        "bitwise",
        "float32",
        "bfloat16",
        "none",
    ]


@pytest.mark.parametrize(
    ("factor", "reached"),
    [
        (0.0, AgreementClass.BITWISE),
        (5e-5, AgreementClass.FLOAT32),
        (5e-3, AgreementClass.BFLOAT16),
        (5e-2, AgreementClass.NONE),
    ],
)
def test_the_class_follows_the_relative_distance(factor: float, reached: AgreementClass) -> None:
    reference = np.array([3.0, 4.0])
    result = compare({"x": reference * (1 + factor)}, {"x": reference}, {"x": VALUES})
    assert result.reached is reached
    assert result.quantities[0].distance == pytest.approx(factor)
    assert result.quantities[0].largest_difference == pytest.approx(4 * factor)


def test_a_weight_that_is_off_by_one_per_cent_disagrees() -> None:
    rng = np.random.default_rng(0)
    weights, features = rng.normal(size=(8, 8)), rng.normal(size=(5, 8))
    wrong = weights.copy()
    wrong[3] *= 1.01
    tight = Tolerance(float32=1e-6, bfloat16=1e-3)
    result = compare({"y": features @ wrong}, {"y": features @ weights}, {"y": tight})
    assert result.reached is AgreementClass.NONE
    assert not result.within(AgreementClass.BFLOAT16)


def test_the_overall_class_is_the_worst() -> None:
    ones = np.ones(4)
    result = compare(
        {"a": ones, "b": ones * 1.001, "c": ones * 1.00001},
        {"a": ones, "b": ones, "c": ones},
        {"a": VALUES, "b": VALUES, "c": VALUES},
    )
    assert result.reached is AgreementClass.BFLOAT16
    assert "decided by b" in result.sentence()
    assert result.within(AgreementClass.BFLOAT16)
    assert not result.within(AgreementClass.FLOAT32)


@pytest.mark.parametrize(
    ("candidate", "reference", "reason"),
    [
        (np.ones((2, 1)), np.ones(2), "shape"),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), "not finite in the candidate"),
        (np.ones(1), np.array([np.inf]), "not finite in the reference"),
        (np.array([np.inf]), np.array([np.inf]), "not finite"),
        (None, np.ones(1), "missing in the candidate"),
    ],
)
def test_broken_outputs_never_agree(
    candidate: np.ndarray | None, reference: np.ndarray, reason: str
) -> None:
    ours = {} if candidate is None else {"x": candidate}
    result = compare(ours, {"x": reference}, {"x": VALUES})
    assert result.reached is AgreementClass.NONE
    assert reason in result.quantities[0].reason
    assert json.loads(json.dumps(result.as_dict()))["quantities"][0]["distance"] is None


def test_an_empty_comparison_is_no_agreement() -> None:
    assert not compare({}, {}, {}).within(AgreementClass.BFLOAT16)


def test_equal_numbers_of_another_dtype_do_not_agree_bitwise() -> None:
    reference = np.ones(3, np.float32)
    result = compare({"x": reference.astype(ml_dtypes.bfloat16)}, {"x": reference}, {"x": VALUES})
    assert result.reached is AgreementClass.FLOAT32


def test_negative_zero_and_zero_do_not_agree_bitwise() -> None:
    result = compare({"x": np.array([-0.0])}, {"x": np.array([0.0])}, {"x": VALUES})
    assert result.reached is AgreementClass.FLOAT32


def test_declared_nan_must_be_nan_on_both_sides() -> None:
    land = np.array([True, False])
    reference = {"sst": np.array([np.nan, 280.0])}
    mask = {"sst": land}
    assert compare(reference, reference, {"sst": VALUES}, mask).reached is AgreementClass.BITWISE
    filled = compare({"sst": np.array([0.0, 280.0])}, reference, {"sst": VALUES}, mask)
    assert filled.reached is AgreementClass.NONE


def test_only_zero_agrees_with_a_zero_reference() -> None:
    assert relative_distance([0.0], [0.0]) == 0.0
    assert relative_distance([1e-30], [0.0]) == math.inf


def rmsd(atoms: np.ndarray, others: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.sum((atoms - others) ** 2, axis=-1))))


@given(seed=st.integers(0, 1000))
def test_a_moved_structure_is_the_same_structure(seed: int) -> None:
    structure = random_structure(seed)
    rotation = Rotation.random(rng=np.random.default_rng(seed))
    moved = rotation.apply(structure) + np.array([5.0, -3.0, 2.0])
    assert rmsd(superpose(moved, structure), structure) < 1e-10
    result = compare({"p": moved[None]}, {"p": structure[None]}, {"p": POSITIONS})
    assert result.reached is AgreementClass.FLOAT32


@given(seed=st.integers(0, 1000))
def test_superposition_is_the_rotation_of_kabsch(seed: int) -> None:
    mobile, target = random_structure(seed), random_structure(seed + 1)
    # Kabsch by hand: singular vectors of the covariance, with a sign for a proper rotation.
    centred, fixed = mobile - mobile.mean(0), target - target.mean(0)
    left, _, right = np.linalg.svd(centred.T @ fixed)
    sign = np.sign(np.linalg.det(left @ right))
    expected = centred @ left @ np.diag([1, 1, sign]) @ right + target.mean(0)
    np.testing.assert_allclose(superpose(mobile, target), expected, atol=1e-8)


CROSS = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 1], [0, 0, -1]])
"""Six atoms on the axes, at distances 3, 2 and 1 from the origin."""


def test_a_quarter_turn_and_a_shift_are_undone_exactly() -> None:
    # Turned by 90 degrees about z: (x, y, z) -> (-y, x, z); then shifted.
    turned = CROSS[:, [1, 0, 2]] * [-1, 1, 1] + [10.0, 0, -5]
    np.testing.assert_allclose(superpose(turned, CROSS), CROSS, atol=1e-12)


def test_a_reflection_is_not_undone_by_a_rotation() -> None:
    # The sums of x y, x z and y z vanish, so the covariance with the mirror image is diagonal:
    # (36, 16, -4). Of the proper rotations, the identity has the largest trace: 36 + 16 - 4.
    chiral = np.array([[3.0, 2, 1], [3, -2, -1], [-3, 2, -1], [-3, -2, 1]])
    mirrored = chiral * [1, 1, -1]
    np.testing.assert_allclose(superpose(mirrored, chiral), mirrored, atol=1e-12)
    # Each of the four atoms is off by 2 in z, and its distance from the centre is sqrt(14).
    (quantity,) = compare({"p": mirrored}, {"p": chiral}, {"p": POSITIONS}).quantities
    assert quantity.distance == pytest.approx(2 / math.sqrt(14))
    assert quantity.largest_difference == pytest.approx(2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("mobile", "target"),
    [
        ([[1.0, 2, 3]], [[4.0, 5, 6]]),
        ([[0.0, 1, 0], [0, -1, 0]], [[1.0, 0, 0], [-1, 0, 0]]),
        ([[0.0, 0, 1], [0, 0, -2], [0, 0, 1]], [[1.0, 0, 0], [-2, 0, 0], [1, 0, 0]]),
        ([[1.0, 1, 1], [1, 1, 1]], [[2.0, 2, 2], [2, 2, 2]]),
    ],
    ids=["one atom", "two atoms", "a line", "one point"],
)
def test_structures_without_a_unique_rotation_are_superposed(
    mobile: list[list[float]], target: list[list[float]]
) -> None:
    np.testing.assert_allclose(superpose(mobile, target), target, atol=1e-12)


def test_a_mirror_image_is_another_structure() -> None:
    structure = random_structure(3)
    mirrored = structure * [-1, 1, 1]
    assert rmsd(superpose(mirrored, structure), structure) > 1.0
    result = compare({"p": mirrored}, {"p": structure}, {"p": POSITIONS})
    assert result.reached is AgreementClass.NONE


def test_the_distance_of_positions_is_rmsd_over_radius_of_gyration() -> None:
    square = np.array([[1.0, 1, 0], [1, -1, 0], [-1, -1, 0], [-1, 1, 0]])
    assert radius_of_gyration(square) == pytest.approx(math.sqrt(2))
    result = compare({"p": square * 1.1}, {"p": square}, {"p": POSITIONS})
    assert result.quantities[0].distance == pytest.approx(0.1)
    assert result.quantities[0].largest_difference == pytest.approx(0.1 * math.sqrt(2))


def test_the_worst_of_several_structures_decides() -> None:
    first, second = random_structure(1), random_structure(2)
    both = np.stack([first, second])
    one_scaled = np.stack([first, second * 1.05])
    result = compare({"p": one_scaled}, {"p": both}, {"p": POSITIONS})
    assert result.quantities[0].distance == pytest.approx(0.05)


def test_a_given_scale_replaces_the_radius_of_gyration() -> None:
    square = np.array([[1.0, 1, 0], [1, -1, 0], [-1, -1, 0], [-1, 1, 0]])
    noise = Tolerance(float32=1e-4, bfloat16=1e-2, kind="positions", scale=16.0, why="noise")
    (quantity,) = compare({"p": square * 1.1}, {"p": square}, {"p": noise}).quantities
    assert quantity.distance == pytest.approx(0.1 * math.sqrt(2) / 16)
    assert quantity.as_dict()["why"] == "noise"


def test_a_quantity_that_neither_side_has_is_not_compared() -> None:
    outputs = {"x": np.ones(2)}
    result = compare(outputs, outputs, {"x": VALUES, "logits": VALUES})
    assert [quantity.name for quantity in result.quantities] == ["x"]


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf])
def test_an_impossible_scale_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        Tolerance(float32=0.1, bfloat16=0.2, scale=scale)


@pytest.mark.parametrize(("narrow", "wide"), [(-1.0, 1.0), (2.0, 1.0), (0.0, math.nan)])
def test_impossible_tolerances_are_refused(narrow: float, wide: float) -> None:
    with pytest.raises(ValueError, match="tolerances"):
        Tolerance(float32=narrow, bfloat16=wide)


def test_large_arrays_are_compared_without_large_copies() -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(size=12 * BLOCK + 5).astype(np.float32)
    candidate = reference * np.float32(1.001)
    tracemalloc.start()
    try:
        [found] = compare({"x": candidate}, {"x": reference}, {"x": VALUES}).quantities
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * BLOCK * np.dtype(np.float64).itemsize
    assert found.distance == pytest.approx(1e-3, rel=1e-4)
    assert found.largest_difference == np.max(
        np.abs(candidate.astype(float) - reference.astype(float))
    )


@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 2 * BLOCK])
def test_what_is_wrong_in_any_block_is_found(place: int) -> None:
    reference = np.ones(2 * BLOCK + 1, np.float32)
    one_bit = reference.copy()
    one_bit[place] = np.nextafter(np.float32(1), np.float32(2))
    assert (
        compare({"x": one_bit}, {"x": reference}, {"x": VALUES}).reached is AgreementClass.FLOAT32
    )
    broken = reference.copy()
    broken[place] = np.nan
    [found] = compare({"x": broken}, {"x": reference}, {"x": VALUES}).quantities
    assert (found.reached, found.reason) == (AgreementClass.NONE, "not finite in the candidate")


def test_one_array_of_a_side_is_held_at_a_time() -> None:
    held = most = 0

    def forget() -> None:
        nonlocal held
        held -= 1

    def make() -> np.ndarray:
        nonlocal held, most
        array = np.ones(3)
        weakref.finalize(array, forget)
        held += 1
        most = max(most, held)
        return array

    made = MadeArrays(dict.fromkeys("abc", make))
    assert compare(made, made, dict.fromkeys("abc", VALUES)).reached is AgreementClass.BITWISE
    assert most == 2
