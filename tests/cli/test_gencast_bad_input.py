"""Bad input for GenCast ends in one clear sentence, and nothing is written."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("xarray", reason="inputs are read by the gencast extra")

import xarray

DATA = Path(__file__).parents[1] / "data" / "gencast"
TINY = DATA / "fixtures" / "tiny_checkpoint.npz"

type Perfkit = Callable[..., subprocess.CompletedProcess[str]]
type Refused = Callable[[subprocess.CompletedProcess[str], str], None]
type Change = Callable[[xarray.Dataset], xarray.Dataset]


def changed(change: Change, path: Path) -> Path:
    with xarray.open_dataset(DATA / "data" / "A.nc", decode_times=False) as file:
        change(file.load().copy(deep=True)).to_netcdf(path, engine="h5netcdf")
    return path


def with_hole(dataset: xarray.Dataset) -> xarray.Dataset:
    dataset["temperature"][0, 1, 4, 3, 2] = np.nan
    return dataset


def with_moved_latitude(dataset: xarray.Dataset) -> xarray.Dataset:
    lat = dataset["lat"].values.copy()
    lat[3] += 2
    return dataset.assign_coords(lat=lat)


def every_six_hours(dataset: xarray.Dataset) -> xarray.Dataset:
    return dataset.assign_coords(time=("time", dataset["time"].values // 2, {"units": "hours"}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d.rename(temperature="temperatur"),
            "lacks the variable temperature; is its unknown variable temperatur meant?",
        ),
        (lambda d: d.isel(level=slice(None, -1)), "lacks the level 1000 hPa"),
        (every_six_hours, "frames 6 hours apart; GenCast needs 12"),
        (lambda d: d.isel(lat=slice(None, None, -1)), "latitudes are reversed"),
        (with_moved_latitude, "latitudes are not equidistant"),
        (with_hole, "temperature has 1 values that are not finite"),
    ],
    ids=["unknown variable", "level", "time step", "reversed", "not equidistant", "NaN"],
)
def test_a_bad_dataset_is_refused(
    perfkit_here: Perfkit, refused: Refused, tmp_path: Path, change: Change, message: str
) -> None:
    path = changed(change, tmp_path / "bad.nc")
    finished = perfkit_here("run", "--model", "gencast", "--input", str(path))
    refused(finished, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--resolution 0.7", "does not divide the sphere"),
        ("--resolution nan", "does not divide the sphere"),
        ("--resolution 1 --mesh 1", "too coarse for a grid of 1 degrees; take 3 or more"),
        ("--resolution 2 --mesh 0", "--mesh takes 1 to 7 refinements, not 0"),
        ("--resolution 10 --seed -1", "--seed takes a whole number from 0 to 4294967295"),
        (f"--resolution 10 --seed {'9' * 5000}", "--seed takes a whole number from 0"),
        ("--input none.nc", "--input: there is no"),
        (f"--input {TINY}", "is not a NetCDF-4 file"),
        (f"--checkpoint {TINY}", "needs the statistics it was trained with"),
        (f"--checkpoint {TINY} --stats .", "lacks mean_by_level.nc"),
        (f"--checkpoint {DATA / 'README.md'} --stats {DATA / 'data'}", "is not a checkpoint"),
        ("--resolution 10 --levels 1", "--levels takes 2 or more, not 1"),
        ("--resolution 10 --steps 0", "--steps takes 1 or more, not 0"),
        ("--resolution 10 --members 0", "--members takes 1 or more, not 0"),
        ("--resolution 10 --engine weathernxt", "the nearest is 'weathernext'"),
        ("--resolution 10 --knob attention=splash", "attention"),
        ("--resolution 10 --knob grid_block=0", "it takes whole or a whole number, 1 or more"),
        ("--resolution 0.25 --memory-limit 10GB", "needs about"),
    ],
)
def test_a_bad_command_line_is_refused(
    perfkit_here: Perfkit, refused: Refused, arguments: str, message: str
) -> None:
    finished = perfkit_here("run", "--model", "gencast", *arguments.split())
    refused(finished, message)


def test_a_checkpoint_of_graphcast_is_refused_by_name(
    perfkit_here: Perfkit, refused: Refused, tmp_path: Path
) -> None:
    path = tmp_path / "graphcast.npz"
    arrays: dict[str, Any] = {
        "model_config:resolution": 1.0,
        "params:x:w": np.zeros(3, np.float32),
    }
    np.savez(path, **arrays)
    given = ("--checkpoint", str(path), "--stats", str(DATA / "data"))
    refused(
        perfkit_here("tune", "--model", "gencast", *given),
        "is a GraphCast checkpoint; give one of the GenCast params files",
    )


def test_statistics_without_a_variable_are_refused(
    perfkit_here: Perfkit, refused: Refused, tmp_path: Path
) -> None:
    folder = tmp_path / "stats"
    folder.mkdir()
    for path in (DATA / "data").glob("*_by_level.nc"):
        shutil.copy(path, folder)
    with xarray.open_dataset(DATA / "data" / "mean_by_level.nc") as file:
        lacking = file.load().drop_vars("geopotential")
    lacking.to_netcdf(folder / "mean_by_level.nc", engine="h5netcdf")
    given = ("--checkpoint", str(TINY), "--stats", str(folder))
    refused(
        perfkit_here("run", "--model", "gencast", "--resolution", "10", *given),
        "has no statistics of geopotential",
    )
