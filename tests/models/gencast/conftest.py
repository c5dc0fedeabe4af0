"""What the reference tests share: files, parameters by rule, and how distances are measured."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from perfkit.models.gencast.inputs.checkpoint import (
    Checkpoint,
    DenoiserArchitectureConfig,
    NoiseEncoderConfig,
    SamplerConfig,
    SparseTransformerConfig,
)
from perfkit.models.gencast.task import TaskConfig

DATA = Path(__file__).parents[2] / "data" / "gencast"


def parameter_by_rule(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The reference's rule: normal numbers seeded by the parameter's name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    x = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)
    if name.endswith(":b"):
        return np.asarray(x * 0.1, np.float32)
    x = x / np.sqrt(shape[0])
    return np.asarray(x * 0.3 if "_norm_conditioning" in name else x, np.float32)


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}


class Reference:
    """The reference folder: arrays, cases, tolerances."""

    folder = DATA

    def __init__(self) -> None:
        self.cases = json.loads((DATA / "cases.json").read_text())
        self.tolerances = json.loads((DATA / "tolerances.json").read_text())
        geometry = json.loads((DATA / "geometry.json").read_text())
        self.graphs, self.khop = geometry["graphs"], geometry["khop"]
        self._loaded: dict[str, Mapping[str, NDArray[Any]]] = {}

    def arrays(self, name: str) -> Mapping[str, NDArray[Any]]:
        """All arrays of ``name``.npz."""
        if name not in self._loaded:
            with np.load(DATA / f"{name}.npz") as archive:
                self._loaded[name] = {key: archive[key] for key in archive.files}
        return self._loaded[name]

    def group(self, name: str, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays of one group of a file, by variable."""
        prefix = f"{prefix}/"
        return {
            key[len(prefix) :]: value
            for key, value in self.arrays(name).items()
            if key.startswith(prefix)
        }

    def checkpoint(self, case: str) -> Checkpoint:
        """The configuration of a case with parameters by the rule."""
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
        """Largest distance beyond four roundings, in standard deviations of the change.

        NaN must be in the same places.
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
    """JAX in double precision for one test."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture
def small_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Synthetic weights of a narrow network, so that compiling takes seconds."""
    from perfkit.models.gencast.inputs import sources
    from perfkit.models.gencast.inputs.synthetic_weights import architecture_for

    small = architecture_for(1, latent=32, layers=2, feed_forward=64)
    monkeypatch.setattr(sources, "architecture_for", lambda mesh: replace(small, mesh_size=mesh))


@pytest.fixture(scope="session")
def stub_module() -> ModuleType:
    """The stub of the published packages' interface, which lies next to the tests."""
    path = Path(__file__).parents[2] / "support" / "weathernext_stub.py"
    spec = spec_from_file_location("weathernext_stub", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def set_up() -> Callable[..., tuple[Any, Any]]:
    """Builds settings and constants of a checkpoint on a grid."""
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
