"""Sampled steps and rollouts against the published model, in physical units."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perfkit.models.gencast.forecast_step import ForecastArrays, advance_frames, predict_step
from perfkit.models.gencast.inputs.statistics import load_statistics
from perfkit.models.gencast.network.constants import Execution
from perfkit.models.gencast.sphere.sphere_noise import harmonic_tables

EXECUTION = Execution(attention="dense", grid_block=100)


def step_function(reference: Any, set_up: Any, case: str, execution: Execution = EXECUTION) -> Any:
    extracted = reference.arrays("extract_A")
    checkpoint = reference.checkpoint(case)
    settings, constants = set_up(checkpoint, extracted["lat"], extracted["lon"], execution)
    statistics = load_statistics(reference.folder / "data", checkpoint.task_config)
    tables = harmonic_tables(extracted["lat"], len(extracted["lon"]))
    arrays = ForecastArrays(constants, statistics, tables)
    return partial(jax.jit(lambda *given: predict_step(settings, *given)[0]), arrays)


def forcings_of(reference: Any, step: int) -> dict[str, Any]:
    forcings = reference.group("extract_A", "forcings")
    return {name: array[:, step : step + 1] for name, array in forcings.items()}


@pytest.mark.parametrize(
    ("case", "tolerances"),
    [
        ("sample_A_nochurn", {"prediction": "sample_A_nochurn"}),
        ("sample_A_churn", {"prediction": "sample_A_churn"}),
        (
            "sample_A_default20",
            {"prediction_no_fma": "sample_A_default20 no_fma", "prediction": "sample_A_default20"},
        ),
    ],
)
def test_a_sampled_step_equals_the_published_one(
    reference: Any, set_up: Any, case: str, tolerances: dict[str, str]
) -> None:
    run = step_function(reference, set_up, case)
    key = jax.random.PRNGKey(int(reference.arrays(case)["seed"]))
    ours = run(reference.group("extract_A", "inputs"), forcings_of(reference, 0), key)
    for group, tolerance in tolerances.items():
        theirs = reference.group(case, group)
        assert reference.physical_distance(ours, theirs) <= reference.tolerances[tolerance]


def bfloat16_ratio(reference: Any, set_up: Any, execution: Execution) -> float:
    """The distance of a step from float32 over that of the published model in bfloat16."""
    exact = reference.group("bf16_A", "prediction_f32")
    theirs = reference.group("bf16_A", "prediction_bf16")
    scales = reference.arrays("scales")

    def distance(candidate: Any) -> float:
        errors = []
        for name, expected in exact.items():
            scale = scales[name].reshape(-1, 1, 1) if scales[name].ndim else scales[name]
            error = (np.asarray(candidate[name], np.float64) - expected) / scale
            errors.append(error[np.isfinite(error)])
        return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))

    run = step_function(reference, set_up, "bf16_A", execution)
    key = jax.random.PRNGKey(reference.cases["bf16_A"]["seed"])
    ours = run(reference.group("extract_A", "inputs"), forcings_of(reference, 0), key)
    return distance(ours) / distance(theirs)


def test_a_bfloat16_step_is_as_far_from_float32_as_the_published_one(
    reference: Any, set_up: Any
) -> None:
    execution = Execution(dtype=np.dtype(jnp.bfloat16), grid_block=100)
    bounds = reference.tolerances["bf16"]
    ratio = bfloat16_ratio(reference, set_up, execution)
    assert bounds["min_ratio"] <= ratio <= bounds["max_ratio"]


def rollout_distance(reference: Any, set_up: Any, execution: Execution) -> float:
    """The distance of a rollout of two members and two steps from the published one."""
    run = step_function(reference, set_up, "rollout_A", execution)
    members: list[dict[str, Any]] = []
    for member in range(2):
        key = jax.random.fold_in(jax.random.PRNGKey(0), member)
        np.testing.assert_array_equal(key, reference.arrays("rollout_A")["keys"][member])
        inputs = reference.group("extract_A", "inputs")
        frames = []
        for step in range(2):
            key, this = jax.random.split(key)
            forcings = forcings_of(reference, step)
            predicted = run(inputs, forcings, this)
            inputs = advance_frames(inputs, predicted, forcings)
            frames.append(predicted)
        members.append({v: np.concatenate([f[v] for f in frames], axis=1) for v in frames[0]})
    ours = {v: np.stack([m[v] for m in members]) for v in members[0]}
    distance: float = reference.physical_distance(ours, reference.group("rollout_A", "prediction"))
    return distance


def test_a_rollout_of_two_members_and_two_steps_equals_the_published_one(
    reference: Any, set_up: Any
) -> None:
    distance = rollout_distance(reference, set_up, EXECUTION)
    assert distance <= reference.tolerances["rollout_A"]


def test_sea_surface_temperature_is_missing_where_any_input_frame_lacks_it(
    reference: Any, set_up: Any
) -> None:
    inputs = reference.group("extract_A", "inputs")
    missing = np.isnan(inputs["sea_surface_temperature"])
    assert (missing[:, 0] != missing[:, 1]).any(), "the data must have a cell missing once"
    run = step_function(reference, set_up, "sample_A_nochurn")
    predicted = run(inputs, forcings_of(reference, 0), jax.random.PRNGKey(1))
    blank = np.isnan(predicted["sea_surface_temperature"])
    np.testing.assert_array_equal(blank[:, 0], missing.any(axis=1))
    assert all(np.isfinite(predicted[v]).all() for v in predicted if not v.startswith("sea"))
