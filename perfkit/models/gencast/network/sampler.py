"""The sampler: from noise to a sample of the normalised change of state, in 2n - 1 calls."""

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
"""State ``[nodes, batch, outputs]`` and noise levels ``[batch]`` to the clean state's estimate."""


def sample(
    denoise: Denoise,
    key: jax.Array,
    config: SamplerConfig,
    task: TaskConfig,
    tables: HarmonicTables,
    batch: int,
    dtype: np.dtype[Any],
) -> tuple[jax.Array, jax.Array]:
    """Draw one sample by the second-order stochastic solver of DPM-Solver++ 2S.

    The published loop draws noise that it never uses and evaluates a last call whose result it
    throws away (and which is NaN inside). Here the key chain passes over unused draws, and the
    calls that matter are one loop with the denoiser in it once.

    Parameters
    ----------
    key
        uint32 ``[2]``; the chain of draws starts from it.
    batch
        Members of the batch, which share ``key``.
    dtype
        Of the state and the noise levels.

    Returns
    -------
    The sample, and what the first call of the denoiser made of pure noise: each
    ``[nodes, batch, outputs]`` in ``dtype``.
    """
    schedule = call_schedule(config, dtype)
    targets = len(task.target_variables)
    churns = config.stochastic_churn_rate > 0
    sets_a_level = 2 if churns else 1
    keys = draw_keys(key, config.num_noise_levels * sets_a_level * targets)
    keys = keys.reshape(config.num_noise_levels, sets_a_level, targets, 2)

    def noise(level: int | jax.Array, which: int) -> jax.Array:
        with jax.named_scope("noise_set"):
            return target_noise(keys[level, which], tables, task, batch).astype(dtype)

    def add_churn(state: jax.Array, level: jax.Array, amplitude: jax.Array) -> jax.Array:
        churned: jax.Array = jax.lax.cond(
            amplitude > 0,
            lambda: state + noise(level, sets_a_level - 1) * amplitude,
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
