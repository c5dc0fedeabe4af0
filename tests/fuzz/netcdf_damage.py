"""Damage to NetCDF files and checkpoints that a faulty program may have made."""

from __future__ import annotations

import io
import random
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.fuzz.damage import damaged_bytes

_ODD_ATTRIBUTES: tuple[Any, ...] = (
    "",
    "x",
    "days since ",
    "hours since 0000-00-00",
    "a\nb since c",
    np.nan,
    0.0,
    1e308,
    np.int64(2**62),
    np.array([1, 2, 3]),
    np.array([], "f4"),
)
_ODD_DTYPES = ("i1", "i2", "u8", "f2", "f8", ">f4", "S3", "c8", "?")
_ODD_VALUES = (np.nan, np.inf, -1, 0, 1e30, 2**31 - 1)


def mutate_netcdf(file: h5py.File, generator: random.Random) -> None:
    """Make one change that a faulty program may have made."""
    name = generator.choice(sorted(file))
    variable = file[name]
    attribute = generator.choice(
        ["units", "scale_factor", "add_offset", "_FillValue", "missing_value", "calendar"]
    )
    kind = generator.randrange(6)
    if kind == 0:
        del file[name]
    elif kind == 1:
        variable.attrs[attribute] = generator.choice(_ODD_ATTRIBUTES)
    elif kind == 2 and variable.size:
        values = np.array(variable[...])
        with np.errstate(all="ignore"):
            values.flat[generator.randrange(values.size)] = np.array(
                generator.choice(_ODD_VALUES)
            ).astype(values.dtype)
        variable[...] = values
    elif kind == 3:
        attributes = {
            key: value for key, value in variable.attrs.items() if key in ("units", "calendar")
        }
        values = np.array(variable[...])
        del file[name]
        with np.errstate(all="ignore"):
            replaced = values.astype(generator.choice(_ODD_DTYPES))
        file[name] = replaced
        file[name].attrs.update(attributes)
    elif kind == 4:
        del file[name]
        shape = generator.choice([(), (0,), (1,), (2, 2), (10**12,), (10**6, 10**6, 10**6)])
        # Chunks that are never written need no space, whatever the shape.
        file.create_dataset(name, shape, "f4", chunks=(1,) * len(shape) if all(shape) else None)
    else:
        file.move(name, f"{name}{generator.choice(['_', chr(10), ' ', chr(233)])}")


def odd_arrays() -> tuple[np.ndarray, ...]:
    """Arrays that no entry of a checkpoint may hold, pickled objects among them."""
    return (
        np.array("x"),
        np.array("\n" * 5000),
        np.array(np.nan),
        np.array(-1),
        np.array(2**62),
        np.array(10**30, object),
        np.array([{}], object),
        np.array([], "f4"),
        np.zeros((0, 5), "f4"),
        np.array(1 + 1j),
        np.array(True),
        np.array((1, 2.0), "i4,f4"),
        np.array(np.datetime64("NaT", "s")),
        np.array(2.5),
    )


def damaged_netcdf(data: bytes, chance: random.Random) -> bytes:
    """Damage the bytes of a NetCDF file, or its variables."""
    if chance.random() < 0.5:
        return damaged_bytes(data, chance)
    with tempfile.NamedTemporaryFile(suffix=".nc") as stream:
        path = Path(stream.name)
        path.write_bytes(data)
        with h5py.File(path, "r+") as file:
            for _ in range(chance.randint(1, 2)):
                mutate_netcdf(file, chance)
        return path.read_bytes()


def damaged_archive(data: bytes, chance: random.Random) -> bytes:
    """Damage the bytes of an npz archive, or its entries."""
    if chance.random() < 0.5:
        return damaged_bytes(data, chance)
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        entries: dict[str, Any] = {key: archive[key] for key in archive.files}
    # Most entries are parameters; faults in the others are more varied.
    settings = [key for key in sorted(entries) if not key.startswith("params")]
    key = chance.choice(settings if chance.random() < 0.7 else sorted(entries))
    kind = chance.randrange(5)
    if kind == 0:
        del entries[key]
    elif kind == 1:
        added = chance.choice(["x", "0", "", chr(10) * 3000, "a:" * 3000])
        entries[f"{key}:{added}"] = entries[key]
    else:
        entries[key] = chance.choice(odd_arrays())
    stream = io.BytesIO()
    np.savez(stream, **entries)
    return stream.getvalue()
