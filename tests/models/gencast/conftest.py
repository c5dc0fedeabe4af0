"""Fixtures: reference outputs of the published model, and options of a small model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray
from numpy.typing import NDArray

from perfkit.models.gencast.inputs.atmosphere import synthetic_statistics
from perfkit.models.gencast.inputs.checkpoint import (
    Checkpoint,
    DenoiserArchitectureConfig,
    NoiseEncoderConfig,
    SamplerConfig,
    SparseTransformerConfig,
    save_checkpoint,
)
from perfkit.models.gencast.inputs.hdf5_check import checks_in_one_process
from perfkit.models.gencast.inputs.statistics import Statistics
from perfkit.models.gencast.inputs.synthetic_weights import architecture_for, synthetic_checkpoint
from perfkit.models.gencast.task import MASKED_VARIABLE, TaskConfig

DATA = Path(__file__).parents[2] / "data" / "gencast"


def parameter_by_rule(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Make a parameter by the reference's rule: normal numbers seeded by its name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    x = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)
    if name.endswith(":b"):
        return np.asarray(x * 0.1, np.float32)
    x = x / np.sqrt(shape[0])
    return np.asarray(x * 0.3 if "_norm_conditioning" in name else x, np.float32)


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}


class Reference:
    """The folder with reference outputs of the published model: arrays, cases, tolerances."""

    folder = DATA

    def __init__(self) -> None:
        self.cases = json.loads((DATA / "cases.json").read_text())
        self.tolerances = json.loads((DATA / "tolerances.json").read_text())
        geometry = json.loads((DATA / "geometry.json").read_text())
        self.graphs, self.khop = geometry["graphs"], geometry["khop"]
        self._loaded: dict[str, Mapping[str, NDArray[Any]]] = {}

    def arrays(self, name: str) -> Mapping[str, NDArray[Any]]:
        """Return all arrays of ``name``.npz."""
        if name not in self._loaded:
            with np.load(DATA / f"{name}.npz") as archive:
                self._loaded[name] = {key: archive[key] for key in archive.files}
        return self._loaded[name]

    def group(self, name: str, prefix: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of one group of a file, by variable."""
        prefix = f"{prefix}/"
        return {
            key[len(prefix) :]: value
            for key, value in self.arrays(name).items()
            if key.startswith(prefix)
        }

    def checkpoint(self, case: str) -> Checkpoint:
        """Return the configuration of a case with parameters by the rule."""
        params: dict[str, dict[str, NDArray[np.float32]]] = {}
        for key, shape in self.cases[case]["parameters"].items():
            _, module, leaf = key.split(":")
            params.setdefault(module, {})[leaf] = parameter_by_rule(key, tuple(shape))
        config = self.cases[case]["config"]
        architecture = _tuples(config["denoiser_architecture_config"])
        transformer = SparseTransformerConfig(**architecture.pop("sparse_transformer_config"))
        return Checkpoint(
            params=params,
            denoiser_architecture_config=DenoiserArchitectureConfig(transformer, **architecture),
            task_config=TaskConfig(**_tuples(self.cases["task_config"])),
            sampler_config=SamplerConfig(**config["sampler_config"]),
            noise_encoder_config=NoiseEncoderConfig(**_tuples(config["noise_encoder_config"])),
        )

    def physical_distance(
        self, ours: Mapping[str, Any], theirs: Mapping[str, NDArray[Any]]
    ) -> float:
        """Return the largest distance beyond four roundings, in standard deviations of the change.

        Asserts that NaN are in the same places.
        """
        scales = self.arrays("scales")
        worst = 0.0
        assert set(ours) == set(theirs)
        for name, expected in theirs.items():
            found = np.asarray(ours[name], np.float64)
            np.testing.assert_array_equal(np.isnan(found), np.isnan(expected), err_msg=name)
            scale = scales[name].reshape(-1, 1, 1) if scales[name].ndim else scales[name]
            beyond = np.abs(found - expected) - 4 * 2.0**-23 * np.abs(expected)
            worst = max(worst, float(np.nanmax(np.maximum(beyond, 0) / scale)))
        return worst


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference()


@pytest.fixture
def x64() -> Iterator[None]:
    """Run a test with JAX in double precision."""
    import jax

    with jax.enable_x64(True):
        yield


def write_statistics(statistics: Statistics, folder: Path) -> None:
    """Write statistics as the four files that accompany a checkpoint."""
    levels = np.array(TaskConfig().pressure_levels)
    for name, values in {
        "mean_by_level": statistics.mean,
        "stddev_by_level": statistics.spread,
        "diffs_stddev_by_level": statistics.change_spread,
        "min_by_level": {MASKED_VARIABLE: statistics.fill},
    }.items():
        variables = {
            variable: (("level",) if np.ndim(value) else (), np.asarray(value))
            for variable, value in values.items()
        }
        dataset = xarray.Dataset(variables, {"level": levels})
        dataset.to_netcdf(folder / f"{name}.nc", engine="h5netcdf")


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Options for a narrow network with synthetic weights on a mesh of one refinement.

    It compiles in seconds.
    """
    folder = tmp_path_factory.mktemp("small_model")
    architecture = architecture_for(1, latent=32, layers=2, feed_forward=64)
    save_checkpoint(synthetic_checkpoint(architecture), folder / "small.npz")
    write_statistics(synthetic_statistics(TaskConfig()), folder)
    return {"checkpoint": str(folder / "small.npz"), "stats": str(folder)}


@pytest.fixture(scope="session")
def stub_module() -> ModuleType:
    """The stub of the published packages' interface."""
    from tests.support import weathernext_stub

    return weathernext_stub


@pytest.fixture(scope="session")
def set_up() -> Callable[..., tuple[Any, Any]]:
    """Return a function that builds settings and constants of a checkpoint on a grid."""
    from perfkit.models.gencast.forecast_step import ForecastSettings
    from perfkit.models.gencast.network.constants import (
        Execution,
        build_constants,
        network_settings,
    )
    from perfkit.models.gencast.sphere.geometry import build_geometry

    def build(
        checkpoint: Checkpoint,
        lat: NDArray[np.float32],
        lon: NDArray[np.float32],
        execution: Execution,
        state_dtype: Any = None,
    ) -> tuple[ForecastSettings, Any]:
        architecture = checkpoint.denoiser_architecture_config
        geometry = build_geometry(
            lat, lon, architecture.mesh_size, architecture.radius_query_fraction_edge_length
        )
        settings = ForecastSettings(
            checkpoint.task_config,
            checkpoint.sampler_config,
            network_settings(checkpoint, execution),
            execution.dtype,
            state_dtype or execution.dtype,
        )
        return settings, build_constants(checkpoint, geometry, execution)

    return build


@pytest.fixture(scope="session", autouse=True)
def one_process_for_checks() -> Iterator[None]:
    """Have one process check all files that tests read: each needs 0.2 s to start."""
    with checks_in_one_process():
        yield
