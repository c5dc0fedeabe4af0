"""Prepares a forecast: one compiled step, which is run for all steps and members."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from perfkit.answers.finite import DeclaredNan
from perfkit.answers.made_arrays import MadeArrays
from perfkit.kernels.build.availability import why_no_kernels
from perfkit.models.gencast.engine_weathernext import WEATHERNEXT_KINDS, weathernext_step
from perfkit.models.gencast.forecast import Forecast, write_forecast
from perfkit.models.gencast.forecast_step import (
    ForecastArrays,
    ForecastSettings,
    Frames,
    advance_frames,
    predict_step,
)
from perfkit.models.gencast.inputs.checkpoint import Checkpoint
from perfkit.models.gencast.inputs.dataset import Example, Extracted, forecast_inputs
from perfkit.models.gencast.inputs.sources import WEATHERNEXT
from perfkit.models.gencast.inputs.statistics import Statistics
from perfkit.models.gencast.knobs import Settings, refuse_for_weathernext
from perfkit.models.gencast.maps import write_maps
from perfkit.models.gencast.modules import WEATHERNEXT_SCOPE
from perfkit.models.gencast.network.attention import (
    ATTENTION_KINDS,
    AttentionKind,
    choose_attention,
)
from perfkit.models.gencast.network.constants import Execution, build_constants, network_settings
from perfkit.models.gencast.sphere.geometry import build_geometry
from perfkit.models.gencast.sphere.mesh import banded_icosahedron
from perfkit.models.gencast.sphere.sphere_noise import harmonic_tables
from perfkit.models.gencast.task import MASKED_VARIABLE
from perfkit.models.native_kernels import load_native_kernels
from perfkit.models.prepared import Prepared, PyTree
from perfkit.models.shared_knobs import BFLOAT16, FLOAT32

DENOISER_CALL = "denoiser_call"
"""Key of the result of the first denoiser call, among the fields of a forecast."""


def prepare_forecast(
    checkpoint: Checkpoint,
    example: Example,
    statistics: Statistics,
    settings: Settings,
    fidelity: Mapping[str, int],
    parts: Mapping[str, int],
    notices: tuple[str, ...],
    labels: tuple[str, ...],
    plot: bool,
    engine: str,
    seed: int,
) -> Prepared:
    """Prepare a forecast under one configuration.

    Parameters
    ----------
    checkpoint
        Parameters and configuration of the network.
    example
        Frames to start from.
    statistics
        Statistics to normalise with.
    settings
        Values of the model's knobs.
    fidelity
        Values of ``levels``, ``steps`` and ``members``.
    parts
        How often each part runs.
    notices
        Sentences that every file of the forecast carries.
    labels
        Statements about the fidelity that every file of the forecast carries.
    plot
        Whether to write maps in addition to the forecast.
    engine
        ``perfkit`` for perfkit's implementation, ``weathernext`` for the published one.
    seed
        Seed of the noise. The number of each member is folded into its key.
    """
    # Their compilation belongs to no stage that is timed for comparison.
    if settings.native_kernels:
        notices = (*notices, *load_native_kernels(why_no_kernels()))
    sampler = replace(checkpoint.sampler_config, num_noise_levels=fidelity["levels"])
    checkpoint = replace(checkpoint, sampler_config=sampler)
    levels = checkpoint.task_config.pressure_levels
    steps, members = fidelity["steps"], fidelity["members"]
    given = forecast_inputs(example, checkpoint.task_config, steps)
    step, arrays = _step(checkpoint, example, statistics, settings, engine)
    function: Callable[..., PyTree] = partial(step, arrays) if settings.constants else step
    leading = () if settings.constants else (arrays,)
    first = _forcings_of(given, 0)
    keys = [jax.random.fold_in(jax.random.PRNGKey(seed), j) for j in range(members)]

    def drive(compiled: Callable[..., PyTree]) -> PyTree:
        return roll_out(partial(compiled, *leading), given, keys, steps)

    def write(outputs: PyTree, folder: Path) -> list[Path]:
        forecast = Forecast(
            fields={name: field for name, field in outputs.items() if name != DENOISER_CALL},
            lat=example.lat,
            lon=example.lon,
            levels=levels,
            seconds=given.target_seconds,
            seed=seed,
            notices=(*notices, *labels),
        )
        written = [folder / "forecast.nc"]
        write_forecast(forecast, written[0])
        if plot:
            written.append(folder / "forecast.html")
            write_maps(forecast, written[1])
        return written

    missing = np.isnan(given.inputs[MASKED_VARIABLE]).any(axis=1)
    shape = (members, len(missing), steps, *missing.shape[1:])
    leaf, frames = f"['{MASKED_VARIABLE}']", missing[:, None]
    return Prepared(
        function=function,
        arguments=(*leading, given.inputs, first, keys[0]),
        drive=drive,
        parts=parts,
        compared=partial(normalised_changes, given, statistics),
        write=write,
        expected_nan={leaf: np.broadcast_to(missing[None, :, None], shape)},
        declared_nan=DeclaredNan({f"[{len(leading)}]{leaf}": frames}, {leaf: frames}),
        notices=notices,
        labels=labels,
    )


def _step(
    checkpoint: Checkpoint,
    example: Example,
    statistics: Statistics,
    settings: Settings,
    engine: str,
) -> tuple[Callable[..., PyTree], PyTree]:
    """Return the function of one step, and the arrays that it takes before its inputs."""
    predict: Callable[..., tuple[dict[str, jax.Array], jax.Array]]
    arrays: PyTree
    if engine == WEATHERNEXT:
        refuse_for_weathernext(settings)
        attention = _attention_kind(checkpoint, settings, WEATHERNEXT_KINDS)
        predict, arrays = weathernext_step(checkpoint, example, statistics, settings, attention)
        scope = WEATHERNEXT_SCOPE
    else:
        step_settings, arrays = forecast_arrays(checkpoint, example, statistics, settings)
        predict, scope = partial(predict_step, step_settings), "step_setup"

    def step(
        arrays: PyTree, inputs: Frames, forcings: Frames, key: jax.Array
    ) -> dict[str, jax.Array]:
        frames, call = predict(arrays, inputs, forcings, key)
        return {**frames, DENOISER_CALL: call}

    return jax.named_scope(scope)(step), arrays


def forecast_arrays(
    checkpoint: Checkpoint, example: Example, statistics: Statistics, settings: Settings
) -> tuple[ForecastSettings, ForecastArrays]:
    """Compute the settings and arrays of a step of perfkit's implementation.

    Parameters
    ----------
    checkpoint
        Parameters and configuration of the network.
    example
        Frames that give the grid.
    statistics
        Statistics to normalise with.
    settings
        Values of the model's knobs.
    """
    architecture = checkpoint.denoiser_architecture_config
    geometry = build_geometry(
        example.lat,
        example.lon,
        architecture.mesh_size,
        architecture.radius_query_fraction_edge_length,
    )
    execution = Execution(
        dtype=np.dtype(np.float32 if settings.precision == FLOAT32 else jnp.bfloat16),
        attention=_attention_kind(checkpoint, settings),
        grid_block=settings.grid_block,
        compress_edges=settings.compress_edges,
        native_kernels=settings.native_kernels,
    )
    step_settings = ForecastSettings(
        task=checkpoint.task_config,
        sampler=checkpoint.sampler_config,
        network=network_settings(checkpoint, execution),
        network_dtype=execution.dtype,
        state_dtype=np.dtype(jnp.bfloat16 if settings.precision == BFLOAT16 else np.float32),
    )
    tables = harmonic_tables(example.lat, len(example.lon))
    constants = build_constants(checkpoint, geometry, execution)
    return step_settings, jax.tree.map(jnp.asarray, ForecastArrays(constants, statistics, tables))


def _attention_kind(
    checkpoint: Checkpoint, settings: Settings, kinds: tuple[AttentionKind, ...] = ATTENTION_KINDS
) -> AttentionKind:
    """Return the chosen implementation; if none is chosen, the one with the fewest logits.

    Native kernels serve patches only.
    """
    for kind in kinds:
        if settings.attention == kind:
            return kind
    if settings.native_kernels:
        return "patches"
    return automatic_attention(checkpoint, kinds)


def automatic_attention(
    checkpoint: Checkpoint, kinds: tuple[AttentionKind, ...] = ATTENTION_KINDS
) -> AttentionKind:
    """Return the implementation with the fewest logits on the mesh of ``checkpoint``."""
    mesh = banded_icosahedron(checkpoint.denoiser_architecture_config.mesh_size)
    transformer = checkpoint.denoiser_architecture_config.sparse_transformer_config
    return choose_attention(mesh, transformer.attention_k_hop, kinds)


def _forcings_of(given: Extracted, step: int) -> dict[str, NDArray[np.float32]]:
    return {name: array[:, step : step + 1] for name, array in given.forcings.items()}


def roll_out(
    step: Callable[..., Mapping[str, Any]],
    given: Extracted,
    keys: list[jax.Array],
    steps: int,
) -> dict[str, NDArray[np.float32]]:
    """Compute all members and steps of a forecast.

    Parameters
    ----------
    step
        Maps inputs, forcings and a key to the next frame.
    given
        Inputs of the first step and forcings of all steps.
    keys
        Random key of each member, uint32 ``[2]``.
    steps
        Number of steps.

    Returns
    -------
    dict
        Variable -> ``[member, batch, step, ...]`` in physical units. If ``step`` returns the result
        of its first denoiser call, that of the first step of the first member is included.
    """
    members = []
    first_call: dict[str, NDArray[np.float32]] = {}
    for key in keys:
        inputs: Mapping[str, Any] = given.inputs
        frames = []
        for index in range(steps):
            key, this = jax.random.split(key)
            forcings = _forcings_of(given, index)
            predicted = {name: np.asarray(v) for name, v in step(inputs, forcings, this).items()}
            call = predicted.pop(DENOISER_CALL, None)
            if call is not None and not first_call:
                first_call = {DENOISER_CALL: call}
            inputs = advance_frames(inputs, predicted, forcings)
            frames.append(predicted)
        members.append(
            {name: np.concatenate([f[name] for f in frames], axis=1) for name in frames[0]}
        )
    fields = {name: np.stack([member[name] for member in members]) for name in members[0]}
    return fields | first_call


def normalised_changes(given: Extracted, statistics: Statistics, outputs: PyTree) -> MadeArrays:
    """Extract the quantities to compare: the first denoiser call, and the change of each variable.

    Changes are relative to the last input frame, in standard deviations of the 12-hour change.
    Only the first step is compared: later steps start from sampled states, in which small
    differences grow.

    Fields are not compared directly. They agree however wrong the network is, because the largest
    part of a field is the last input frame. Precipitation is not an input, so its values are
    compared, in standard deviations. Cells without a value are left out.

    Parameters
    ----------
    given
        Inputs of the forecast.
    statistics
        Statistics of the checkpoint.
    outputs
        Result of :func:`roll_out`.
    """

    def make(name: str) -> NDArray[np.float32]:
        forecast = outputs[name]
        if name == DENOISER_CALL:
            return np.asarray(forecast, np.float32)
        field = forecast[:, :, :1]
        change = name in given.inputs
        spread = np.asarray((statistics.change_spread if change else statistics.spread)[name])
        scaled = field - given.inputs[name][None, :, -1:] if change else field
        scaled = scaled / (spread.reshape(-1, 1, 1) if spread.ndim else spread)
        if name == MASKED_VARIABLE:
            known = ~np.isnan(given.inputs[name]).any(axis=1)
            scaled = scaled.swapaxes(1, 2)[:, :, known]
        return np.asarray(scaled, np.float32)

    return MadeArrays({name: partial(make, name) for name in outputs})
