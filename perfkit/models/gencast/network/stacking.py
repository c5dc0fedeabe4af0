"""From named variables to channels of a grid node, and back.

Variables go in the plain sorted order of their names; within one, time is outer and level inner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from perfkit.models.gencast.task import INPUT_FRAMES, STATIC_VARIABLES, TaskConfig

Fields = Mapping[str, Any]
"""Variable -> array, in the layouts that :func:`stack` lists."""


@dataclass(frozen=True)
class ChannelLayout:
    """Where the channels of a grid node come from.

    Attributes
    ----------
    context_rows
        Network channel of each channel of the stacked inputs followed by the stacked forcings.
    target_rows
        Network channel of each stacked target.
    """

    context_rows: tuple[int, ...]
    target_rows: tuple[int, ...]


def channel_names(task: TaskConfig) -> tuple[str, ...]:
    """Group, variable, time and level of every channel a grid node hands to the network."""
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
    """Which network channels hold inputs and forcings, and which the noisy targets."""
    context: dict[str, list[int]] = {"inputs": [], "forcings": [], "targets": []}
    for row, name in enumerate(channel_names(task)):
        context[name.split(":")[0]].append(row)
    return ChannelLayout(tuple(context["inputs"] + context["forcings"]), tuple(context["targets"]))


def stack(fields: Fields, nlat: int, nlon: int, batch: int) -> jax.Array:
    """All variables as channels, ``[nlat * nlon, batch, channels]``.

    Parameters
    ----------
    fields
        Arrays of shape ``[batch, time, level, lat, lon]``, ``[batch, time, lat, lon]``,
        ``[batch, time, lon]``, ``[batch, time]`` or ``[lat, lon]``; what has no latitude,
        longitude or batch is spread over them.
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
    """Targets by name from ``[nlat * nlon, batch, outputs]``.

    Returns
    -------
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
