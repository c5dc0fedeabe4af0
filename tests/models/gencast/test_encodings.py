"""Dates, levels and values are read correctly in every type, unit and packing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import pytest
import xarray

from perfkit.errors import UserError
from perfkit.models.gencast.inputs.dataset import Example, read_example
from perfkit.models.gencast.inputs.netcdf import open_dataset
from perfkit.models.gencast.inputs.statistics import load_statistics
from perfkit.models.gencast.inputs.times import absolute_seconds
from perfkit.models.gencast.task import TaskConfig

TASK = TaskConfig()

MIDNIGHT_S = 1553817600
"""2019-03-29T00 since 1970: 17,984 days."""

FRAMES_S = [MIDNIGHT_S, MIDNIGHT_S + 43200]

Change = Callable[[xarray.Dataset], xarray.Dataset]


@pytest.fixture(scope="module")
def frames(reference: Any) -> xarray.Dataset:
    """Two frames, 2019-03-29T00 and T12, not decoded."""
    with xarray.open_dataset(reference.folder / "data" / "A.nc", decode_cf=False) as file:
        return file.load().isel(time=slice(2)).copy(deep=True)


def read(dataset: xarray.Dataset, folder: Path) -> Example:
    dataset.to_netcdf(folder / "written.nc", engine="h5netcdf")
    return read_example(folder / "written.nc", TASK)


def stored(values: Any, dtype: str, **attributes: Any) -> tuple[Any, Mapping[str, Any]]:
    return np.array(values, dtype), attributes


# Days from 1900, 1959, 1970 and 2000 to 2019-03-29: 43,551, 22,002, 17,984 and 7,027.
HOURS_1900 = [1045224, 1045236]
ENCODINGS = {
    "ERA5 from CDS before 2024": stored(
        HOURS_1900, "i4", units="hours since 1900-01-01 00:00:00.0", calendar="gregorian"
    ),
    "CDS since 2024": stored(
        FRAMES_S, "i8", units="seconds since 1970-01-01", calendar="proleptic_gregorian"
    ),
    "WeatherBench": stored(
        [528048, 528060],
        "i8",
        units="hours since 1959-01-01",
        calendar="proleptic_gregorian",
    ),
    "hours in float32": stored(HOURS_1900, "f4", units="hours since 1900-01-01"),
    "hours in float64": stored(HOURS_1900, "f8", units="hours since 1900-01-01"),
    "hours in int16": stored([24, 36], "i2", units="hours since 2019-03-28"),
    "hours in int8": stored([0, 12], "i1", units="hours since 2019-03-29"),
    "hours in uint16": stored([43200, 43212], "u2", units="hours since 2014-04-24"),
    "hours since 2000": stored([168648, 168660], "i4", units="hours since 2000-01-01T00:00:00"),
    "days in float32": stored([43551, 43551.5], "f4", units="days since 1900-01-01"),
    "days in float64": stored([17984, 17984.5], "f8", units="days since 1970-01-01 00:00"),
    "seconds in int32": stored(FRAMES_S, "i4", units="seconds since 1970-01-01T00:00:00Z"),
    "seconds in uint32": stored(FRAMES_S, "u4", units="seconds since 1970-1-1"),
    "seconds in float32, 128 apart": stored(FRAMES_S, "f4", units="seconds since 1970-01-01"),
    "minutes in int32": stored([25896960, 25897680], "i4", units="minutes since 1970-01-01"),
    "nanoseconds": stored(
        [t * 10**9 for t in FRAMES_S], "i8", units="nanoseconds since 1970-01-01"
    ),
    "a time zone": stored([2, 14], "i4", units="hours since 2019-03-29 02:00:00+04:00"),
    "a symbol": stored(HOURS_1900, "i4", units="h since 1900-01-01"),
    "big-endian": stored(HOURS_1900, ">i4", units="hours since 1900-01-01"),
    "half days, packed": stored(
        [0, 1],
        "i2",
        units="days since 1900-01-01",
        scale_factor=np.float64(0.5),
        add_offset=np.float64(43551),
    ),
    "hours packed into int16 as nco does": stored(
        [-32767, 32767],
        "i2",
        units="hours since 1900-01-01",
        scale_factor=np.float64(12 / 65534),
        add_offset=np.float64(1045230),
        _FillValue=np.int16(-32768),
    ),
    "hours packed into int8 in float32": stored(
        [-127, 127],
        "i1",
        units="hours since 2019-03-29",
        scale_factor=np.float32(12 / 254),
        add_offset=np.float32(6),
    ),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_dates_are_read_correctly_in_every_encoding(tmp_path: Path, name: str) -> None:
    values, attributes = ENCODINGS[name]
    path = tmp_path / "times.nc"
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"frame": 2}
        file.create_variable("moment", ("frame",), values.dtype, data=values)
        file["moment"].attrs.update(attributes)
    with open_dataset(path) as dataset:
        assert dataset.variables["moment"].dtype == values.dtype.newbyteorder("=")
        np.testing.assert_array_equal(absolute_seconds(dataset, "moment", path), FRAMES_S)


@pytest.mark.parametrize("place", ["datetime of a batch", "datetime without batch", "time"])
def test_dates_are_found_in_every_supported_coordinate(
    frames: xarray.Dataset, tmp_path: Path, place: str
) -> None:
    values, attributes = ENCODINGS["ERA5 from CDS before 2024"]
    if place == "time":
        written = frames.drop_vars("datetime").assign_coords(time=("time", values, attributes))
    elif place == "datetime without batch":
        written = frames.assign_coords(datetime=("time", values, attributes))
    else:
        written = frames.assign_coords(datetime=(("batch", "time"), values[None], attributes))
    np.testing.assert_array_equal(read(written, tmp_path).seconds, [FRAMES_S])


@pytest.mark.parametrize("unit", ["ns", "s"])
def test_datetime64_and_timedelta64_written_by_xarray_are_read(
    frames: xarray.Dataset, tmp_path: Path, unit: str
) -> None:
    moments = np.array([["2019-03-29T00", "2019-03-29T12"]], f"datetime64[{unit}]")
    leads = np.array([0, 12], "timedelta64[h]").astype(f"timedelta64[{unit}]")
    written = frames.assign_coords(datetime=(("batch", "time"), moments), time=("time", leads))
    np.testing.assert_array_equal(read(written, tmp_path).seconds, [FRAMES_S])


def test_a_file_without_batch_has_one_batch_member(frames: xarray.Dataset, tmp_path: Path) -> None:
    example = read(frames.isel(batch=0), tmp_path)
    np.testing.assert_array_equal(example.seconds, [FRAMES_S])
    expected = frames["temperature"].values.astype(np.float32)
    np.testing.assert_array_equal(example.fields["temperature"], expected)


def _with_datetime(values: Any, dtype: str, **attributes: Any) -> Change:
    found = (("batch", "time"), np.array([values], dtype), attributes)
    return lambda dataset: dataset.assign_coords(datetime=found)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_with_datetime([0, 12], "i4", units="months since 2019-01-01"), "in the unknown unit"),
        (_with_datetime([0, 12], "i4", units="hours since 1/2/2019"), "not a date like 1900-01-01"),
        (_with_datetime([0, 12], "i4", units="hours since 2019-13-01"), "cannot be converted"),
        (
            _with_datetime([0, 12], "i4", units="hours since 2019-03-29", calendar="noleap"),
            "of the calendar 'noleap' cannot be converted to dates",
        ),
        (_with_datetime([0, 12], "i4", units="hours since 1500-03-29"), "cannot be converted"),
        (
            _with_datetime([0, 12], "i4", units="hours since 2500-03-29"),
            "datetime reaches 2500-03-29T00:00:00, outside the years 1678 to 2261",
        ),
        (_with_datetime([0, 6], "i4", units="hours since 2019-03-29"), "frames 6 hours apart"),
        (_with_datetime([12, 0], "i4", units="hours since 2019-03-29"), "frames -12 hours"),
        (
            _with_datetime([0, 12], "i4", units="hours since 2019-03-29", _FillValue=np.int32(12)),
            "has a missing value in datetime",
        ),
        (_with_datetime([0, np.nan], "f8", units="hours since 2019-03-29"), "a missing value"),
        (
            _with_datetime([43551, 43551.5], "f2", units="days since 1900-01-01"),
            "too coarse to distinguish hours; store it as int64",
        ),
        (_with_datetime(["a", "b"], "U1", units="hours since 2019-03-29"), "not numbers"),
        (lambda d: d.assign_coords(time=("time", [0, 12], {"units": "parsec"})), "'parsec'"),
        (
            lambda d: d.assign_coords(time=("time", np.array([0, np.nan]), {"units": "hours"})),
            "frames nan hours apart",
        ),
    ],
)
def test_invalid_times_are_refused(
    frames: xarray.Dataset, tmp_path: Path, change: Change, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        read(change(frames), tmp_path)


LEVELS = np.array(TASK.pressure_levels)


@pytest.mark.parametrize(
    ("values", "attributes"),
    [
        (LEVELS.astype("i2"), {}),
        (LEVELS.astype(">f4"), {"units": "millibars"}),
        (LEVELS.astype("f8") * 100, {"units": "Pa"}),
        (LEVELS.astype("i4") * 100, {"units": "Pa"}),
        ((LEVELS // 25).astype("i1"), {"scale_factor": 25.0, "units": "hPa"}),
    ],
    ids=["int16", "big-endian", "Pa", "Pa in int32", "packed into int8"],
)
def test_levels_are_found_by_value_in_every_encoding(
    frames: xarray.Dataset, tmp_path: Path, values: Any, attributes: dict[str, Any]
) -> None:
    written = frames.assign_coords(level=("level", values, attributes))
    example = read(written.isel(level=slice(None, None, -1)), tmp_path)
    expected = frames["temperature"].values.astype(np.float32)
    np.testing.assert_array_equal(example.fields["temperature"], expected)


@pytest.mark.parametrize(
    ("levels", "attributes", "sentence"),
    [
        (LEVELS * 100, {}, "lacks the level 50 hPa"),
        ([50.0, *LEVELS[:-1]], {}, "has the level 50 hPa 2 times"),
        ([np.nan, *LEVELS[1:]], {}, "lacks the level 50 hPa"),
        (LEVELS, {"units": "km"}, "level has the unit 'km'; it must be hPa"),
    ],
)
def test_missing_or_ambiguous_levels_are_refused(
    frames: xarray.Dataset,
    tmp_path: Path,
    levels: Any,
    attributes: dict[str, Any],
    sentence: str,
) -> None:
    with pytest.raises(UserError, match=sentence):
        read(frames.assign_coords(level=("level", np.array(levels), attributes)), tmp_path)


def test_values_are_unpacked_and_fill_values_are_missing(
    frames: xarray.Dataset, tmp_path: Path
) -> None:
    shape = frames["2m_temperature"].shape
    packed = np.full(shape, 1500, "i2")
    sea = np.full(shape, 29000, ">i2")
    sea[0, :, 3, 4] = -1
    written = frames.assign(
        {
            "2m_temperature": (
                frames["2m_temperature"].dims,
                packed,
                {"scale_factor": 0.01, "add_offset": 273.15, "units": "K"},
            ),
            "sea_surface_temperature": (
                frames["2m_temperature"].dims,
                sea,
                {"scale_factor": 0.01, "missing_value": np.int16(-1)},
            ),
        }
    )
    fields = read(written, tmp_path).fields
    np.testing.assert_allclose(fields["2m_temperature"], 288.15, rtol=1e-6)
    missing = np.isnan(fields["sea_surface_temperature"])
    assert missing.sum() == 2
    assert missing[0, :, 3, 4].all()
    np.testing.assert_allclose(fields["sea_surface_temperature"][~missing], 290, rtol=1e-6)


def _changed(name: str, value: Any, **attributes: Any) -> Change:
    def change(dataset: xarray.Dataset) -> xarray.Dataset:
        changed = dataset.copy(deep=True)
        changed[name][..., 2, 3] = value
        changed[name].attrs.update(attributes)
        return changed

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_changed("2m_temperature", 9.96921e36), "2m_temperature reaches 9.96921e\\+36"),
        (_changed("2m_temperature", 1, units="degC"), "the unit degC; GenCast needs SI units"),
        (_changed("temperature", -999, _FillValue=np.float32(-999)), "that are not finite"),
        (_changed("temperature", 250, scale_factor="x"), "is damaged or incomplete"),
        (lambda d: d.assign_coords(lat=d["lat"].where(d["lat"] < 50)), "not equidistant"),
        (lambda d: d.assign_coords(lon=d["lon"].where(d["lon"] < 50)), "start at 0"),
        (lambda d: d.rename(lat="y").assign_coords(lat=1.0), "lat has shape {}"),
        (
            lambda d: d.assign(land_sea_mask=d["land_sea_mask"].astype(str).drop_attrs()),
            "not numbers",
        ),
    ],
)
def test_invalid_values_and_coordinates_are_refused(
    frames: xarray.Dataset, tmp_path: Path, change: Change, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        read(change(frames), tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("stddev", lambda d: d * 0, "2m_temperature has the value 0; it must be a finite number a"),
        ("mean", lambda d: d + np.nan, "2m_temperature has the value nan; it must be a finite"),
        ("mean", lambda d: d.expand_dims(time=2), "has dimensions time instead of none"),
        ("min", lambda d: d.astype(str), "not numbers"),
        ("mean", lambda d: d.drop_vars("level"), "lacks the coordinate level"),
    ],
)
def test_invalid_statistics_are_refused(
    reference: Any, tmp_path: Path, name: str, change: Change, sentence: str
) -> None:
    for path in (reference.folder / "data").glob("*_by_level.nc"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path = tmp_path / f"{name}_by_level.nc"
    with xarray.open_dataset(path) as file:
        spoilt = change(file.load())
    spoilt.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(UserError, match=sentence):
        load_statistics(tmp_path, TASK)
