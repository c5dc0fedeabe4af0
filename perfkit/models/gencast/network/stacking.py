"""Converts named variables to channels of grid nodes, and back.

Variables are in the sorted order of their names. Within a variable, time varies slower than level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from perfkit.models.gencast.task import INPUT_FRAMES, STATIC_VARIABLES, TaskConfig

Fields = Mapping[str, Any]
"""Variable -> array, in one of the layouts that :func:`stack` accepts."""


@dataclass(frozen=True)
class ChannelLayout:
    """The channels of the network's input that hold context and targets.

    Attributes
    ----------
    context_rows
        Channel of the network for each channel of the stacked inputs, then of the stacked
        forcings.
    target_rows
        Channel of the network for each channel of the stacked targets.
    """

    context_rows: tuple[int, ...]
    target_rows: tuple[int, ...]


def channel_names(task: TaskConfig) -> tuple[str, ...]:
    """Name every input channel of the network by group, variable, time and level."""
    names = []
    for variable in sorted(task.input_variables):
        frames = [""] if variable in STATIC_VARIABLES else _times(INPUT_FRAMES)
        names += _expand(task, "inputs", variable, frames)
    for variable in sorted((*task.forcing_variables, *task.target_variables)):
        group = "forcings" if variable in task.forcing_variables else "targets"
        names += _expand(task, group, variable, _times(1))
    return tuple(names)


def _times(frames: int) -> list[str]:
    return [f",time={time}" for time in range(frames)]


def _expand(task: TaskConfig, group: str, variable: str, frames: Sequence[str]) -> list[str]:
    if task.levels_of(variable) == 1:
        levels = [""]
    else:
        levels = [f",level={level}" for level in task.pressure_levels]
    return [f"{group}:{variable}{frame}{level}" for frame in frames for level in levels]


def channel_layout(task: TaskConfig) -> ChannelLayout:
    """Find the channels of the network that hold inputs and forcings, and the noisy targets."""
    rows: dict[str, list[int]] = {"inputs": [], "forcings": [], "targets": []}
    for row, name in enumerate(channel_names(task)):
        rows[name.split(":")[0]].append(row)
    return ChannelLayout(tuple(rows["inputs"] + rows["forcings"]), tuple(rows["targets"]))


def stack(fields: Fields, nlat: int, nlon: int, batch: int) -> jax.Array:
    """Stack all variables as channels.

    Parameters
    ----------
    fields
        Arrays of shape ``[batch, time, level, lat, lon]``, ``[batch, time, lat, lon]``,
        ``[batch, time, lon]``, ``[batch, time]`` or ``[lat, lon]``. Arrays without latitude,
        longitude or batch are broadcast over them.
    nlat, nlon
        Number of latitudes and longitudes.
    batch
        Number of batch members.

    Returns
    -------
    Array
        Shape ``[nlat * nlon, batch, channels]``.
    """
    parts = []
    for name in sorted(fields):
        array = jnp.asarray(fields[name])
        if array.ndim == 2 and name in STATIC_VARIABLES:
            array = array[None, None]
        elif array.ndim == 2:
            array = array[:, :, None, None]
        elif array.ndim == 3:
            array = array[:, :, None]
        channels = array.shape[1:-2]
        spread = jnp.broadcast_to(array, (batch, *channels, nlat, nlon))
        parts.append(spread.reshape(batch, -1, nlat * nlon))
    return jnp.concatenate(parts, axis=1).transpose(2, 0, 1)


def unstack(channels: jax.Array, task: TaskConfig, nlat: int, nlon: int) -> dict[str, jax.Array]:
    """Split stacked targets into variables; the inverse of :func:`stack`.

    Parameters
    ----------
    channels
        Stacked targets, ``[nlat * nlon, batch, outputs]``.
    task
        Task that names the targets.
    nlat, nlon
        Number of latitudes and longitudes.

    Returns
    -------
    dict
        Atmospheric variables ``[batch, 1, level, lat, lon]``, the others ``[batch, 1, lat, lon]``.
    """
    batch = channels.shape[1]
    fields = channels.transpose(1, 2, 0).reshape(batch, -1, nlat, nlon)
    targets: dict[str, jax.Array] = {}
    start = 0
    for name in sorted(task.target_variables):
        levels = task.levels_of(name)
        field = fields[:, start : start + levels]
        targets[name] = field[:, None] if levels > 1 else field
        start += levels
    return targets
