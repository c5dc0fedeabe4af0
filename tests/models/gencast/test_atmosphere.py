"""The synthetic atmosphere has the properties of an atmosphere that matter to the model."""

from __future__ import annotations

import numpy as np
import pytest

from perfkit.models.gencast.inputs.atmosphere import synthetic_atmosphere, synthetic_statistics
from perfkit.models.gencast.inputs.dataset import check_missing_values
from perfkit.models.gencast.task import TaskConfig


def test_equal_seeds_give_the_same_state_on_every_grid() -> None:
    coarse, fine = synthetic_atmosphere(10.0), synthetic_atmosphere(5.0)
    for name, field in coarse.fields.items():
        np.testing.assert_allclose(
            field, fine.fields[name][..., ::2, ::2], rtol=1e-4, atol=1e-9, err_msg=name
        )
    other = synthetic_atmosphere(10.0, seed=1)
    assert not np.array_equal(other.fields["temperature"], coarse.fields["temperature"])


def test_sea_surface_temperature_is_missing_exactly_over_land() -> None:
    example = synthetic_atmosphere(6.0)
    check_missing_values(example, "synthetic")
    land = example.fields["land_sea_mask"] == 1
    missing = np.isnan(example.fields["sea_surface_temperature"])
    np.testing.assert_array_equal(missing, np.broadcast_to(land, missing.shape))
    area = np.broadcast_to(np.cos(np.deg2rad(example.lat))[:, None], land.shape)
    assert (area * land).sum() / area.sum() == pytest.approx(0.29, abs=0.01)
    assert (example.fields["geopotential_at_surface"][~land] == 0).all()


def test_fields_are_smooth_and_have_realistic_magnitudes() -> None:
    fields = synthetic_atmosphere(2.0).fields
    along = np.diff(fields["geopotential"], axis=-1)
    assert along.std() < 0.1 * fields["geopotential"][:, :, 7].std()
    temperature = fields["temperature"].mean(axis=(0, 1, 3, 4))
    assert 190 < temperature[1] < 220
    assert 275 < temperature[12] < 300
    assert np.diff(fields["geopotential"].mean(axis=(0, 1, 3, 4))).max() < 0
    assert (fields["specific_humidity"] > 0).all()
    assert (fields["total_precipitation_12hr"] >= 0).all()


def test_frames_are_twelve_hours_apart_and_correlated() -> None:
    example = synthetic_atmosphere(6.0, frames=3)
    np.testing.assert_array_equal(np.diff(example.seconds[0]), 12 * 3600)
    field = example.fields["temperature"][0, :, 7]
    first, second = field[0].ravel(), field[1].ravel()
    correlation = float(np.mean((first - first.mean()) * (second - second.mean())))
    assert 0.5 < correlation / (first.std() * second.std()) < 1


def test_statistics_of_the_synthetic_atmosphere_normalise_it() -> None:
    task = TaskConfig()
    statistics = synthetic_statistics(task)
    temperature = synthetic_atmosphere(6.0).fields["temperature"]
    spread = statistics.spread["temperature"].reshape(-1, 1, 1)
    mean = statistics.mean["temperature"].reshape(-1, 1, 1)
    assert np.std((temperature - mean) / spread) == pytest.approx(1, abs=0.2)
    # Over a year, sines and cosines average 0 with a mean square of 1/2.
    assert statistics.mean["year_progress_sin"] == 0
    assert statistics.spread["day_progress_cos"] == pytest.approx(np.sqrt(0.5))
    assert set(statistics.change_spread) == set(task.target_variables) - {
        "total_precipitation_12hr"
    }
    assert all(np.all(value > 0) for value in statistics.change_spread.values())
