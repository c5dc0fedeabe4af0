"""Triangle multiplication of the pair representation."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from perfkit.kernels.forms import is_served, layer_norm
from perfkit.kernels.primitive import call_kernel

EQUATIONS = {"cik,cjk->cij": True, "ckj,cki->cij": False}
"""The products, and whether they are those of outgoing edges."""

_TILE_ROWS = 16
_TILE_BYTES = 1024
_MOST_CHANNELS = 1024

type Contract = Callable[..., jax.Array]
type Epilogue = Callable[..., jax.Array]


def triangle_kernels(
    dtype: DTypeLike, channels: int, hidden: int
) -> tuple[Contract, Epilogue] | None:
    """Return the kernels of a triangle multiplication: the hook ``TRIMUL_KERNELS``.

    Parameters
    ----------
    dtype
        Type of the pair representation and the weights.
    channels
        Channels of the pair representation.
    hidden
        Channels of the product.

    Returns
    -------
    tuple of callables or None
        :func:`contract` and :func:`epilogue`; None if they do not serve the arguments.
    """
    if not is_served(dtype):
        return None
    if any(size % 32 or not 0 < size <= _MOST_CHANNELS for size in (channels, hidden)):
        return None
    return contract, epilogue


def contract(
    x: jax.Array,
    ln_scale: jax.Array,
    ln_offset: jax.Array,
    projection: jax.Array,
    projection_bias: jax.Array,
    gate: jax.Array,
    gate_bias: jax.Array,
    mask: jax.Array,
    *,
    equation: str,
) -> jax.Array:
    """Return the product of the gated projections of the layer-normed pair representation.

    Parameters
    ----------
    x
        Pair representation, ``(n, n, channels)``.
    ln_scale, ln_offset
        Parameters of the layer norm of ``x``, float32, ``(channels,)``.
    projection, gate
        Weights of a and b, one after the other, ``(channels, 2 * hidden)``.
    projection_bias, gate_bias
        Biases, ``(2 * hidden,)``.
    mask
        Pair mask, ``(n, n)``; multiplies a and b.
    equation
        A key of :data:`EQUATIONS`.

    Returns
    -------
    jax.Array
        ``(hidden, n, n)`` in the type of ``x``.
    """
    n, hidden = x.shape[0], projection.shape[1] // 2
    tiles = jax.ShapeDtypeStruct((2 * hidden, _channel_bytes(n, x.dtype)), jnp.uint8)

    def form(*operands: jax.Array) -> tuple[jax.Array, jax.Array]:
        # The tiles are working memory of the kernel, which XLA places with its own buffers.
        return contract_form(*operands, equation=equation), jnp.zeros(tiles.shape, tiles.dtype)

    product, _ = call_kernel(
        "perfkit.TriangleContract",
        form,
        x,
        ln_scale,
        ln_offset,
        projection,
        projection_bias,
        gate,
        gate_bias,
        mask,
        results=(jax.ShapeDtypeStruct((hidden, n, n), x.dtype), tiles),
        outgoing=EQUATIONS[equation],
    )
    return product


def contract_form(
    x: jax.Array,
    ln_scale: jax.Array,
    ln_offset: jax.Array,
    projection: jax.Array,
    projection_bias: jax.Array,
    gate: jax.Array,
    gate_bias: jax.Array,
    mask: jax.Array,
    *,
    equation: str,
) -> jax.Array:
    """Compute :func:`contract` in JAX."""
    normed = layer_norm(x, ln_scale, ln_offset)
    values = _linear(normed, projection, projection_bias)
    gates = _linear(normed, gate, gate_bias)
    gated = values * jax.nn.sigmoid(gates) * mask.astype(jnp.float32)[..., None]
    a, b = jnp.split(jnp.moveaxis(gated.astype(x.dtype), -1, 0), 2)
    product = jnp.einsum(equation, a, b, preferred_element_type=jnp.float32)
    return product.astype(x.dtype)


def epilogue(
    product: jax.Array,
    x: jax.Array,
    in_ln_scale: jax.Array,
    in_ln_offset: jax.Array,
    ln_scale: jax.Array,
    ln_offset: jax.Array,
    output: jax.Array,
    output_bias: jax.Array,
    gate: jax.Array,
    gate_bias: jax.Array,
    *keep: jax.Array,
    add_input: bool,
) -> jax.Array:
    """Return the gated output projection of the layer-normed product.

    Parameters
    ----------
    product
        Result of :func:`contract`, ``(hidden, positions)``.
    x
        Pair representation, ``(positions, channels)``.
    in_ln_scale, in_ln_offset
        Parameters of the layer norm of ``x``, which the gate reads; float32, ``(channels,)``.
    ln_scale, ln_offset
        Parameters of the layer norm of the product, float32, ``(hidden,)``.
    output, output_bias
        Output projection, ``(hidden, channels)`` and ``(channels,)``.
    gate, gate_bias
        Gate, ``(channels, channels)`` and ``(channels,)``.
    *keep
        At most one mask, ``(positions,)``. Where it is 0 the result does not matter: blocks of
        positions that are 0 throughout get no update.
    add_input
        Whether to add ``x``.

    Returns
    -------
    jax.Array
        ``(positions, channels)`` in the type of ``x``.
    """
    (result,) = call_kernel(
        "perfkit.TriangleEpilogue",
        functools.partial(epilogue_form, add_input=add_input),
        product,
        x,
        in_ln_scale,
        in_ln_offset,
        ln_scale,
        ln_offset,
        output,
        output_bias,
        gate,
        gate_bias,
        *keep,
        results=(jax.ShapeDtypeStruct(x.shape, x.dtype),),
        add_input=add_input,
    )
    return result


def epilogue_form(
    product: jax.Array,
    x: jax.Array,
    in_ln_scale: jax.Array,
    in_ln_offset: jax.Array,
    ln_scale: jax.Array,
    ln_offset: jax.Array,
    output: jax.Array,
    output_bias: jax.Array,
    gate: jax.Array,
    gate_bias: jax.Array,
    *keep: jax.Array,
    add_input: bool,
) -> jax.Array:
    """Compute :func:`epilogue` in JAX, at all positions."""
    normed = layer_norm(product.T, ln_scale, ln_offset)
    gates = _linear(layer_norm(x, in_ln_scale, in_ln_offset), gate, gate_bias)
    result = _linear(normed, output, output_bias) * jax.nn.sigmoid(gates)
    if add_input:
        result = result + x.astype(jnp.float32)
    return result.astype(x.dtype)


def _linear(x: jax.Array, weights: jax.Array, bias: jax.Array) -> jax.Array:
    """``x @ weights + bias`` in float32."""
    return jnp.dot(x, weights, preferred_element_type=jnp.float32) + bias.astype(jnp.float32)


def _channel_bytes(n: int, dtype: np.dtype[np.generic]) -> int:
    """Bytes of the tiles of a or b of one channel: ``Operands`` in ``triangle_contract.h``."""
    depth = _TILE_BYTES // _TILE_ROWS // dtype.itemsize
    tiles = -(-n // _TILE_ROWS) * -(-n // depth)
    return (tiles | 1) * _TILE_BYTES
