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
from tests.fuzz.damage import damaged_bytes
from tests.fuzz.netcdf_damage import mutate_netcdf, odd_arrays

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
        path.write_bytes(damaged_bytes(data, random.Random(f"{kind} {seed}")))
        with outcomes.attempt():
            read(path)
    assert outcomes.refused > BYTES_MUTATED / 3


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
            wrong[key] = generator.choice(odd_arrays())
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
