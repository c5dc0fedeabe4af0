"""AlphaFold 3's trunk with native kernels, for packages without places for kernels.

The Haiku modules of triangle attention, triangle multiplication and transitions are replaced while
the network is traced by ones that take the same parameters and compute the same. They hand over to
the originals where no kernel serves: while parameters are created, for other dtypes and shapes, and
for the other networks whose code the package holds.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from perfkit.kernels.transition import glu_transition
from perfkit.kernels.triangle_attention import pair_bias, pair_projections, triangle_attention
from perfkit.kernels.triangle_multiplication import triangle_kernels
from perfkit.models.af3.network.plain_kernels import (
    gated_transition,
    is_own_network,
    layer_norm_parameters,
    linear,
)
from perfkit.models.af3.network.replacing import subclass

EQUATIONS = MappingProxyType({"ikc,jkc->ijc": "cik,cjk->cij", "kjc,kic->ijc": "ckj,cki->cij"})
"""Equation of a triangle multiplication in the configuration -> with the channels in front."""

LEAST_HEAD_DIM = 16
"""Channels of a head of triangle attention are at least these, whatever the pair has."""


def trunk_modules(upstream: Any) -> dict[str, Any]:
    """What replaces modules of ``upstream``, the network's module ``modules``.

    Returns
    -------
    dict
        Name -> Haiku module.
    """
    return {
        "GridSelfAttention": subclass(
            upstream.GridSelfAttention, _triangle_attention(upstream.get_shard_size)
        ),
        "TriangleMultiplication": subclass(
            upstream.TriangleMultiplication, _triangle_multiplication
        ),
        "TransitionBlock": subclass(upstream.TransitionBlock, _transition_block),
    }


def _may_be_replaced(module: Any, options: dict[str, Any]) -> bool:
    """Whether a module is replaced, if a kernel serves its shapes.

    ``options`` are arguments that only some packages have, and that the kernels do not serve.
    """
    return (
        not hk.running_init()
        and is_own_network(module.global_config)
        and all(value is None for value in options.values())
    )


def _triangle_attention(
    rows_together: Callable[..., int | None],
) -> Callable[[Any], Callable[..., jax.Array]]:
    """Triangle attention, given the function that chooses the rows which attend together."""

    def make_call(base: Any) -> Callable[..., jax.Array]:
        def attend(self: Any, act: jax.Array, pair_mask: jax.Array, **options: Any) -> jax.Array:
            rows, columns, channels = act.shape
            heads = self.config.num_head
            head_dim = max(channels // heads, LEAST_HEAD_DIM)
            served = (
                _may_be_replaced(self, options)
                and rows == columns
                # The kernel takes all rows only.
                and rows_together(rows, self.global_config.pair_attention_chunk_size) is None
                and pair_projections(act.dtype, channels, heads, head_dim) is not None
            )
            if not served:
                result: jax.Array = base.__call__(self, act, pair_mask, **options)
                return result
            return _attention_update(act, pair_mask, heads, head_dim, column=self.transpose)

        return attend

    return make_call


def _attention_update(
    act: jax.Array, pair_mask: jax.Array, heads: int, head_dim: int, *, column: bool
) -> jax.Array:
    tokens, _, channels = act.shape
    width = heads * head_dim
    scale, offset = layer_norm_parameters("act_norm", channels)
    [bias_weights] = linear(act, (heads,), "pair_bias_projection")[0]
    [bias] = pair_bias(act.reshape(-1, channels), scale, offset, bias_weights, tokens**2)
    projections = [
        linear(act, (heads, head_dim), "q_projection", transposed=True)[0],
        linear(act, (heads, head_dim), "k_projection", transposed=True)[0],
        linear(act, (heads, head_dim), "v_projection")[0],
        linear(act, (width,), "gating_query", transposed=True)[0],
    ]
    attended = jax.ShapeDtypeStruct((width,), act.dtype)
    [output_weights] = linear(attended, (channels,), "output_projection")[0]
    return triangle_attention(
        act,
        scale,
        offset,
        jnp.concatenate(projections),
        bias.reshape(heads, tokens, tokens),
        jnp.swapaxes(pair_mask, 0, 1).astype(jnp.bool_),
        jnp.zeros((heads, head_dim), act.dtype),
        output_weights,
        jnp.zeros((channels,), act.dtype),
        softmax_scale=head_dim**-0.5,
        column=column,
    )


def _triangle_multiplication(base: Any) -> Callable[..., jax.Array]:
    def multiply(self: Any, act: jax.Array, mask: jax.Array, **options: Any) -> jax.Array:
        tokens, columns, channels = act.shape
        kernels = triangle_kernels(act.dtype, channels, channels)
        if not _may_be_replaced(self, options) or tokens != columns or kernels is None:
            result: jax.Array = base.__call__(self, act, mask, **options)
            return result
        contract, epilogue = kernels
        norm = layer_norm_parameters("left_norm_input", channels)
        product = contract(
            act,
            *norm,
            *_operand_weights(act, "projection"),
            *_operand_weights(act, "gate"),
            mask.astype(act.dtype),
            equation=EQUATIONS[self.config.equation],
        )
        no_bias = jnp.zeros((channels,), act.dtype)
        center_norm = layer_norm_parameters("center_norm", channels)
        [output_weights] = linear(act, (channels,), "output_projection")[0]
        [gate_weights] = linear(act, (channels,), "gating_linear")[0]
        update = epilogue(
            product.reshape(channels, -1),
            act.reshape(-1, channels),
            *norm,
            *center_norm,
            output_weights,
            no_bias,
            gate_weights,
            no_bias,
            add_input=False,
        )
        return update.reshape(act.shape)

    return multiply


def _operand_weights(act: jax.Array, name: str) -> tuple[jax.Array, jax.Array]:
    """Weights of both operands of the product, one after the other, and a bias of zeros.

    In the network's parameters, the operands alternate from channel to channel.
    """
    width = 2 * act.shape[-1]
    [weights] = linear(act, (width,), name)[0]
    operands = jnp.concatenate([weights[:, 0::2], weights[:, 1::2]], axis=1)
    return operands, jnp.zeros((width,), act.dtype)


def _transition_block(base: Any) -> Callable[..., jax.Array]:
    def transition_block(
        self: Any, act: jax.Array, broadcast_dim: int | None = 0, **options: Any
    ) -> jax.Array:
        channels = act.shape[-1]
        hidden = int(channels * self.config.num_intermediate_factor)
        served = glu_transition(act.dtype, channels, hidden) is not None
        if not served or not _may_be_replaced(self, options):
            result: jax.Array = base.__call__(self, act, broadcast_dim, **options)
            return result
        return gated_transition(act, hidden, "input_layer_norm", "transition1", "transition2")

    return transition_block
