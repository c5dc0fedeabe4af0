"""The preconditioned denoiser: the network between its input and output scalings."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from perfkit.models.gencast.network.definition import NetworkConstants, NetworkSettings
from perfkit.models.gencast.network.denoiser_network import run_network


def denoise(
    constants: NetworkConstants,
    settings: NetworkSettings,
    embedded: jax.Array,
    noisy: jax.Array,
    noise_levels: jax.Array,
) -> jax.Array:
    """Estimate the clean targets: ``c_out * net(c_in * noisy) + c_skip * noisy``.

    The coefficients are those of Karras et al. 2022 (table 1) for data of standard deviation 1.

    Parameters
    ----------
    constants, settings
        The network.
    embedded
        Contribution of the context to the grid encoder, ``[grid nodes, batch, latent]``.
    noisy
        Normalised targets with noise, ``[grid nodes, batch, outputs]``.
    noise_levels
        Standard deviation of the noise, ``[batch]``.

    Returns
    -------
    Array
        Estimate of the targets without noise, ``[grid nodes, batch, outputs]`` in the dtype of
        ``noisy``.
    """
    with jax.named_scope("denoiser_call"):
        total = jnp.square(noise_levels) + jnp.asarray(1, noise_levels.dtype)
        shrink = jax.lax.rsqrt(total)[:, None]
        raw = run_network(constants, settings, embedded, noisy * shrink, noise_levels)
        change = noise_levels[:, None] * shrink * raw.astype(noisy.dtype)
        return change + noisy / total[:, None]
