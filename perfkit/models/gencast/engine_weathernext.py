"""Runs the published implementation, ``weathernext``, as a step like perfkit's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from perfkit.models.gencast.forecast_step import Frames
from perfkit.models.gencast.inputs.checkpoint import Checkpoint, save_checkpoint
from perfkit.models.gencast.inputs.dataset import Example
from perfkit.models.gencast.inputs.statistics import Statistics
from perfkit.models.gencast.knobs import PUBLISHED_ATTENTION, Settings
from perfkit.models.gencast.network.attention import AttentionKind
from perfkit.models.gencast.network.stacking import stack
from perfkit.models.gencast.task import MASKED_VARIABLE, STEP_HOURS, dimensions_of
from perfkit.models.prepared import PyTree
from perfkit.models.shared_knobs import BFLOAT16

if TYPE_CHECKING:
    import xarray

WEATHERNEXT_KINDS: tuple[AttentionKind, ...] = ("dense", "banded")
"""Implementations of attention that the published implementation offers on CPUs."""

_NO_MODULE = "~"
"""Haiku's key for the state of functions that belong to no module."""

_CALLS, _FIRST_CALL = "calls", "first_call"
"""Keys of the number of calls and of the result of the first call in that state."""


def weathernext_step(
    checkpoint: Checkpoint,
    example: Example,
    statistics: Statistics,
    settings: Settings,
    attention: AttentionKind,
) -> tuple[Callable[..., tuple[dict[str, jax.Array], jax.Array]], PyTree]:
    """Make a step of the published implementation.

    Parameters
    ----------
    checkpoint
        Parameters and configuration of the network.
    example
        Frames that give the grid.
    statistics
        Statistics to normalise with.
    settings
        Values of the model's knobs, accepted by
        :func:`~perfkit.models.gencast.knobs.refuse_for_weathernext`.
    attention
        Implementation of attention, one of :data:`WEATHERNEXT_KINDS`.

    Returns
    -------
    step
        Function of parameters, two input frames, the forcings of the target time and a key. It
        returns the next frame and the result of the first denoiser call, in the layouts of
        :func:`~perfkit.models.gencast.forecast_step.predict_step`.
    parameters
        First argument of the step.
    """
    import haiku
    import xarray_jax

    loaded = _upstream_checkpoint(checkpoint, PUBLISHED_ATTENTION[attention])
    frames = _Datasets(example, checkpoint)
    task = checkpoint.task_config
    dtype = jnp.bfloat16 if settings.precision == BFLOAT16 else jnp.float32

    def predict(inputs: Any, template: Any, forcings: Any) -> Any:
        predictor = _predictor(loaded, statistics, frames, settings.precision == BFLOAT16)
        return predictor(inputs, targets_template=template, forcings=forcings)

    transformed = haiku.transform_with_state(predict)

    def step(
        params: PyTree, inputs: Frames, forcings: Frames, key: jax.Array
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        batch, _, nlat, nlon = inputs[MASKED_VARIABLE].shape
        template = {
            name: np.full(frames.shape_of(name, batch), np.nan, np.float32)
            for name in task.target_variables
        }
        nothing_called = {
            _CALLS: jnp.zeros((), jnp.int32),
            # The published cast keeps states of bfloat16 as float32, which differs in the loop.
            _FIRST_CALL: jnp.zeros((nlat * nlon, batch, task.output_channels), jnp.float32),
        }
        # Haiku's type annotations do not show that a state is a mapping.
        state: Any
        predicted, state = transformed.apply(
            params,
            {_NO_MODULE: nothing_called},
            key,
            frames.dataset(inputs, (-STEP_HOURS, 0)),
            frames.dataset(template, (STEP_HOURS,)),
            frames.dataset(forcings, (STEP_HOURS,)),
        )
        fields = {
            name: xarray_jax.unwrap_data(predicted[name].transpose(*dimensions_of(name)))
            for name in task.target_variables
        }
        return fields, state[_NO_MODULE][_FIRST_CALL].astype(dtype)

    return step, jax.tree.map(np.asarray, loaded.params)


def _observed(denoiser: Callable[..., Any], frames: _Datasets) -> Callable[..., Any]:
    """Wrap ``denoiser`` in the scope of its part, and store its first result as Haiku state.

    The sampler calls it in a loop, and only Haiku's state leaves that loop.
    """
    import haiku
    import xarray_jax

    def observed(*given: Any, **named: Any) -> Any:
        with jax.named_scope("denoiser_call"):
            estimate = denoiser(*given, **named)
        fields = {
            str(name): xarray_jax.unwrap_data(values.transpose(*dimensions_of(str(name))))
            for name, values in estimate.items()
        }
        batch = next(iter(fields.values())).shape[0]
        calls, first = haiku.get_state(_CALLS), haiku.get_state(_FIRST_CALL)
        stacked = stack(fields, *frames.grid, batch).astype(first.dtype)
        haiku.set_state(_FIRST_CALL, jnp.where(calls == 0, stacked, first))
        haiku.set_state(_CALLS, calls + 1)
        return estimate

    return observed


def _upstream_checkpoint(checkpoint: Checkpoint, attention_type: str) -> Any:
    """Read the checkpoint with the published reader, and replace its TPU kernel."""
    from weathernext.utils import checkpoint as reader
    from weathernext.weathernext1_gen import gencast

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.npz"
        save_checkpoint(checkpoint, path)
        with path.open("rb") as file:
            loaded = reader.load(file, gencast.CheckPoint)
    transformer = loaded.denoiser_architecture_config.sparse_transformer_config
    transformer.attention_type, transformer.mask_type = attention_type, "full"
    return loaded


def _predictor(loaded: Any, statistics: Statistics, frames: _Datasets, bfloat16: bool) -> Any:
    """Build the published model within its wrappers."""
    from weathernext.utils import casting, nan_cleaning, normalization
    from weathernext.weathernext1_gen import gencast

    model = gencast.GenCast(
        task_config=loaded.task_config,
        sampler_config=loaded.sampler_config,
        denoiser_architecture_config=loaded.denoiser_architecture_config,
        noise_config=loaded.noise_config,
        noise_encoder_config=loaded.noise_encoder_config,
    )
    model._preconditioned_denoiser = _observed(model._preconditioned_denoiser, frames)
    if bfloat16:
        model = casting.Bfloat16Cast(model)
    model = normalization.InputsAndResiduals(
        model,
        mean_by_level=frames.by_level(statistics.mean),
        stddev_by_level=frames.by_level(statistics.spread),
        diffs_stddev_by_level=frames.by_level(statistics.change_spread),
    )
    return nan_cleaning.NaNCleaner(
        model,
        var_to_clean=MASKED_VARIABLE,
        fill_value=frames.by_level({MASKED_VARIABLE: statistics.fill}),
        reintroduce_nans=True,
    )


class _Datasets:
    """Converts named arrays to the datasets that the published implementation takes."""

    def __init__(self, example: Example, checkpoint: Checkpoint) -> None:
        self._lat, self._lon = example.lat, example.lon
        self._levels = np.array(checkpoint.task_config.pressure_levels, np.int32)

    @property
    def grid(self) -> tuple[int, int]:
        """Number of latitudes and longitudes."""
        return len(self._lat), len(self._lon)

    def shape_of(self, name: str, batch: int) -> tuple[int, ...]:
        """Return the shape of one frame of a variable."""
        sizes = {
            "batch": batch,
            "time": 1,
            "level": len(self._levels),
            "lat": len(self._lat),
            "lon": len(self._lon),
        }
        return tuple(sizes[dimension] for dimension in dimensions_of(name))

    def dataset(self, frames: Frames, hours: tuple[int, ...]) -> Any:
        """Make a dataset of JAX or NumPy arrays at lead times ``hours``."""
        import xarray_jax

        return xarray_jax.Dataset(
            {name: (dimensions_of(name), array) for name, array in frames.items()},
            coords={
                "lat": self._lat,
                "lon": self._lon,
                "level": self._levels,
                "time": np.array(hours, "timedelta64[h]").astype("timedelta64[ns]"),
            },
        )

    def by_level(self, values: Any) -> xarray.Dataset:
        """Make a dataset of statistics with the pressure levels as a coordinate."""
        import xarray

        return xarray.Dataset(
            {
                name: (("level",), np.asarray(v)) if np.ndim(v) else ((), np.asarray(v))
                for name, v in values.items()
            },
            coords={"level": self._levels},
        )
