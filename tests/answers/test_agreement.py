"""Agreement is measured as declared, and nothing broken ever agrees."""

from __future__ import annotations

import json
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from perfkit.answers.agreement import (
    AgreementClass,
    Tolerance,
    compare,
    radius_of_gyration,
    relative_distance,
    superpose,
)

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


def test_a_weight_perturbed_by_one_per_cent_disagrees() -> None:
    rng = np.random.default_rng(0)
    weights, features = rng.normal(size=(8, 8)), rng.normal(size=(5, 8))
    wrong = weights.copy()
    wrong[3] *= 1.01
    tight = Tolerance(float32=1e-6, bfloat16=1e-3)
    result = compare({"y": features @ wrong}, {"y": features @ weights}, {"y": tight})
    assert result.reached is AgreementClass.NONE
    assert not result.within(AgreementClass.BFLOAT16)


def test_the_overall_class_is_the_worst() -> None:
    one = np.ones(4)
    result = compare(
        {"a": one, "b": one * 1.001, "c": one * 1.00001},
        {"a": one, "b": one, "c": one},
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
def test_what_is_broken_never_agrees(
    candidate: np.ndarray | None, reference: np.ndarray, reason: str
) -> None:
    ours = {} if candidate is None else {"x": candidate}
    result = compare(ours, {"x": reference}, {"x": VALUES})
    assert result.reached is AgreementClass.NONE
    assert reason in result.quantities[0].reason
    assert json.loads(json.dumps(result.as_dict()))["quantities"][0]["distance"] is None


def test_nothing_compared_is_no_agreement() -> None:
    assert not compare({}, {}, {}).within(AgreementClass.BFLOAT16)


def test_equal_numbers_of_another_type_are_not_bitwise() -> None:
    reference = np.ones(3, np.float32)
    result = compare({"x": reference.astype(ml_dtypes.bfloat16)}, {"x": reference}, {"x": VALUES})
    assert result.reached is AgreementClass.FLOAT32


def test_minus_zero_is_not_bitwise_zero() -> None:
    result = compare({"x": np.array([-0.0])}, {"x": np.array([0.0])}, {"x": VALUES})
    assert result.reached is AgreementClass.FLOAT32


def test_declared_nan_is_left_out_on_both_sides() -> None:
    land = np.array([True, False])
    reference = {"sst": np.array([np.nan, 280.0])}
    mask = {"sst": land}
    assert compare(reference, reference, {"sst": VALUES}, mask).reached is AgreementClass.BITWISE
    filled = compare({"sst": np.array([0.0, 280.0])}, reference, {"sst": VALUES}, mask)
    assert filled.reached is AgreementClass.NONE


def test_a_zero_reference_is_matched_by_zero_only() -> None:
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
def test_superposition_is_the_rotation_that_scipy_finds(seed: int) -> None:
    mobile, target = random_structure(seed), random_structure(seed + 1)
    rotation, _ = Rotation.align_vectors(target - target.mean(0), mobile - mobile.mean(0))
    expected = rotation.apply(mobile - mobile.mean(0)) + target.mean(0)
    np.testing.assert_allclose(superpose(mobile, target), expected, atol=1e-8)


def test_a_mirror_image_is_another_structure() -> None:
    structure = random_structure(3)
    mirrored = structure * [-1, 1, 1]
    assert rmsd(superpose(mirrored, structure), structure) > 1.0
    result = compare({"p": mirrored}, {"p": structure}, {"p": POSITIONS})
    assert result.reached is AgreementClass.NONE


def test_positions_are_judged_by_rmsd_over_radius_of_gyration() -> None:
    square = np.array([[1.0, 1, 0], [1, -1, 0], [-1, -1, 0], [-1, 1, 0]])
    assert radius_of_gyration(square) == pytest.approx(math.sqrt(2))
    result = compare({"p": square * 1.1}, {"p": square}, {"p": POSITIONS})
    assert result.quantities[0].distance == pytest.approx(0.1)
    assert result.quantities[0].largest_difference == pytest.approx(0.1 * math.sqrt(2))


def test_the_worst_of_several_structures_decides() -> None:
    one, other = random_structure(1), random_structure(2)
    both = np.stack([one, other])
    shaken = np.stack([one, other * 1.05])
    result = compare({"p": shaken}, {"p": both}, {"p": POSITIONS})
    assert result.quantities[0].distance == pytest.approx(0.05)


def test_positions_may_be_judged_by_a_length_that_is_given() -> None:
    square = np.array([[1.0, 1, 0], [1, -1, 0], [-1, -1, 0], [-1, 1, 0]])
    noise = Tolerance(float32=1e-4, bfloat16=1e-2, kind="positions", scale=16.0, why="noise")
    (quantity,) = compare({"p": square * 1.1}, {"p": square}, {"p": noise}).quantities
    assert quantity.distance == pytest.approx(0.1 * math.sqrt(2) / 16)
    assert quantity.as_dict()["why"] == "noise"


def test_what_neither_side_has_is_not_compared() -> None:
    one = {"x": np.ones(2)}
    result = compare(one, one, {"x": VALUES, "logits": VALUES})
    assert [quantity.name for quantity in result.quantities] == ["x"]


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf])
def test_an_impossible_scale_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        Tolerance(float32=0.1, bfloat16=0.2, scale=scale)


@pytest.mark.parametrize(("narrow", "wide"), [(-1.0, 1.0), (2.0, 1.0), (0.0, math.nan)])
def test_impossible_tolerances_are_refused(narrow: float, wide: float) -> None:
    with pytest.raises(ValueError, match="tolerances"):
        Tolerance(float32=narrow, bfloat16=wide)
