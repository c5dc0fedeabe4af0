"""Damaged and wrong files are refused in one sentence, whatever the damage."""

from __future__ import annotations

import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from perfkit.errors import UserError
from perfkit.models.gencast.inputs.checkpoint import load_checkpoint
from perfkit.models.gencast.inputs.dataset import read_example
from perfkit.models.gencast.inputs.statistics import load_statistics
from perfkit.models.gencast.task import TaskConfig

TASK = TaskConfig()

BYTES_MUTATED = 30
STRUCTURES_MUTATED = 30
"""Number of mutations of each file; every seed gives another mutation."""


class Outcomes:
    """Counts refusals. Fails if reading neither succeeds nor is refused in one line."""

    def __init__(self) -> None:
        self.refused = 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        refusal = ""
        try:
            yield
        except UserError as error:
            self.refused += 1
            refusal = str(error)
        assert "\n" not in refusal
        assert len(refusal) < 1000


def mutated(data: bytes, generator: random.Random) -> bytes:
    """Damage ``data`` at one place, more often near its beginning, where headers are."""

    def position() -> int:
        if generator.random() < 0.5:
            return generator.randrange(len(data))
        return min(len(data) - 1, int(generator.expovariate(1 / 3000)))

    damaged = bytearray(data)
    start, kind = position(), generator.randrange(5)
    if kind == 0:
        damaged[start] ^= 1 << generator.randrange(8)
    elif kind == 1:
        del damaged[start:]
    elif kind == 2:
        length = generator.choice([1, 4, 64, 512])
        damaged[start : start + length] = bytes([generator.choice([0, 255])]) * length
    elif kind == 3:
        damaged[start : start + 8] = generator.randbytes(8)
    else:
        damaged[start:start] = generator.randbytes(generator.choice([1, 8]))
    return bytes(damaged)


@pytest.fixture
def statistics_folder(reference: Any, tmp_path: Path) -> Path:
    for path in (reference.folder / "data").glob("*_by_level.nc"):
        shutil.copy(path, tmp_path)
    return tmp_path


Read = Callable[[Path], object]


@pytest.fixture
def readers(reference: Any, statistics_folder: Path) -> dict[str, tuple[Path, Read]]:
    """Type of file -> path of an intact file, and a function that reads one."""

    def statistics(path: Path) -> object:
        shutil.copy(path, statistics_folder / "mean_by_level.nc")
        return load_statistics(statistics_folder, TASK)

    return {
        "dataset": (reference.folder / "data" / "A.nc", lambda path: read_example(path, TASK)),
        "statistics": (reference.folder / "data" / "mean_by_level.nc", statistics),
        "checkpoint": (reference.folder / "fixtures" / "tiny_checkpoint.npz", load_checkpoint),
    }


@pytest.mark.parametrize("kind", ["dataset", "statistics", "checkpoint"])
def test_damaged_bytes_are_refused_in_one_sentence(
    readers: dict[str, tuple[Path, Read]], tmp_path: Path, kind: str
) -> None:
    intact, read = readers[kind]
    data, outcomes = intact.read_bytes(), Outcomes()
    path = tmp_path / f"damaged{intact.suffix}"
    for seed in range(BYTES_MUTATED):
        path.write_bytes(mutated(data, random.Random(f"{kind} {seed}")))
        with outcomes.attempt():
            read(path)
    assert outcomes.refused > BYTES_MUTATED / 3


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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["dataset", "statistics"])
def test_wrong_netcdf_files_are_refused_in_one_sentence(
    readers: dict[str, tuple[Path, Read]], tmp_path: Path, kind: str
) -> None:
    intact, read = readers[kind]
    outcomes = Outcomes()
    for seed in range(STRUCTURES_MUTATED):
        # A refused file may stay open until it is garbage-collected.
        path = tmp_path / f"wrong{seed}.nc"
        shutil.copy(intact, path)
        with h5py.File(path, "r+") as file:
            mutate_netcdf(file, random.Random(f"{kind} {seed}"))
        with outcomes.attempt():
            read(path)
    assert outcomes.refused > STRUCTURES_MUTATED / 3


def _odd_arrays() -> tuple[np.ndarray, ...]:
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
        np.array(np.datetime64("NaT")),
        np.array(2.5),
    )


@pytest.mark.filterwarnings("ignore")
def test_wrong_checkpoints_are_refused_in_one_sentence(
    readers: dict[str, tuple[Path, Read]], tmp_path: Path
) -> None:
    intact, read = readers["checkpoint"]
    with np.load(intact) as archive:
        entries = {key: archive[key] for key in archive.files}
    outcomes, path = Outcomes(), tmp_path / "wrong.npz"
    settings = [key for key in sorted(entries) if not key.startswith("params")]
    for seed in range(2 * STRUCTURES_MUTATED):
        generator = random.Random(seed)
        key = generator.choice(settings if generator.random() < 0.7 else sorted(entries))
        wrong = dict(entries)
        kind = generator.randrange(4)
        if kind == 0:
            del wrong[key]
        elif kind == 1:
            wrong[f"{key}:{generator.choice(['x', '0', '', chr(10) * 3000])}"] = wrong[key]
        else:
            wrong[key] = generator.choice(_odd_arrays())
        with path.open("wb") as file:
            writer: Callable[..., None] = np.savez
            writer(file, **wrong)
        with outcomes.attempt():
            read(path)
    assert outcomes.refused > STRUCTURES_MUTATED


def test_a_checkpoint_larger_than_the_memory_is_refused_before_reading(
    readers: dict[str, tuple[Path, Read]], tmp_path: Path
) -> None:
    intact, _ = readers["checkpoint"]
    path = tmp_path / "huge.npz"
    shutil.copy(intact, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("params:x:w.npy", b"")
        archive.infolist()[-1].file_size = 10**15
        archive._didModify = True  # type: ignore[attr-defined]  # rewrites the directory
    with pytest.raises(UserError, match=r"needs 1\.0 PB of memory"):
        load_checkpoint(path)


def test_pickled_objects_are_never_loaded(
    readers: dict[str, tuple[Path, Read]], tmp_path: Path
) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("a pickle was executed",))

    path = tmp_path / "pickle.npz"
    with path.open("wb") as file:
        writer: Callable[..., None] = np.savez
        writer(file, **{"denoiser_architecture_config:mesh_size": np.array([Harmful()], object)})
    with pytest.raises(UserError, match="an npz archive without pickles"):
        load_checkpoint(path)
