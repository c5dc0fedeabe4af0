"""AlphaFold 3's transformers of the diffusion with native kernels.

The network has no places for kernels there. Its modules are therefore replaced while it is traced
by ones that take the same parameters and compute the same. They hand over to the originals where
no kernel serves: while parameters are created, for other dtypes, and for the other networks whose
code the package holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from perfkit.kernels.adaptive import Conditioning, of_layer
from perfkit.kernels.adaptive_attention import Projections, self_attention
from perfkit.kernels.adaptive_transition import adaptive_transition
from perfkit.kernels.atom_attention import KeyNorm, Windows, atom_attention
from perfkit.kernels.atom_attention import is_served as subsets_are_served
from perfkit.kernels.forms import is_served
from perfkit.kernels.triangle_attention import pair_bias
from perfkit.models.af3.network.packed_parameters import STACK, weights_are_packed
from perfkit.models.af3.network.plain_kernels import (
    is_own_network,
    layer_norm_parameters,
    linear,
)
from perfkit.models.af3.network.replacing import subclass


def transformers(upstream: Any) -> dict[str, Any]:
    """What replaces modules of ``upstream``, the network's module ``diffusion_transformer``.

    Returns
    -------
    dict
        Name -> Haiku module.
    """
    return {
        "Transformer": subclass(upstream.Transformer, _transformer),
        "CrossAttTransformer": subclass(upstream.CrossAttTransformer, _atom_transformer),
    }


@dataclass(frozen=True)
class StackedParameters:
    """Parameters of all layers of a stack, as the network's checkpoint holds them.

    Attributes
    ----------
    arrays
        Module -> parameter -> array with ``axes`` axes of layers in front.
    prefix
        What the names of the modules begin with.
    axes
        Number of stacks inside each other.
    dtype
        Dtype of the activations, to which the network rounds parameters.
    """

    arrays: Mapping[str, Mapping[str, jax.Array]]
    prefix: str
    axes: int
    dtype: Any

    def weights(self, module: str) -> jax.Array:
        """Weights of a linear module, shape ``(layers, inputs, outputs)``."""
        array = self.arrays[f"{self.prefix}{module}"]["weights"]
        inputs, *outputs = array.shape[self.axes :]
        return array.reshape(-1, inputs, math.prod(outputs)).astype(self.dtype)

    def vector(self, module: str, name: str) -> jax.Array:
        """A parameter with one axis per layer, shape ``(layers, outputs)``.

        That of a layer norm is float32, as in the network.
        """
        array = self.arrays[f"{self.prefix}{module}"][name]
        flat = array.reshape(-1, math.prod(array.shape[self.axes :]))
        return flat.astype(jnp.float32 if name == "scale" else self.dtype)

    def norm(self, name: str) -> KeyNorm:
        """Parameters of an adaptive layer norm."""
        return KeyNorm(
            self.vector(f"{name}single_cond_layer_norm", "scale"),
            self.weights(f"{name}single_cond_scale"),
            self.vector(f"{name}single_cond_scale", "bias"),
            self.weights(f"{name}single_cond_bias"),
        )

    def conditioning(self, condition: jax.Array, norm: str, gate: str) -> Conditioning:
        """The condition of the adaptive layer norm ``norm`` and of the gate ``gate``."""
        return Conditioning(
            condition,
            *self.norm(norm),
            self.weights(f"{gate}adaptive_zero_cond"),
            self.vector(f"{gate}adaptive_zero_cond", "bias"),
        )

    def projections(self) -> Projections:
        """Parameters of the projections of attention."""
        return Projections(
            self.weights("q_projection"),
            self.vector("q_projection", "bias"),
            self.weights("k_projection"),
            self.weights("v_projection"),
            self.weights("gating_query"),
            self.weights("transition2"),
        )


def stacked_parameters() -> Mapping[str, Mapping[str, jax.Array]]:
    """The parameters of the stack of layers in the module that is traced."""
    # A stack of layers takes two keys, whether or not its layers use them. Without that, everything
    # random after it would be drawn with another key.
    hk.maybe_next_rng_key()
    hk.maybe_next_rng_key()
    # Nothing is created here: replacements leave that to the network.
    lifted: Mapping[str, Mapping[str, jax.Array]] = hk.lift(dict, allow_reuse=True, name=STACK)()
    return lifted


def _transformer(base: Any) -> Callable[..., jax.Array]:
    def transformer(
        self: Any,
        act: jax.Array,
        mask: jax.Array,
        single_cond: jax.Array,
        pair_cond: jax.Array | None,
        **options: Any,
    ) -> jax.Array:
        if (
            hk.running_init()
            or not is_own_network(self.global_config)
            or pair_cond is None
            or any(value is not None for value in options.values())
            or not is_served(act.dtype)
            or not act.dtype == single_cond.dtype == pair_cond.dtype
        ):
            # The network's own transformer would take packed weights for plain ones.
            if weights_are_packed() and not hk.running_init():
                raise RuntimeError("weights are packed for a transformer without kernels")
            result: jax.Array = base.__call__(self, act, mask, single_cond, pair_cond, **options)
            return result
        return _all_blocks(self, act, mask, single_cond, pair_cond)

    return transformer


def _all_blocks(
    module: Any, act: jax.Array, mask: jax.Array, single_cond: jax.Array, pair_cond: jax.Array
) -> jax.Array:
    group = module.config.super_block_size
    channels = pair_cond.shape[-1]
    [scale] = layer_norm_parameters("pair_input_layer_norm", channels, ["scale"])
    arrays = stacked_parameters()
    pair_weights = StackedParameters(arrays, "", 1, act.dtype).weights("pair_logits_projection")
    of_block = StackedParameters(arrays, f"{STACK}/{module.name}", 2, act.dtype)
    projections = of_block.projections()
    attention = of_block.conditioning(single_cond, "", "")
    gate_value_weights = of_block.weights("ffw_transition1")
    out_weights = of_block.weights("ffw_transition2")
    feed_forward = of_block.conditioning(single_cond, "ffw_", "ffw_")
    packed = weights_are_packed()
    pairs = pair_cond.reshape(-1, channels)
    tokens = act.shape[-2]

    def super_block(act: jax.Array, index: jax.Array) -> tuple[jax.Array, None]:
        weights = of_layer(pair_weights, index)
        logits = pair_bias(pairs, scale, jnp.zeros_like(scale), weights, tokens)
        logits = logits.reshape(tokens, group, -1, tokens)
        for block in range(group):
            layer = index * group + block
            with jax.named_scope("transformer_attention"):
                act += self_attention(
                    act, layer, mask, logits, projections, attention, packed=packed
                )
            with jax.named_scope("transformer_ffw"):
                act += adaptive_transition(
                    act, layer, gate_value_weights, out_weights, feed_forward, packed=packed
                )
        return act, None

    groups = jnp.arange(module.config.num_blocks // group, dtype=jnp.int32)
    return jax.lax.scan(super_block, act, groups)[0]


def _atom_transformer(base: Any) -> Callable[..., jax.Array]:
    def atom_transformer(
        self: Any,
        queries_act: jax.Array,
        queries_mask: jax.Array,
        queries_to_keys: Any,
        keys_mask: jax.Array,
        queries_single_cond: jax.Array,
        keys_single_cond: jax.Array,
        pair_cond: jax.Array,
        **options: Any,
    ) -> jax.Array:
        _, queries, keys, _ = pair_cond.shape
        attention = self.config.attention
        dtypes = {each.dtype for each in (queries_act, queries_single_cond, pair_cond)}
        served = (
            not hk.running_init()
            and is_own_network(self.global_config)
            and all(value is None for value in options.values())
            and dtypes == {jnp.dtype(jnp.float32)}
            and attention.key_dim == attention.value_dim
            and subsets_are_served(queries, keys, attention.key_dim // attention.num_head)
        )
        if not served:
            result: jax.Array = base.__call__(
                self,
                queries_act,
                queries_mask,
                queries_to_keys,
                keys_mask,
                queries_single_cond,
                keys_single_cond,
                pair_cond,
                **options,
            )
            return result
        windows = Windows(
            queries_mask.astype(jnp.float32).reshape(-1),
            keys_mask.astype(jnp.float32),
            queries_to_keys.gather_idxs.astype(jnp.int32),
            queries_to_keys.gather_mask.astype(jnp.bool_),
        )
        return _all_atom_blocks(self, queries_act, windows, queries_single_cond, pair_cond)

    return atom_transformer


def _all_atom_blocks(
    module: Any, act: jax.Array, windows: Windows, condition: jax.Array, pair_cond: jax.Array
) -> jax.Array:
    """All layers; ``keys_single_cond`` of the network is ``condition`` of the keys' atoms."""
    blocks, heads = module.config.num_blocks, module.config.attention.num_head
    *_, keys, channels = pair_cond.shape
    [scale] = layer_norm_parameters("pair_input_layer_norm", channels, ["scale"])
    [pair_weights] = linear(pair_cond, (blocks, heads), "pair_logits_projection")[0]
    x = act.reshape(-1, act.shape[-1])
    logits = pair_bias(
        pair_cond.reshape(-1, channels), scale, jnp.zeros_like(scale), pair_weights, keys
    ).reshape(x.shape[0], blocks, heads, keys)
    parameters = StackedParameters(stacked_parameters(), module.name, 1, act.dtype)
    condition = condition.reshape(x.shape[0], -1)
    projections = parameters.projections()
    attention = parameters.conditioning(condition, "q", "")
    key_norm = parameters.norm("k")
    gate_value_weights = parameters.weights("ffw_transition1")
    out_weights = parameters.weights("ffw_transition2")
    feed_forward = parameters.conditioning(condition, "ffw_", "ffw_")
    for block in range(blocks):
        layer = jnp.int32(block)
        with jax.named_scope("transformer_attention"):
            x += atom_attention(x, layer, windows, logits, projections, attention, key_norm)
        with jax.named_scope("transformer_ffw"):
            x += adaptive_transition(x, layer, gate_value_weights, out_weights, feed_forward)
    return x.reshape(act.shape)
