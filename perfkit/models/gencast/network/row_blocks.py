"""Computes rows of large arrays in blocks, so that intermediate results stay in cache."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def even_size(rows: int, most: int | None) -> int:
    """Return the size of the smallest number of equal blocks of at most ``most`` rows.

    A nearly empty last block would cost as much as a full one.

    Parameters
    ----------
    rows
        Number of rows.
    most
        Most rows of a block; None for a single block.
    """
    if most is None or most >= rows:
        return rows
    return -(-rows // -(-rows // most))


def by_blocks(
    function: Callable[..., tuple[jax.Array, ...]],
    arrays: tuple[jax.Array, ...],
    most: int | None,
) -> tuple[jax.Array, ...]:
    """Compute ``function(*arrays)`` in blocks of rows.

    The last block starts early enough to be full. It writes some rows again, with the same values.

    Parameters
    ----------
    function
        Maps rows of ``arrays`` to rows of its outputs, each row independently.
    arrays
        Arrays with equal numbers of rows.
    most
        Most rows of a block; None for all rows at once.
    """
    rows = arrays[0].shape[0]
    size = even_size(rows, most)
    if size == rows:
        return function(*arrays)

    def slices(start: int | jax.Array) -> list[jax.Array]:
        return [jax.lax.dynamic_slice_in_dim(array, start, size) for array in arrays]

    shapes = jax.eval_shape(lambda: function(*slices(0)))
    outputs = tuple(jnp.zeros((rows, *shape.shape[1:]), shape.dtype) for shape in shapes)

    def write_block(index: jax.Array, outputs: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        start = jnp.minimum(index * size, rows - size)
        return tuple(
            jax.lax.dynamic_update_slice_in_dim(output, rows_done, start, 0)
            for output, rows_done in zip(outputs, function(*slices(start)), strict=True)
        )

    written: tuple[jax.Array, ...] = jax.lax.fori_loop(0, -(-rows // size), write_block, outputs)
    return written
