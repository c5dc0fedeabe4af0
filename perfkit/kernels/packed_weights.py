"""Weights in the layout in which the native products read them.

A product of few rows spends much of its time on reading the weights and laying them out, and a
diffusion does so again in every step. Weights that have been laid out once save that. A matrix of
``k`` rows and ``n`` columns keeps its shape and dtype: its elements are in panels of 16 columns, in
which pairs of rows follow each other (``perfkit/kernels/source/product``).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from perfkit.kernels.build.levels import chosen_level

PANEL_COLUMNS = 16
"""Columns of a panel."""

_ROWS = 32
"""Rows that an instruction of AMX takes; with a multiple of them, nothing is padded."""

PACKING_LEVELS = ("avx512_bf16", "amx")
"""Levels with products of bfloat16. Others lay out weights as float32, which needs more room."""


def are_packable(dtype: npt.DTypeLike, inputs: int, outputs: int) -> bool:
    """Whether weights can be packed on this machine.

    Parameters
    ----------
    dtype
        Their dtype.
    inputs, outputs
        Number of rows and columns of a matrix.
    """
    return (
        np.dtype(dtype) == np.dtype(jnp.bfloat16)
        and inputs % _ROWS == 0
        and outputs % PANEL_COLUMNS == 0
        and chosen_level() in PACKING_LEVELS
    )


def packed(weights: jax.Array) -> jax.Array:
    """Lay out weights as the native products read them.

    Parameters
    ----------
    weights
        Shape ``(..., inputs, outputs)``, for which :func:`are_packable` holds.

    Returns
    -------
    jax.Array
        The same elements in another order, with the same shape.
    """
    *layers, inputs, outputs = weights.shape
    panels = weights.reshape(*layers, inputs // 2, 2, outputs // PANEL_COLUMNS, PANEL_COLUMNS)
    order = (*range(len(layers)), *(len(layers) + axis for axis in (2, 0, 3, 1)))
    return panels.transpose(order).reshape(weights.shape)


def unpacked(weights: jax.Array) -> jax.Array:
    """Undo :func:`packed`."""
    *layers, inputs, outputs = weights.shape
    panels = weights.reshape(*layers, outputs // PANEL_COLUMNS, inputs // 2, PANEL_COLUMNS, 2)
    order = (*range(len(layers)), *(len(layers) + axis for axis in (1, 3, 0, 2)))
    return panels.transpose(order).reshape(weights.shape)
