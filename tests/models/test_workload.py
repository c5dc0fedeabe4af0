"""What a prediction must say of its fidelity."""

from __future__ import annotations

import pytest

from perfkit.models import get_model
from perfkit.models.workload import FidelityAxis, fidelity_labels

AXES = (
    FidelityAxis("recycles", 0, 10, 0, "recycles"),
    FidelityAxis("samples", 1, 5, 1, "samples", counts_results=True),
)


@pytest.mark.parametrize(
    ("fidelity", "labels"),
    [
        ({"recycles": 10, "samples": 5}, ()),
        ({"recycles": 20, "samples": 6}, ()),
        ({"recycles": 10, "samples": 1}, ("fewer results than in production (samples 1 of 5)",)),
        (
            {"recycles": 0, "samples": 1},
            (
                "below production fidelity (recycles 0 of 10, samples 1 of 5): "
                "a measurement, not a prediction to rely on",
            ),
        ),
    ],
)
def test_whatever_is_below_production_is_named(
    fidelity: dict[str, int], labels: tuple[str, ...]
) -> None:
    assert fidelity_labels(AXES, fidelity, {"recycles": 10, "samples": 5}) == labels


@pytest.mark.parametrize(
    ("model", "coarser"), [("af3", {"recycles", "steps"}), ("gencast", {"levels"})]
)
def test_only_what_makes_each_result_worse_is_no_count(model: str, coarser: set[str]) -> None:
    axes = get_model(model).fidelity_axes
    assert {axis.name for axis in axes if not axis.counts_results} == coarser
