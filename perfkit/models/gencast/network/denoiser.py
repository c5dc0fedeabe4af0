"""The preconditioned denoiser: the network between its input and output scalings."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from perfkit.models.gencast.network.denoiser_network import (
    NetworkConstants,
    NetworkSettings,
    run_network,
)


def denoise(
    constants: NetworkConstants,
    settings: NetworkSettings,
    embedded: jax.Array,
    noisy: jax.Array,
    noise_levels: jax.Array,
) -> jax.Array:
    """Estimate the clean targets: ``c_out * net(c_in * noisy) + c_skip * noisy``.

    Karras et al. 2022 (table 1) with the data's standard deviation taken as 1.

    Parameters
    ----------
    embedded
        The context's share of the grid encoder, ``[grid nodes, batch, latent]``.
    noisy
        Normalised targets with noise, ``[grid nodes, batch, outputs]``.
    noise_levels
        Standard deviation of the noise, ``[batch]``.

    Returns
    -------
    ``[grid nodes, batch, outputs]`` in the dtype of ``noisy``.
    """
    with jax.named_scope("denoiser_call"):
        return _denoise(constants, settings, embedded, noisy, noise_levels)


def _denoise(
    constants: NetworkConstants,
    settings: NetworkSettings,
    embedded: jax.Array,
    noisy: jax.Array,
    noise_levels: jax.Array,
) -> jax.Array:
    total = jnp.square(noise_levels) + jnp.asarray(1, noise_levels.dtype)
    shrink = jax.lax.rsqrt(total)[:, None]
    raw = run_network(constants, settings, embedded, noisy * shrink, noise_levels)
    change = noise_levels[:, None] * shrink * raw.astype(noisy.dtype)
    return change + noisy / total[:, None]
