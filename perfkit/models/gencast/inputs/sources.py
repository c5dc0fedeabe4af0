"""Resolves the user's options to the input, weights and statistics of a forecast."""

from __future__ import annotations

import hashlib
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError, unknown_name
from perfkit.files import short_digest
from perfkit.models.gencast.inputs.atmosphere import (
    SYNTHETIC_INPUT_NOTICE,
    synthetic_atmosphere,
    synthetic_statistics,
)
from perfkit.models.gencast.inputs.checkpoint import Checkpoint, load_checkpoint
from perfkit.models.gencast.inputs.dataset import Example, read_example, read_grid
from perfkit.models.gencast.inputs.netcdf import open_dataset
from perfkit.models.gencast.inputs.statistics import Statistics, load_statistics
from perfkit.models.gencast.inputs.synthetic_weights import (
    SEED,
    SYNTHETIC_WEIGHTS_NOTICE,
    architecture_for,
    synthetic_checkpoint,
)
from perfkit.models.gencast.sphere.geometry import check_mesh_for_grid
from perfkit.models.gencast.sphere.grid import regular_grid
from perfkit.models.gencast.task import TaskConfig

DEFAULT_RESOLUTION = 1.0
"""Grid spacing of the synthetic atmosphere in degrees."""

OWN = "perfkit"
"""Engine: perfkit's implementation."""

WEATHERNEXT = "weathernext"
"""Engine: the published implementation."""

_FINEST_MESH = 7
"""Most refinements of the mesh for synthetic weights."""

_LARGEST_SEED = 2**32 - 1
"""JAX makes a key from 32 bits and silently drops the others."""


@dataclass(frozen=True)
class Sources:
    """Sources of the input, the weights and the statistics of a forecast.

    Attributes
    ----------
    input, checkpoint, stats
        Absolute paths; None for synthetic data.
    resolution
        Grid spacing of the synthetic atmosphere in degrees.
    mesh
        Number of refinements of the mesh for synthetic weights.
    engine
        :data:`OWN` or :data:`WEATHERNEXT`.
    seed
        Seed of the forecast's noise.
    """

    input: Path | None
    checkpoint: Path | None
    stats: Path | None
    resolution: float
    mesh: int
    engine: str
    seed: int = 0

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences that a reader of any result must know."""
        synthetic = {
            SYNTHETIC_INPUT_NOTICE: self.input is None,
            SYNTHETIC_WEIGHTS_NOTICE: self.checkpoint is None,
        }
        return tuple(notice for notice, holds in synthetic.items() if holds)

    def read_example(self, task: TaskConfig) -> Example:
        """Read the frames to start from, or make synthetic ones."""
        if self.input is None:
            return synthetic_atmosphere(self.resolution)
        return read_example(self.input, task)

    def read_checkpoint(self) -> Checkpoint:
        """Read the weights and the configuration, or make synthetic ones."""
        if self.checkpoint is None:
            return synthetic_checkpoint(architecture_for(self.mesh))
        return load_checkpoint(self.checkpoint)

    def read_statistics(self, task: TaskConfig) -> Statistics:
        """Read the statistics to normalise with, or compute those of the synthetic atmosphere."""
        if self.stats is None:
            return synthetic_statistics(task)
        return load_statistics(self.stats, task)

    def check(self) -> tuple[int, int]:
        """Read and check all given files.

        Returns
        -------
        tuple of int
            Number of latitudes and number of longitudes of the grid.

        Raises
        ------
        UserError
            A file cannot be used, or the mesh is too coarse for the grid.
        """
        task, mesh = TaskConfig(), self.mesh
        if self.checkpoint is not None:
            checkpoint = self.read_checkpoint()
            task, mesh = checkpoint.task_config, checkpoint.denoiser_architecture_config.mesh_size
        if self.stats is not None:
            self.read_statistics(task)
        if self.input is None:
            lat, lon = regular_grid(self.resolution)
        else:
            example = self.read_example(task)
            lat, lon = example.lat, example.lon
        check_mesh_for_grid(mesh, float(lat[1] - lat[0]))
        return len(lat), len(lon)

    def digest(self) -> str:
        """Return sixteen hexadecimal digits that depend on the content of all sources."""
        used: list[object] = [self.resolution, self.mesh, f"synthetic-{SEED}", self.engine]
        used += [_content_digest(path) for path in (self.input, self.checkpoint)]
        if self.stats is not None:
            used += [_content_digest(path) for path in sorted(self.stats.glob("*_by_level.nc"))]
        # The default seed is left out so that digests from before the option stay valid.
        used += [f"seed-{self.seed}"] if self.seed else []
        return short_digest(repr(used), 16)


def _content_digest(path: Path | None) -> str:
    if path is None:
        return "synthetic"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mesh_for(resolution: float) -> int:
    """Return the refinements for which a mesh edge spans as many grid spacings as published.

    Parameters
    ----------
    resolution
        Grid spacing in degrees.
    """
    return min(max(1, round(4 - math.log2(resolution))), _FINEST_MESH)


def sources_from(options: Mapping[str, str | int | float | bool]) -> Sources:
    """Check the options of a workload and fill in defaults.

    Parameters
    ----------
    options
        Option name -> value.

    Raises
    ------
    UserError
        Options exclude each other, a file is missing, or a number is impossible.
    """
    paths = {name: _existing(name, options) for name in ("input", "checkpoint", "stats")}
    if paths["input"] is not None and "resolution" in options:
        raise UserError("--input and --resolution exclude each other: a file has its own grid")
    if paths["checkpoint"] is not None and "mesh" in options:
        raise UserError("--checkpoint and --mesh exclude each other: a checkpoint has its own mesh")
    if paths["checkpoint"] is not None and paths["stats"] is None:
        raise UserError(
            "a checkpoint needs the statistics it was trained with: give --stats FOLDER with "
            "mean_by_level.nc, stddev_by_level.nc, diffs_stddev_by_level.nc and min_by_level.nc"
        )
    resolution = float(options.get("resolution", DEFAULT_RESOLUTION))
    if paths["input"] is not None:
        resolution = 180 / (_latitudes(paths["input"]) - 1)
    else:
        regular_grid(resolution)
    mesh = int(options.get("mesh", mesh_for(resolution)))
    if not 1 <= mesh <= _FINEST_MESH:
        raise UserError(f"--mesh takes 1 to {_FINEST_MESH} refinements, not {reprlib.repr(mesh)}")
    engine = str(options.get("engine", OWN))
    if engine not in (OWN, WEATHERNEXT):
        raise unknown_name("engine", engine, (OWN, WEATHERNEXT))
    seed = _seed(options.get("seed", 0))
    given = paths["input"], paths["checkpoint"], paths["stats"]
    return Sources(*given, resolution, mesh, engine, seed)


def _seed(value: str | int | float | bool) -> int:
    text = str(value).strip()
    # The length is checked first: Python refuses to convert thousands of digits.
    fits = len(text) <= len(str(_LARGEST_SEED)) and text.isascii() and text.isdigit()
    if not fits or int(text) > _LARGEST_SEED:
        raise UserError(
            f"--seed takes a whole number from 0 to {_LARGEST_SEED}, not {reprlib.repr(value)}"
        )
    return int(text)


def _existing(name: str, options: Mapping[str, str | int | float | bool]) -> Path | None:
    if name not in options:
        return None
    try:
        path = Path(str(options[name])).resolve()
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise UserError(f"--{name}: {options[name]!r} is not a valid path ({error})") from error
    if not exists:
        raise UserError(f"--{name}: there is no file or folder {path}")
    return path


def _latitudes(path: Path) -> int:
    with open_dataset(path) as dataset:
        return len(read_grid(dataset, path)[0])
