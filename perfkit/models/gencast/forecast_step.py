"""One 12-hour step in physical units: from two frames to the next."""

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
"""Variable -> ``[batch, time, level, lat, lon]`` or one of the smaller layouts of the files."""


@dataclass(frozen=True)
class ForecastSettings:
    """Everything about a step that is fixed before it is compiled.

    Attributes
    ----------
    network_dtype
        Of the network's activations.
    state_dtype
        Of the sampler's state, noise levels and inputs. With bfloat16 for both, the published
        model's cast wrapper is followed.
    """

    task: TaskConfig
    sampler: SamplerConfig
    network: NetworkSettings
    network_dtype: np.dtype[Any]
    state_dtype: np.dtype[Any]


class ForecastArrays(NamedTuple):
    """Every array that a step needs besides its inputs."""

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
    """Sample the state 12 hours ahead, and keep what the first denoiser call returned.

    Parameters
    ----------
    inputs
        Two frames of every input variable in physical units; sea-surface temperature may be NaN.
    forcings
        The forcings of the target time, one frame.
    key
        uint32 ``[2]``.

    Returns
    -------
    One frame of every target in physical units; sea-surface temperature is NaN where an input
    frame was. And the estimate of the first call, ``[grid nodes, batch, outputs]``, normalised.
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
    """What the context contributes to every denoiser call, ``[grid nodes, batch, latent]``.

    Parameters
    ----------
    inputs, forcings
        Normalised and without missing values.
    """
    batch, _, nlat, nlon = inputs[MASKED_VARIABLE].shape
    stacked = [stack(group, nlat, nlon, batch) for group in (inputs, forcings)]
    context = jnp.concatenate(stacked, axis=-1).astype(settings.state_dtype)
    return embed_context(constants, settings.network, context.astype(settings.network_dtype))


def advance_frames(inputs: Frames, predicted: Frames, forcings: Frames) -> dict[str, Any]:
    """Inputs of the next step: the older frame dropped, the predicted one and its forcings added.

    Static variables stay; precipitation is dropped.
    """
    newest = {**forcings, **predicted}
    return {
        name: frames
        if name in STATIC_VARIABLES
        else np.concatenate([frames[:, 1:], newest[name]], axis=1)
        for name, frames in inputs.items()
    }
