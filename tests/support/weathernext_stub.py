"""A stub of ``weathernext`` and ``xarray_jax``: the interface that perfkit uses, without a network.

Names, arguments and the order of calls are those of the published packages. The arithmetic is
simple enough to check by hand: each denoiser call returns half of its input plus one.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import haiku
import jax.numpy as jnp
import pytest

from perfkit.models.gencast.inputs.checkpoint import load_checkpoint


class Array:
    """A JAX array with named dimensions."""

    def __init__(self, dims: tuple[str, ...], data: Any) -> None:
        self.dims, self.data = tuple(dims), jnp.asarray(data)

    def transpose(self, *dims: str) -> Array:
        return Array(dims, self.data.transpose([self.dims.index(dim) for dim in dims]))


class Dataset(dict[str, Array]):
    """Named arrays. Checks that all coordinates are given."""

    def __init__(self, arrays: Mapping[str, tuple[Any, Any]], coords: Mapping[str, Any]) -> None:
        assert set(coords) == {"lat", "lon", "level", "time"}
        super().__init__({name: Array(*given) for name, given in arrays.items()})
        self.coords = coords

    def mapped(self, change: Any) -> Dataset:
        return Dataset({k: (v.dims, change(k, v.data)) for k, v in self.items()}, self.coords)


def _mutable(value: Any) -> Any:
    if not dataclasses.is_dataclass(value):
        return value
    fields = {f.name: _mutable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return SimpleNamespace(**fields)


def load(file: Any, typ: object) -> Any:
    assert typ is CheckPoint
    loaded = load_checkpoint(Path(file.name))
    return _mutable(loaded)


class CheckPoint:
    """Stands for the published class, of which only the name is used."""


class GenCast:
    """Calls the denoiser twice per level, in Haiku's loop."""

    attention: tuple[str, str] | None = None

    def __init__(
        self,
        task_config: Any,
        denoiser_architecture_config: Any,
        sampler_config: Any,
        noise_config: Any,
        noise_encoder_config: Any,
    ) -> None:
        self._levels = sampler_config.num_noise_levels
        transformer = denoiser_architecture_config.sparse_transformer_config
        GenCast.attention = (transformer.attention_type, transformer.mask_type)

    def _preconditioned_denoiser(
        self, inputs: Dataset, noisy_targets: Dataset, noise_levels: Any, forcings: Dataset
    ) -> Dataset:
        return noisy_targets.mapped(lambda name, array: array / 2 + 1)

    def __call__(self, inputs: Dataset, targets_template: Dataset, forcings: Dataset) -> Dataset:
        denoiser = self._preconditioned_denoiser

        def level(index: Any, arrays: dict[str, Any]) -> dict[str, Any]:
            state = targets_template.mapped(lambda name, _: arrays[name])
            haiku.next_rng_key()
            for _ in range(2):
                state = denoiser(
                    inputs=inputs, noisy_targets=state, noise_levels=index, forcings=forcings
                )
            return {name: array.data for name, array in state.items()}

        start = {name: jnp.zeros_like(array.data) for name, array in targets_template.items()}
        loop: Any = haiku.fori_loop
        final = loop(0, self._levels, level, start)
        result: Dataset = targets_template.mapped(lambda name, _: final[name])
        return result


class Bfloat16Cast:
    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor

    def __call__(self, inputs: Dataset, targets_template: Dataset, forcings: Dataset) -> Dataset:
        def cast(given: Dataset) -> Dataset:
            return given.mapped(lambda name, array: array.astype(jnp.bfloat16))

        predicted: Dataset = self._predictor(cast(inputs), cast(targets_template), cast(forcings))
        return predicted.mapped(lambda name, array: array.astype(jnp.float32))


def _aligned(statistics: Any, name: str) -> Any:
    values = jnp.asarray(statistics[name].values)
    return values[:, None, None] if values.ndim else values


class InputsAndResiduals:
    def __init__(
        self,
        predictor: Any,
        stddev_by_level: Any,
        mean_by_level: Any,
        diffs_stddev_by_level: Any,
    ) -> None:
        self._predictor = predictor
        self._mean, self._spread = mean_by_level, stddev_by_level
        self._change = diffs_stddev_by_level

    def __call__(self, inputs: Dataset, targets_template: Dataset, forcings: Dataset) -> Dataset:
        def physical(name: str, array: Any) -> Any:
            if name in inputs:
                return array * _aligned(self._change, name) + inputs[name].data[:, -1:]
            return array * _aligned(self._spread, name) + _aligned(self._mean, name)

        predicted: Dataset = self._predictor(inputs, targets_template, forcings)
        return predicted.mapped(physical)


class NaNCleaner:
    def __init__(
        self, predictor: Any, var_to_clean: str, fill_value: Any, reintroduce_nans: bool
    ) -> None:
        assert reintroduce_nans
        self._predictor, self._name = predictor, var_to_clean
        self._fill = float(fill_value[var_to_clean])

    def __call__(self, inputs: Dataset, targets_template: Dataset, forcings: Dataset) -> Dataset:
        missing = jnp.isnan(inputs[self._name].data)

        def cleaned(name: str, array: Any) -> Any:
            return jnp.where(missing, self._fill, array) if name == self._name else array

        def reintroduced(name: str, array: Any) -> Any:
            gone = missing.any(axis=1, keepdims=True)
            return jnp.where(gone, jnp.nan, array) if name == self._name else array

        predicted: Dataset
        predicted = self._predictor(inputs.mapped(cleaned), targets_template, forcings)
        return predicted.mapped(reintroduced)


_MODULES: Mapping[str, Mapping[str, Any]] = {
    "xarray_jax": {"Dataset": Dataset, "unwrap_data": lambda array: array.data},
    "weathernext": {},
    "weathernext.utils": {},
    "weathernext.utils.checkpoint": {"load": load},
    "weathernext.utils.casting": {"Bfloat16Cast": Bfloat16Cast},
    "weathernext.utils.normalization": {"InputsAndResiduals": InputsAndResiduals},
    "weathernext.utils.nan_cleaning": {"NaNCleaner": NaNCleaner},
    "weathernext.weathernext1_gen": {},
    "weathernext.weathernext1_gen.gencast": {"GenCast": GenCast, "CheckPoint": CheckPoint},
}


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the stub importable under the names of the published packages."""
    for name, members in _MODULES.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__path__ = []
        for member, value in members.items():
            setattr(module, member, value)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, child = name.rpartition(".")
        if parent:
            monkeypatch.setattr(sys.modules[parent], child, module, raising=False)
