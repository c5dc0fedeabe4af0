"""Computing rows of large arrays block by block, so that what lies between stays in cache."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def even_size(rows: int, most: int | None) -> int:
    """Size of the fewest blocks of at most ``most`` rows, as equal as they can be.

    A last block that is nearly empty would cost as much as a full one.
    """
    if most is None or most >= rows:
        return rows
    return -(-rows // -(-rows // most))


def by_blocks(
    function: Callable[..., tuple[jax.Array, ...]],
    arrays: tuple[jax.Array, ...],
    most: int | None,
) -> tuple[jax.Array, ...]:
    """``function(*arrays)`` on blocks of rows, written side by side.

    The last block reaches back over rows already done to stay full; writing them again with the
    same values does no harm.

    Parameters
    ----------
    function
        Of rows of ``arrays`` to rows of its outputs, each row by itself.
    arrays
        With equally many rows.
    most
        Rows of a block at most; ``None`` for all at once.
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
