"""Rows computed in blocks equal the rows computed at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perfkit.models.gencast.network.row_blocks import by_blocks, even_size


@pytest.mark.parametrize(
    ("rows", "most", "size"),
    [(2592, 2048, 1296), (65160, 2048, 2037), (10, 3, 3), (9, 3, 3), (5, 8, 5), (5, None, 5)],
)
def test_blocks_are_as_equal_as_possible(rows: int, most: int | None, size: int) -> None:
    assert even_size(rows, most) == size


@pytest.mark.parametrize("most", [1, 3, 4, 10, 11, None])
def test_every_row_is_computed_for_any_block_size(most: int | None) -> None:
    rows = jnp.arange(20.0).reshape(10, 2)

    def double_and_sum(x: jax.Array) -> tuple[jax.Array, ...]:
        return 2 * x, x.sum(axis=1)

    doubled, sums = jax.jit(lambda x: by_blocks(double_and_sum, (x,), most))(rows)
    np.testing.assert_array_equal(doubled, 2 * np.arange(20.0).reshape(10, 2))
    np.testing.assert_array_equal(sums, 4 * np.arange(10) + 1)
