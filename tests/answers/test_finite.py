"""The finite check counts every bad element, and no other."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.answers.finite import check_finite, count_leaf


def test_nan_and_both_infinities_are_counted_separately() -> None:
    values = np.array([[1.0, np.nan, np.inf], [-np.inf, -np.inf, 0.0]], np.float32)
    leaf = count_leaf("x", values)
    assert (leaf.size, leaf.nan, leaf.positive_infinity, leaf.negative_infinity) == (6, 1, 1, 2)
    assert leaf.fraction == pytest.approx(4 / 6)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_every_floating_point_dtype_is_checked(dtype: type) -> None:
    leaf = count_leaf("x", np.array([np.nan, np.inf, 1.0]).astype(dtype))
    assert (leaf.nan, leaf.positive_infinity) == (1, 1)


@pytest.mark.parametrize("values", [np.arange(3), np.array([True]), np.array(["a"]), np.zeros(0)])
def test_dtypes_without_nan_are_finite(values: np.ndarray) -> None:
    assert check_finite({"x": values}).finite


def test_a_complex_element_is_counted_once() -> None:
    leaf = count_leaf("x", np.array([complex(np.nan, np.inf), complex(0, -np.inf), 1j]))
    assert (leaf.nan, leaf.positive_infinity, leaf.negative_infinity) == (1, 0, 1)


def test_declared_nan_is_expected_and_other_nan_is_not() -> None:
    land = np.array([True, True, False, False])
    values = np.array([[np.nan, 1.0, np.nan, 2.0]])
    report = check_finite({"sst": values, "t": np.ones(2)}, {"sst": land})
    leaf = report.leaves[0]
    assert (leaf.expected_nan, leaf.absent_nan, leaf.nan) == (1, 1, 1)
    assert not report.finite
    assert report.bad_leaves == (leaf,)


def test_an_output_with_only_declared_nan_is_finite() -> None:
    land = np.array([True, False])
    report = check_finite({"sst": np.array([np.nan, 280.0])}, {"sst": land})
    assert report.finite


def test_infinity_is_bad_even_where_nan_is_declared() -> None:
    report = check_finite({"sst": np.array([np.inf])}, {"sst": np.array([True])})
    assert not report.finite


def test_a_mask_for_an_unknown_output_is_refused() -> None:
    with pytest.raises(ValueError, match="snow"):
        check_finite({"sst": np.zeros(1)}, {"snow": np.array([True])})


def test_the_report_is_plain_json_and_names_the_worst_output() -> None:
    report = check_finite({"a": np.array([np.nan, 1.0]), "b": np.array([np.inf]), "c": np.ones(1)})
    assert json.loads(json.dumps(report.as_dict()))["leaves"][0]["fraction"] == 0.5
    assert "2 of 3 outputs" in report.sentence()
    assert "worst is b: 1 of 1" in report.sentence()
    assert check_finite({"c": np.ones(1)}).sentence() == "all 1 outputs are finite"


@given(st.lists(st.sampled_from([0.0, -1.5, np.nan, np.inf, -np.inf])))
def test_counts_equal_those_of_a_plain_loop(numbers: list[float]) -> None:
    leaf = count_leaf("x", np.array(numbers, np.float32))
    assert leaf.nan == sum(number != number for number in numbers)
    assert leaf.positive_infinity == numbers.count(np.inf)
    assert leaf.negative_infinity == numbers.count(-np.inf)
