"""Example datasets: extraction, calendar, statistics and refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from perfkit.errors import UserError
from perfkit.models.gencast.inputs.dataset import extract, forecast_inputs, read_example
from perfkit.models.gencast.inputs.forcings import calendar_forcings, day_progress, year_progress
from perfkit.models.gencast.inputs.statistics import load_statistics, normalise
from perfkit.models.gencast.sphere.grid import regular_grid
from perfkit.models.gencast.task import TaskConfig

TASK = TaskConfig()


def relative_difference(ours: Any, theirs: Any) -> float:
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    largest = float(np.nanmax(np.abs(theirs))) or 1.0
    return float(np.nanmax(np.abs(np.asarray(ours, np.float64) - theirs))) / largest


@pytest.mark.parametrize(("name", "steps"), [("A", 2), ("B", 1)])
def test_extracted_frames_equal_the_published_ones(reference: Any, name: str, steps: int) -> None:
    example = read_example(reference.folder / "data" / f"{name}.nc", TASK)
    extracted = extract(example, TASK, steps)
    arrays = reference.arrays(f"extract_{name}")
    np.testing.assert_array_equal(example.seconds, arrays["datetime_seconds"])
    np.testing.assert_array_equal(extracted.target_seconds, example.seconds[:, 2:])
    for group in ("inputs", "targets", "forcings"):
        theirs = reference.group(f"extract_{name}", group)
        ours = getattr(extracted, group)
        assert set(ours) == set(theirs)
        for variable, expected in theirs.items():
            difference = relative_difference(ours[variable], expected)
            assert difference <= reference.tolerances["extract"], variable


def test_progress_of_year_and_day_equals_the_published_one(reference: Any) -> None:
    arrays = reference.arrays("progress")
    seconds, lon = arrays["seconds"], arrays["lon"]
    ours = calendar_forcings(seconds, lon) | {
        "year_progress": year_progress(seconds),
        "day_progress": day_progress(seconds, lon),
    }
    for name, values in ours.items():
        assert relative_difference(values, arrays[name]) <= reference.tolerances["progress"], name


def test_forcings_beyond_the_file_are_computed_from_the_calendar(reference: Any) -> None:
    example = read_example(reference.folder / "data" / "A.nc", TASK)
    within, beyond = forecast_inputs(example, TASK, 2), forecast_inputs(example, TASK, 5)
    assert beyond.targets == {}
    assert beyond.target_seconds.shape == (1, 5)
    for name, values in within.forcings.items():
        np.testing.assert_array_equal(beyond.forcings[name][:, :2], values)
    for name, values in within.inputs.items():
        np.testing.assert_array_equal(beyond.inputs[name], values)


def test_levels_of_statistics_are_selected_by_value(reference: Any) -> None:
    statistics = load_statistics(reference.folder / "data", TASK)
    with xarray.open_dataset(reference.folder / "data" / "mean_by_level.nc") as file:
        assert file.sizes["level"] == 37
        expected = float(file["temperature"].sel(level=500))
    assert statistics.mean["temperature"].shape == (13,)
    assert statistics.mean["temperature"][7] == np.float32(expected)
    assert set(statistics.change_spread) == set(TASK.target_variables) - {
        "total_precipitation_12hr"
    }


def test_normalised_inputs_equal_the_published_ones(reference: Any) -> None:
    statistics = load_statistics(reference.folder / "data", TASK)
    inputs = reference.group("extract_A", "inputs")
    surface = inputs["sea_surface_temperature"]
    inputs["sea_surface_temperature"] = np.where(np.isnan(surface), statistics.fill, surface)
    theirs = reference.group("denoiser_A", "inputs")
    for name, ours in normalise(inputs, statistics).items():
        np.testing.assert_allclose(ours, theirs[name], rtol=0, atol=2e-5, err_msg=name)


Change = Callable[[xarray.Dataset], xarray.Dataset]


def _reversed(dataset: xarray.Dataset) -> xarray.Dataset:
    return dataset.isel(lat=slice(None, None, -1))


def _moved_latitude(dataset: xarray.Dataset) -> xarray.Dataset:
    lat = dataset["lat"].values.copy()
    lat[3] += 2
    return dataset.assign_coords(lat=lat)


def _hole(dataset: xarray.Dataset) -> xarray.Dataset:
    dataset["temperature"][0, 1, 4, 3, 2] = np.nan
    return dataset


def _sixty_hours(dataset: xarray.Dataset) -> xarray.Dataset:
    return dataset.assign_coords(time=("time", dataset["time"].values // 2, {"units": "hours"}))


def _graphcast_rain(dataset: xarray.Dataset) -> xarray.Dataset:
    return dataset.rename(total_precipitation_12hr="total_precipitation_6hr")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_reversed, "latitudes are reversed"),
        (_moved_latitude, "latitudes are not equidistant"),
        (lambda d: d.isel(lat=slice(1, None)), "must reach both poles"),
        (lambda d: d.isel(lon=slice(None, 12)), "latitudes are not equidistant"),
        (lambda d: d.assign_coords(lon=d["lon"] - 180), "longitudes must start at 0"),
        (lambda d: d.isel(level=slice(1, None)), "lacks the level 50 hPa"),
        (_sixty_hours, "frames 6 hours apart; GenCast needs 12"),
        (lambda d: d.isel(time=[0]), "has 1 frame; a forecast needs 2 frames"),
        (_hole, "temperature has 1 values that are not finite"),
        (lambda d: d.drop_vars("land_sea_mask"), "lacks the variable land_sea_mask$"),
        (
            _graphcast_rain,
            "lacks the variable total_precipitation_12hr; is its unknown variable "
            "total_precipitation_6hr meant",
        ),
        (lambda d: d.drop_vars("datetime"), "lacks the coordinate datetime"),
        (lambda d: d.isel(time=0), "has 1 frame; a forecast needs 2 frames"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(
    reference: Any, tmp_path: Path, change: Change, sentence: str
) -> None:
    with xarray.open_dataset(reference.folder / "data" / "A.nc", decode_times=False) as file:
        bad = change(file.load().copy(deep=True))
    path = tmp_path / "bad.nc"
    bad.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(UserError, match=sentence) as refusal:
        read_example(path, TASK)
    assert "\n" not in str(refusal.value)


def test_files_that_are_not_netcdf4_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        read_example(tmp_path / "absent.nc", TASK)
    (tmp_path / "text.nc").write_text("no data")
    with pytest.raises(UserError, match="is not a NetCDF-4 file"):
        read_example(tmp_path / "text.nc", TASK)


def test_missing_statistics_are_refused(reference: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks mean_by_level\.nc"):
        load_statistics(tmp_path, TASK)
    source = reference.folder / "data"
    for name in ("stddev_by_level.nc", "diffs_stddev_by_level.nc", "min_by_level.nc"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    with xarray.open_dataset(source / "mean_by_level.nc") as file:
        file.load().drop_vars("geopotential").to_netcdf(
            tmp_path / "mean_by_level.nc", engine="h5netcdf"
        )
    with pytest.raises(UserError, match="has no statistics of geopotential"):
        load_statistics(tmp_path, TASK)
    with xarray.open_dataset(source / "mean_by_level.nc") as file:
        file.load().drop_sel(level=850).to_netcdf(tmp_path / "mean_by_level.nc", engine="h5netcdf")
    with pytest.raises(UserError, match="lacks the level 850 hPa"):
        load_statistics(tmp_path, TASK)


@pytest.mark.parametrize("resolution", [0.7, 0.0, -1.0, 90.0])
def test_a_resolution_that_does_not_divide_the_sphere_is_refused(resolution: float) -> None:
    with pytest.raises(UserError, match="does not divide the sphere"):
        regular_grid(resolution)


def test_too_few_frames_for_the_targets_are_refused(reference: Any) -> None:
    example = read_example(reference.folder / "data" / "A.nc", TASK)
    with pytest.raises(UserError, match="3 steps need 5 frames, but there are 4"):
        extract(example, TASK, 3)
