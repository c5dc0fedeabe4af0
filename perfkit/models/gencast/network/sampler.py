"""The sampler: turns noise into a sample of the normalised change of state in 2n - 1 calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from perfkit.models.gencast.inputs.checkpoint import SamplerConfig
from perfkit.models.gencast.network.schedule import call_schedule, noise_levels
from perfkit.models.gencast.sphere.sphere_noise import HarmonicTables, draw_keys, target_noise
from perfkit.models.gencast.task import TaskConfig

Denoise = Callable[[jax.Array, jax.Array], jax.Array]
"""Maps a state ``[nodes, batch, outputs]`` and noise levels ``[batch]`` to an estimate of the state
without noise."""


def sample(
    denoise: Denoise,
    key: jax.Array,
    config: SamplerConfig,
    task: TaskConfig,
    tables: HarmonicTables,
    batch: int,
    dtype: np.dtype[Any],
) -> tuple[jax.Array, jax.Array]:
    """Draw one sample with the second-order stochastic solver DPM-Solver++ 2S.

    The published loop draws noise that it never uses, and makes a last call whose result it
    discards (and which contains NaN). Here the key chain skips unused draws, and all needed calls
    are iterations of one loop whose body contains the denoiser once.

    Parameters
    ----------
    denoise
        The denoiser.
    key
        Start of the chain of random keys, uint32 ``[2]``.
    config
        Noise levels and churn.
    task
        Task that names the targets.
    tables
        Harmonics of the grid, for the noise.
    batch
        Number of batch members. They share ``key``.
    dtype
        NumPy type of the state and the noise levels.

    Returns
    -------
    sample
        The sampled state, ``[nodes, batch, outputs]`` in ``dtype``.
    first_call
        Result of the denoiser's first call, which sees pure noise; same shape and dtype.
    """
    schedule = call_schedule(config, dtype)
    targets = len(task.target_variables)
    churns = config.stochastic_churn_rate > 0
    sets_per_level = 2 if churns else 1
    keys = draw_keys(key, config.num_noise_levels * sets_per_level * targets)
    keys = keys.reshape(config.num_noise_levels, sets_per_level, targets, 2)

    def noise(level: int | jax.Array, which: int) -> jax.Array:
        with jax.named_scope("noise_set"):
            return target_noise(keys[level, which], tables, task, batch).astype(dtype)

    def add_churn(state: jax.Array, level: jax.Array, amplitude: jax.Array) -> jax.Array:
        churned: jax.Array = jax.lax.cond(
            amplitude > 0,
            lambda: state + noise(level, sets_per_level - 1) * amplitude,
            lambda: state,
        )
        return churned

    def call(
        states: tuple[jax.Array, jax.Array, jax.Array], row: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
        base, state, first = states
        noise_level, keep, amplitude, starts_level, level, is_first = row
        if churns:
            state = add_churn(state, level, amplitude)
        base = jnp.where(starts_level, state, base)
        estimate = denoise(state, jnp.broadcast_to(noise_level, (batch,)))
        first = jnp.where(is_first, estimate, first)
        return (base, keep * base + (1 - keep) * estimate, first), None

    start = noise(0, 0) * noise_levels(config)[0].astype(dtype)
    rows = tuple(jnp.asarray(column) for column in schedule)
    is_first = jnp.arange(len(rows[0])) == 0
    (_, final, first), _ = jax.lax.scan(call, (start, start, start), (*rows, is_first))
    return final, first
