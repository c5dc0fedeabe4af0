"""Workloads as plain data, and the labels of predictions below production fidelity."""

from __future__ import annotations

import json

import pytest

from perfkit.models import get_model
from perfkit.models.workload import FidelityAxis, Workload, fidelity_labels

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
def test_labels_name_every_axis_below_production(
    fidelity: dict[str, int], labels: tuple[str, ...]
) -> None:
    assert fidelity_labels(AXES, fidelity, {"recycles": 10, "samples": 5}) == labels


@pytest.mark.parametrize(
    ("model", "coarser"), [("af3", {"recycles", "steps"}), ("gencast", {"levels"})]
)
def test_axes_that_do_not_count_results_make_each_result_worse(
    model: str, coarser: set[str]
) -> None:
    axes = get_model(model).fidelity_axes
    assert {axis.name for axis in axes if not axis.counts_results} == coarser


WORKLOAD = Workload(
    model="af3",
    name="ubiquitin",
    size=76,
    source={"size": 76, "plot": True, "resolution": 0.25, "input": "a.json"},
    fidelity={"recycles": 0, "steps": 4},
    input_digest="0123456789abcdef",
    notices=("synthetic weights",),
)


def test_a_workload_is_unchanged_after_a_round_trip_through_plain_data() -> None:
    plain = WORKLOAD.as_dict()
    assert list(plain) == [
        *(
            "model",
            "name",
            "size",
            "source",
            "fidelity",
            "input_digest",
            "notices",
            "depth",
            "digest",
        )
    ]
    assert plain["notices"] == ["synthetic weights"]
    assert plain["digest"] == WORKLOAD.digest
    again = Workload.from_dict(json.loads(json.dumps(plain)))
    assert again == WORKLOAD
    assert again.source["plot"] is True
    assert isinstance(again.source["size"], int)


def test_another_fidelity_keeps_the_input_and_changes_the_digest() -> None:
    longer = WORKLOAD.with_fidelity(steps=200)
    assert longer.fidelity == {"recycles": 0, "steps": 200}
    assert (longer.name, longer.source) == (WORKLOAD.name, WORKLOAD.source)
    assert longer.digest != WORKLOAD.digest
    assert longer.with_fidelity(steps=4).digest == WORKLOAD.digest
