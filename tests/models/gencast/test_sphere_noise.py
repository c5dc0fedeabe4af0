"""Noise on the sphere, its keys and the noise levels, against the published model."""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np
import pytest
from scipy.special import assoc_legendre_p

from perfkit.models.gencast.inputs.checkpoint import SamplerConfig
from perfkit.models.gencast.network.schedule import call_schedule, churn_rates, noise_levels
from perfkit.models.gencast.network.stacking import unstack
from perfkit.models.gencast.sphere.legendre import associated_legendre
from perfkit.models.gencast.sphere.sphere_noise import (
    draw_keys,
    harmonic_tables,
    sphere_noise,
    target_noise,
)
from perfkit.models.gencast.task import TaskConfig


@pytest.mark.parametrize("case", ["0", "1", "2"])
def test_noise_from_a_key_equals_the_published_noise(reference: Any, case: str) -> None:
    group = reference.group("sphere_noise", case)
    tables = harmonic_tables(group["lat"], len(group["lon"]))
    key = jax.random.PRNGKey(int(group["seed"]))
    noise = sphere_noise(key, tables, group["noise"].shape[:-2])
    assert np.abs(noise - group["noise"]).max() <= reference.tolerances["sphere_noise"]


def test_a_set_of_noise_draws_variables_in_sorted_order(reference: Any) -> None:
    theirs = reference.group("sphere_noise", "dataset_seed9")
    lat, lon = (reference.arrays("extract_A")[name] for name in ("lat", "lon"))
    task = TaskConfig()
    keys = draw_keys(jax.random.PRNGKey(9), 12)
    stacked = target_noise(keys, harmonic_tables(lat, len(lon)), task, batch=1)
    ours = unstack(stacked, task, len(lat), len(lon))
    for name, expected in theirs.items():
        difference = np.abs(ours[name] - expected).max()
        assert difference <= reference.tolerances["sphere_noise"], name


def test_noise_has_unit_variance_at_every_latitude() -> None:
    lat = np.linspace(-90, 90, 13).astype(np.float32)
    noise = sphere_noise(jax.random.PRNGKey(0), harmonic_tables(lat, 24), (4000,))
    np.testing.assert_allclose(np.var(noise, axis=(0, 2)), 1, atol=0.1)


def test_legendre_functions_equal_those_of_scipy() -> None:
    sine = np.sin(np.deg2rad(np.linspace(-90, 90, 11)))
    ours = associated_legendre(9, sine)
    for order in range(9):
        for degree in range(order, 9):
            expected = assoc_legendre_p(degree, order, sine, norm=True)[0]
            np.testing.assert_allclose(ours[order, degree], expected, atol=1e-12)


@pytest.mark.parametrize("case", ["0", "1", "2", "3", "4"])
def test_noise_levels_and_churn_equal_the_published_ones(reference: Any, case: str) -> None:
    arrays = reference.arrays("schedule")
    config = SamplerConfig(**json.loads(str(arrays[f"{case}/config"])))
    for ours, theirs in (
        (noise_levels(config), arrays[f"f64/{case}/levels"]),
        (churn_rates(config), arrays[f"f64/{case}/churn"]),
    ):
        largest = np.abs(theirs).max() or 1.0
        assert np.abs(ours - theirs).max() <= reference.tolerances["schedule"] * largest


def test_the_default_schedule_makes_39_calls_and_adds_no_noise_at_six_levels() -> None:
    schedule = call_schedule(SamplerConfig(), np.float32)
    assert len(schedule.noise_level) == 39
    firsts = schedule.fresh_noise[schedule.starts_level]
    assert np.count_nonzero(firsts) == 14
    assert (firsts[14:] == 0).all()
    assert (schedule.fresh_noise[~schedule.starts_level] == 0).all()
    assert (schedule.noise_level > 0).all()
    assert schedule.keep[-1] == 0


def test_the_first_call_is_at_the_highest_level_with_churn() -> None:
    schedule = call_schedule(SamplerConfig(), np.float64)
    assert schedule.noise_level[0] == pytest.approx(80 * 1.125)
    # sqrt(90**2 - 80**2) * 1.05
    assert schedule.fresh_noise[0] == pytest.approx(43.2926091, abs=1e-6)
