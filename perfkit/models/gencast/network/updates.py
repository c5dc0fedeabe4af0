"""Updates of nodes and feed-forward layers: as XLA compiles them, or by native kernels.

A kernel keeps what lies between the products of a block in cache. Kernels serve blocks of two
layers in float32 and bfloat16 (:func:`are_served`). Arrays are ``[nodes, batch, channels]``.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy.typing as npt

from perfkit.kernels.forms import is_served
from perfkit.kernels.mlp_block import Modulation, Surroundings, mlp_block
from perfkit.models.gencast.network.layers import (
    Weights,
    block_tail,
    layer_norm,
    linear,
    mlp,
    modulation,
)


def are_served(dtype: npt.DTypeLike, hidden_layers: int) -> bool:
    """Whether there are kernels for a dtype and a number of hidden layers of all blocks."""
    return is_served(dtype) and hidden_layers == 1


def update_nodes(
    weights: Weights,
    name: str,
    inputs: Sequence[tuple[jax.Array, jax.Array]],
    conditioning: jax.Array,
    *,
    native: bool,
    added: jax.Array | None = None,
    residual: bool = False,
    projection: jax.Array | None = None,
) -> tuple[jax.Array, ...]:
    """Apply a block to nodes.

    Parameters
    ----------
    weights, name
        Parameters, and the name of the block.
    inputs
        Arrays, each with its rows of the first layer's weights.
    conditioning
        Encoded noise levels, ``[batch, features]``.
    native
        Whether native kernels compute it.
    added
        Array that is added to the first layer in place of its bias.
    residual
        Whether the first input is added to the result.
    projection
        Weights of a second result, the product with the first.

    Returns
    -------
    tuple of Array
        The result, and its projection if there is one.
    """
    with jax.named_scope("nodes"):
        if native:
            return _update_by_kernel(
                weights, name, inputs, conditioning, added, residual, projection
            )
        bias = weights[f"{name}_mlp/~/linear_0"]["b"]
        products = functools.reduce(operator.add, (array @ w for array, w in inputs))
        x = products + (bias.astype(products.dtype) if added is None else added)
        result = block_tail(weights, name, x, conditioning)
        result = inputs[0][0] + result if residual else result
        return (result,) if projection is None else (result, result @ projection)


def _update_by_kernel(
    weights: Weights,
    name: str,
    inputs: Sequence[tuple[jax.Array, jax.Array]],
    conditioning: jax.Array,
    added: jax.Array | None,
    residual: bool,
    projection: jax.Array | None,
) -> tuple[jax.Array, ...]:
    first, second = (weights[f"{name}_mlp/~/linear_{layer}"] for layer in range(2))
    bias = first["b"] if added is None else jnp.zeros_like(first["b"])
    condition = modulation(weights, f"{name}_norm_conditioning", conditioning)

    def update(
        arrays: list[jax.Array], added: jax.Array | None, scale: jax.Array, offset: jax.Array
    ) -> list[jax.Array]:
        return mlp_block(
            [(array, w) for array, (_, w) in zip(arrays, inputs, strict=True)],
            bias,
            (second["w"].astype(arrays[0].dtype), second["b"]),
            Surroundings(
                added=added,
                last_norm=Modulation(scale, offset),
                residual=residual,
                projection=projection,
            ),
        )

    arrays = [array for array, _ in inputs]
    return tuple(_for_each_member(update, (arrays, added), condition))


def apply_mlp(weights: Weights, name: str, x: jax.Array, *, native: bool) -> jax.Array:
    """Apply a multilayer perceptron to ``[nodes, batch, channels]``."""
    if not native:
        return mlp(weights, name, x)
    first, second = (weights[f"{name}/~/linear_{layer}"] for layer in range(2))

    def apply(x: jax.Array) -> list[jax.Array]:
        return mlp_block(
            [(x, first["w"].astype(x.dtype))],
            first["b"],
            (second["w"].astype(x.dtype), second["b"]),
            Surroundings(),
        )

    [result] = _for_each_member(apply, (x,), ())
    return result


def feed_forward(
    weights: Weights, prefix: str, norm: str, x: jax.Array, conditioning: jax.Array, *, native: bool
) -> jax.Array:
    """Apply layer norm, modulation and a feed-forward layer, and add the input.

    Parameters
    ----------
    weights
        Parameters.
    prefix, norm
        Names of the layer of the transformer and of its modulation.
    x
        Activations, ``[batch, nodes, channels]``.
    conditioning
        Encoded noise levels, ``[batch, features]``.
    native
        Whether native kernels compute it.
    """
    scale, offset = modulation(weights, norm, conditioning)
    up, down = (weights[f"{prefix}/{name}"] for name in ("ffw_up", "ffw_down"))
    with jax.named_scope("ffw"):
        if not native:
            normed = layer_norm(x) * scale[:, None] + offset[:, None]
            wide = linear(weights, f"{prefix}/ffw_up", normed)
            activated = jax.nn.gelu(wide, approximate=True)
            return x + linear(weights, f"{prefix}/ffw_down", activated)

        def apply(x: jax.Array, scale: jax.Array, offset: jax.Array) -> list[jax.Array]:
            return mlp_block(
                [(x, up["w"].astype(x.dtype))],
                up["b"],
                (down["w"].astype(x.dtype), down["b"]),
                Surroundings(gelu=True, first_norm=Modulation(scale, offset), residual=True),
            )

        [result] = jax.vmap(apply)(x, scale, offset)
        return result


def _for_each_member(
    function: Callable[..., list[jax.Array]],
    arrays: tuple[object, ...],
    conditions: tuple[jax.Array, ...],
) -> list[jax.Array]:
    """Apply ``function`` to each member of the batch: axis 1 of arrays, axis 0 of conditions."""
    axes = (1,) * len(arrays) + (0,) * len(conditions)
    results: list[jax.Array] = jax.vmap(function, in_axes=axes, out_axes=1)(*arrays, *conditions)
    return results
