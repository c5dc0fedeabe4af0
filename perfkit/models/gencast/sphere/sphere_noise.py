"""Gaussian noise on the sphere with equal power at every degree, and its random keys."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from perfkit.models.gencast.sphere.legendre import associated_legendre
from perfkit.models.gencast.task import TaskConfig


class HarmonicTables(NamedTuple):
    """Spherical harmonics on one grid, float32, with ``L = nlon // 2`` degrees and orders.

    Attributes
    ----------
    legendre
        ``[order, degree, lat]``: normalised associated Legendre functions times the coefficient
        ``sqrt(4 pi / (L (2 degree + 1)))``.
    waves
        ``[2, order, lon]``: cosines and sines of the orders, normalised.
    """

    legendre: jax.Array | NDArray[np.float32]
    waves: jax.Array | NDArray[np.float32]


def harmonic_tables(lat: NDArray[np.float32], nlon: int) -> HarmonicTables:
    """Compute the harmonics of a grid in float64 and store them as float32.

    Parameters
    ----------
    lat
        Ascending latitudes in degrees, ``[nlat]``.
    nlon
        Number of longitudes; they start at 0.
    """
    orders = nlon // 2
    legendre = associated_legendre(orders, np.sin(np.deg2rad(lat.astype(np.float64))))
    degrees = np.arange(orders)
    amplitude = np.sqrt(4 * np.pi / (orders * (2 * degrees + 1)))
    angles = np.arange(orders)[:, None] * (2 * np.pi * np.arange(nlon) / nlon)
    waves = np.stack([np.cos(angles), np.sin(angles)]) / np.sqrt(np.pi)
    waves[:, 0] = [[np.sqrt(0.5 / np.pi)], [0.0]] * np.ones(nlon)
    return HarmonicTables(
        (legendre * amplitude[:, None]).astype(np.float32), waves.astype(np.float32)
    )


def advance(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Split a key chain: return the chain's new key and a key to draw with."""
    chain, drawn = jax.random.split(key)
    return chain, drawn


def draw_keys(key: jax.Array, draws: int) -> jax.Array:
    """Return the first ``draws`` keys of the chain from ``key``, uint32 ``[draws, 2]``."""
    return jax.lax.scan(lambda chain, _: advance(chain), key, length=draws)[1]


def sphere_noise(key: jax.Array, tables: HarmonicTables, leading: tuple[int, ...]) -> jax.Array:
    """Draw noise of unit variance for one variable, float32 ``[*leading, lat, lon]``."""
    return synthesise(_white(key, tables, leading), tables)


def target_noise(
    keys: jax.Array, tables: HarmonicTables, task: TaskConfig, batch: int
) -> jax.Array:
    """Draw noise for all targets.

    Parameters
    ----------
    keys
        One key per target variable, in the sorted order of their names, uint32 ``[targets, 2]``.
    tables
        Harmonics of the grid.
    task
        Task that names the targets.
    batch
        Number of batch members.

    Returns
    -------
    Array
        Noise, stacked like the targets, float32 ``[lat * lon, batch, outputs]``.
    """
    names = sorted(task.target_variables)
    groups: list[jax.Array] = []
    order: list[NDArray[np.int64]] = []
    # One generator per shape instead of one per variable: each costs a second of compilation.
    for levels in sorted({task.levels_of(name) for name in names}):
        members = [index for index, name in enumerate(names) if task.levels_of(name) == levels]
        leading = (batch, 1, levels) if levels > 1 else (batch, 1)
        drawn = jax.vmap(lambda key, leading=leading: _white(key, tables, leading))(
            keys[np.array(members)]
        )
        flat = drawn.reshape(len(members), batch, levels, *_spectrum(tables)).swapaxes(0, 1)
        groups.append(flat.reshape(batch, len(members) * levels, *_spectrum(tables)))
        order.append(np.repeat(members, levels))
    sorted_channels = np.argsort(np.concatenate(order), kind="stable")
    coefficients = jnp.concatenate(groups, axis=1)[:, sorted_channels]
    fields = synthesise(coefficients, tables)
    return fields.reshape(*fields.shape[:2], -1).transpose(2, 0, 1)


def _spectrum(tables: HarmonicTables) -> tuple[int, int]:
    orders = tables.legendre.shape[0]
    return orders, 2 * orders - 1


def _white(key: jax.Array, tables: HarmonicTables, leading: tuple[int, ...]) -> jax.Array:
    """Draw independent normal coefficients ``[*leading, degree, order]``.

    The orders are 0, +1, -1, +2, ...
    """
    shape = (*leading, *_spectrum(tables))
    # The numbers depend on the flat index only. Drawing in five dimensions instead of flat makes
    # the generator several times slower to compile.
    return jax.random.normal(key, (math.prod(shape),), jnp.float32).reshape(shape)


def synthesise(coefficients: jax.Array, tables: HarmonicTables) -> jax.Array:
    """Compute fields ``[..., lat, lon]`` from white coefficients ``[..., degree, order]``.

    Parameters
    ----------
    coefficients
        Independent normal coefficients; the orders are 0, +1, -1, +2, ...
    tables
        Harmonics of the grid.
    """
    exact = jax.lax.Precision.HIGHEST
    zonal = jnp.zeros_like(coefficients[..., :1])
    cosines = jnp.concatenate([coefficients[..., :1], coefficients[..., 1::2]], axis=-1)
    sines = jnp.concatenate([zonal, coefficients[..., 2::2]], axis=-1)
    both = jnp.stack([cosines, sines])
    by_order = jnp.einsum("p...lm,mlj->pm...j", both, tables.legendre, precision=exact)
    return jnp.einsum("pm...j,pmi->...ji", by_order, tables.waves, precision=exact)
