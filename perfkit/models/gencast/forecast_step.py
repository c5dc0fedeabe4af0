"""One 12-hour step of a forecast in physical units: from two frames to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from perfkit.models.gencast.inputs.checkpoint import SamplerConfig
from perfkit.models.gencast.inputs.statistics import Statistics, normalise, physical_targets
from perfkit.models.gencast.network.definition import NetworkConstants, NetworkSettings
from perfkit.models.gencast.network.denoiser import denoise
from perfkit.models.gencast.network.denoiser_network import embed_context
from perfkit.models.gencast.network.sampler import sample
from perfkit.models.gencast.network.stacking import stack, unstack
from perfkit.models.gencast.sphere.sphere_noise import HarmonicTables
from perfkit.models.gencast.task import MASKED_VARIABLE, STATIC_VARIABLES, TaskConfig

Frames = Mapping[str, Any]
"""Variable -> ``[batch, time, level, lat, lon]``, or a layout with fewer dimensions
(:func:`~perfkit.models.gencast.task.dimensions_of`)."""


@dataclass(frozen=True)
class ForecastSettings:
    """Settings of a step that are fixed before it is compiled.

    Attributes
    ----------
    task
        Variables of the forecast.
    sampler
        Noise levels and churn.
    network
        Settings of the network.
    network_dtype
        NumPy type of the network's activations.
    state_dtype
        NumPy type of the sampler's state, noise levels and inputs. If both types are bfloat16,
        the step computes like the published model in its casting wrapper.
    """

    task: TaskConfig
    sampler: SamplerConfig
    network: NetworkSettings
    network_dtype: np.dtype[Any]
    state_dtype: np.dtype[Any]


class ForecastArrays(NamedTuple):
    """Arrays that a step needs in addition to its inputs.

    Attributes
    ----------
    constants
        Constant arrays of the network.
    statistics
        Statistics to normalise with.
    tables
        Harmonics of the grid, for the noise.
    """

    constants: NetworkConstants
    statistics: Statistics
    tables: HarmonicTables


def predict_step(
    settings: ForecastSettings,
    arrays: ForecastArrays,
    inputs: Frames,
    forcings: Frames,
    key: jax.Array,
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Sample the state 12 hours ahead.

    Parameters
    ----------
    settings, arrays
        The model.
    inputs
        Two frames of every input variable in physical units. Sea-surface temperature may be NaN.
    forcings
        One frame of the forcings of the target time.
    key
        Random key, uint32 ``[2]``.

    Returns
    -------
    frame
        One frame of every target in physical units. Sea-surface temperature is NaN wherever it is
        NaN in an input frame.
    first_call
        Normalised result of the first denoiser call, ``[grid nodes, batch, outputs]``.
    """
    surface = jnp.asarray(inputs[MASKED_VARIABLE])
    missing = jnp.isnan(surface)
    fill = jnp.asarray(arrays.statistics.fill, surface.dtype)
    filled = dict(inputs) | {MASKED_VARIABLE: jnp.where(missing, fill, surface)}
    batch, _, nlat, nlon = surface.shape

    context = embed_normalised(
        settings,
        arrays.constants,
        normalise(filled, arrays.statistics),
        normalise(forcings, arrays.statistics),
    )
    drawn, first_call = sample(
        lambda state, levels: denoise(arrays.constants, settings.network, context, state, levels),
        key,
        settings.sampler,
        settings.task,
        arrays.tables,
        batch,
        settings.state_dtype,
    )
    changes = unstack(drawn.astype(surface.dtype), settings.task, nlat, nlon)
    latest = {
        name: frames[:, -1:] for name, frames in filled.items() if name not in STATIC_VARIABLES
    }
    predicted = physical_targets(changes, latest, arrays.statistics)
    blanked = missing.any(axis=1, keepdims=True)
    predicted[MASKED_VARIABLE] = jnp.where(blanked, jnp.nan, predicted[MASKED_VARIABLE])
    return predicted, first_call


def embed_normalised(
    settings: ForecastSettings, constants: NetworkConstants, inputs: Frames, forcings: Frames
) -> jax.Array:
    """Compute the contribution of the context, which is the same in all denoiser calls of a step.

    Parameters
    ----------
    settings, constants
        The model.
    inputs, forcings
        Normalised frames without missing values.

    Returns
    -------
    Array
        Shape ``[grid nodes, batch, latent]``.
    """
    batch, _, nlat, nlon = inputs[MASKED_VARIABLE].shape
    stacked = [stack(group, nlat, nlon, batch) for group in (inputs, forcings)]
    context = jnp.concatenate(stacked, axis=-1).astype(settings.state_dtype)
    return embed_context(constants, settings.network, context.astype(settings.network_dtype))


def advance_frames(inputs: Frames, predicted: Frames, forcings: Frames) -> dict[str, Any]:
    """Make the inputs of the next step: drop the older frame and append the predicted one.

    Static variables stay. Predicted variables that are not inputs (precipitation) are dropped.

    Parameters
    ----------
    inputs
        Two frames of every input variable.
    predicted
        The predicted frame.
    forcings
        The forcings of the predicted frame.
    """
    newest = {**forcings, **predicted}
    return {
        name: frames
        if name in STATIC_VARIABLES
        else np.concatenate([frames[:, 1:], newest[name]], axis=1)
        for name, frames in inputs.items()
    }
