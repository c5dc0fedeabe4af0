"""Blocks of two layers for each node of a graph network, or of its transformer."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from perfkit.kernels.adaptive import wide_product
from perfkit.kernels.forms import layer_norm
from perfkit.kernels.primitive import call_kernel

TARGET = "perfkit.MlpBlock"

MOST_INPUTS = 2
"""Arrays that a block may have as inputs, each with its own weights."""


class Modulation(NamedTuple):
    """Scale and offset after a layer norm, shape ``(channels,)`` each."""

    scale: jax.Array
    offset: jax.Array


class Surroundings(NamedTuple):
    """What comes before and after the two layers of a block, in addition to the inputs.

    Attributes
    ----------
    added
        Array that is added to the hidden layer before its activation, ``(rows, hidden)``.
    gelu
        Whether the activation is gelu, approximated by tanh, instead of swish.
    first_norm
        Modulation after a layer norm of the first input; None for no layer norm.
    last_norm
        The same of the result.
    residual
        Whether the first input, without its layer norm, is added to the result.
    projection
        Weights ``(outputs, projections)`` of a second result, the product with the result.
    """

    added: jax.Array | None = None
    gelu: bool = False
    first_norm: Modulation | None = None
    last_norm: Modulation | None = None
    residual: bool = False
    projection: jax.Array | None = None


class _Options(NamedTuple):
    inputs: int
    added: bool
    gelu: bool
    first_norm: bool
    last_norm: bool
    residual: bool
    projected: bool


def mlp_block(
    inputs: Sequence[tuple[jax.Array, jax.Array]],
    first_bias: jax.Array,
    second: tuple[jax.Array, jax.Array],
    around: Surroundings,
) -> list[jax.Array]:
    """Compute a block with the native kernel.

    Parameters
    ----------
    inputs
        One or two pairs of an array ``(rows, width)``, float32 or bfloat16, and its weights
        ``(width, hidden)``. All other arrays have that dtype too, except biases and modulations.
    first_bias
        Bias of the first layer, ``(hidden,)``.
    second
        Weights ``(hidden, outputs)`` and bias ``(outputs,)`` of the second layer.
    around
        What comes before and after the layers.

    Returns
    -------
    list of jax.Array
        The result, ``(rows, outputs)``, and its projection if there is one, in the dtype of the
        inputs.
    """
    assert 0 < len(inputs) <= MOST_INPUTS
    wide = jnp.float32
    [rows, _], dtype = inputs[0][0].shape, inputs[0][0].dtype
    norms = [norm for norm in (around.first_norm, around.last_norm) if norm is not None]
    options = _Options(
        inputs=len(inputs),
        added=around.added is not None,
        gelu=around.gelu,
        first_norm=around.first_norm is not None,
        last_norm=around.last_norm is not None,
        residual=around.residual,
        projected=around.projection is not None,
    )
    widths = [second[0].shape[-1]]
    if around.projection is not None:
        widths.append(around.projection.shape[-1])
    return call_kernel(
        TARGET,
        functools.partial(mlp_block_form, options=options),
        *(array for pair in inputs for array in pair),
        first_bias.astype(wide),
        second[0],
        second[1].astype(wide),
        *(() if around.added is None else (around.added,)),
        *(array.astype(wide) for norm in norms for array in norm),
        *(() if around.projection is None else (around.projection,)),
        results=[jax.ShapeDtypeStruct((rows, width), dtype) for width in widths],
        **options._asdict(),
    )


def mlp_block_form(*operands: jax.Array, options: _Options) -> tuple[jax.Array, ...]:
    """The JAX form of the kernel.

    Parameters
    ----------
    *operands
        Inputs, each followed by its weights; bias, weights and bias of the layers; then the arrays
        of :class:`Surroundings` that there are, in its order.
    options
        Which arrays there are.
    """
    following = iter(operands)
    inputs = [(next(following), next(following)) for _ in range(options.inputs)]
    first_bias, weights, bias = (next(following) for _ in range(3))
    dtype, residual = inputs[0][0].dtype, inputs[0][0].astype(jnp.float32)
    added = next(following).astype(jnp.float32) if options.added else 0.0
    if options.first_norm:
        array, first_weights = inputs[0]
        inputs[0] = (layer_norm(array, next(following), next(following)), first_weights)
    hidden = sum((wide_product(*pair) for pair in inputs), first_bias + added)
    activated = jax.nn.gelu(hidden) if options.gelu else jax.nn.swish(hidden)
    result = wide_product(activated.astype(dtype), weights) + bias
    if options.last_norm:
        result = layer_norm(result, next(following), next(following))
    if options.residual:
        result = result + residual
    rounded = result.astype(dtype)
    if not options.projected:
        return (rounded,)
    return rounded, wide_product(rounded, next(following)).astype(dtype)
