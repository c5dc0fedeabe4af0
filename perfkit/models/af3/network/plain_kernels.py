"""Parts of AlphaFold 3 without a condition, with native kernels where the network has no places.

Its functions are replaced while it is traced by ones that create the same parameters and compute
the same. They hand over to the originals where no kernel serves: while parameters are created, for
other dtypes, and for the other networks whose code the package holds.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from perfkit.kernels.adaptive_attention import AffineNorm, Projections, self_attention
from perfkit.kernels.forms import is_served
from perfkit.kernels.transition import transition
from perfkit.kernels.triangle_attention import pair_bias
from perfkit.models.af3.foreign.networks_in_use import OWN_NETWORK, network_of

COMPONENTS = "alphafold3.model.components.haiku_modules"
"""The network's layer norm and linear module."""

NORM = ("scale", "offset")
"""Parameters of a layer norm."""

PAIR_NORM, PAIR_PROJECTION = "single_pair_logits_norm", "single_pair_logits_projection"
"""Names of the modules that make the bias of single attention from the pair."""


def is_own_network(global_config: Any) -> bool:
    """Whether a configuration is for AlphaFold 3's own network, which is the one served."""
    return network_of(global_config) == OWN_NETWORK


def functions(upstream: Any) -> dict[str, Any]:
    """What replaces functions of ``upstream``, the network's module ``diffusion_transformer``."""
    return {
        "self_attention": _single_attention(upstream.self_attention),
        "transition_block": _plain_transition(upstream.transition_block),
    }


@dataclass(frozen=True)
class PendingNorm:
    """A layer norm of the pair that is not yet computed: its projection does that.

    Attributes
    ----------
    x
        The pair, shape ``(tokens, tokens, channels)``.
    """

    x: jax.Array


class PairLogitsComponents:
    """The network's components, except that single attention gets its bias from one kernel.

    Parameters
    ----------
    components
        The module :data:`COMPONENTS`.
    """

    def __init__(self, components: Any) -> None:
        self._components = components

    def __getattr__(self, name: str) -> Any:
        return getattr(self._components, name)

    def LayerNorm(self, *, name: str, **options: Any) -> Callable[[jax.Array], Any]:  # noqa: N802
        """The layer norm, or one whose computation waits for the projection."""

        def norm(x: jax.Array) -> Any:
            waits = name == PAIR_NORM and not options and not hk.running_init()
            if waits and is_served(x.dtype):
                return PendingNorm(x)
            return self._components.LayerNorm(name=name, **options)(x)

        return norm

    def Linear(  # noqa: N802
        self, num_output: Any, *, name: str, **options: Any
    ) -> Callable[[Any], jax.Array]:
        """The linear module, or the kernel of layer norm and projection."""

        def projection(x: Any) -> jax.Array:
            if isinstance(x, PendingNorm):
                return _pair_logits(x.x, num_output, name)
            result: jax.Array = self._components.Linear(num_output, name=name, **options)(x)
            return result

        return projection


def _pair_logits(x: jax.Array, heads: int, name: str) -> jax.Array:
    """The projected layer norm, shape ``(tokens, tokens, heads)``."""
    channels = x.shape[-1]
    scale, offset = layer_norm_parameters(PAIR_NORM, channels)
    [weights] = linear(x, (heads,), name)[0]
    bias = pair_bias(x.reshape(-1, channels), scale, offset, weights, x.shape[-2])
    return jnp.moveaxis(bias, 1, -1)


def layer_norm_parameters(
    module: str, channels: int, names: Sequence[str] = NORM
) -> list[jax.Array]:
    """Parameters of a layer norm, float32 as in the network, shape ``(channels,)`` each."""
    # Another scope of this name would get another name.
    with hk.name_scope(module):
        return [hk.get_parameter(name, (channels,), jnp.float32, init=jnp.ones) for name in names]


def _single_attention(original: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Self-attention without a condition, that of the single representation in the trunk."""

    def single_attention(
        x: jax.Array,
        mask: jax.Array,
        pair_logits: jax.Array | None,
        config: Any,
        global_config: Any,
        single_cond: jax.Array | None = None,
        name: str = "",
        **options: Any,
    ) -> jax.Array:
        served = (
            not hk.running_init()
            and is_own_network(global_config)
            and single_cond is None
            and pair_logits is not None
            and x.ndim == 2
            and is_served(x.dtype)
            and x.dtype == pair_logits.dtype
            and options.get("gate_bias", 0.0) == 0.0
        )
        if not served:
            return original(
                x, mask, pair_logits, config, global_config, single_cond, name, **options
            )
        assert pair_logits is not None
        channels, heads = x.shape[-1], config.num_head
        key_shape = (heads, (config.key_dim or channels) // heads)
        value_shape = (heads, (config.value_dim or channels) // heads)
        width = value_shape[0] * value_shape[1]
        query_weights, query_bias = linear(x, key_shape, f"{name}q_projection", use_bias=True)
        norm = AffineNorm(
            *(each[None] for each in layer_norm_parameters(f"{name}layer_norm", channels))
        )
        projections = Projections(
            query_weights,
            query_bias,
            linear(x, key_shape, f"{name}k_projection")[0],
            linear(x, value_shape, f"{name}v_projection")[0],
            linear(x, (width,), f"{name}gating_query")[0],
            linear(jax.ShapeDtypeStruct((width,), x.dtype), (channels,), f"{name}transition2")[0],
        )
        # Where the bias comes from the kernel, this undoes the network's transposition of it.
        bias = jnp.moveaxis(pair_logits, 0, 1)[:, None]
        return self_attention(x, jnp.int32(0), mask, bias, projections, norm)

    return single_attention


def _plain_transition(original: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A transition without a condition, that of the pair's conditioning before the diffusion."""

    def plain_transition(
        x: jax.Array,
        num_intermediate_factor: int,
        global_config: Any,
        single_cond: jax.Array | None = None,
        use_glu_kernel: bool = True,
        name: str = "",
        **options: Any,
    ) -> jax.Array:
        served = (
            not hk.running_init()
            and is_own_network(global_config)
            and single_cond is None
            and options.get("mask") is None
            and is_served(x.dtype)
        )
        if not served:
            return original(
                x,
                num_intermediate_factor,
                global_config,
                single_cond,
                use_glu_kernel,
                name,
                **options,
            )
        return gated_transition(
            x,
            num_intermediate_factor * x.shape[-1],
            f"{name}ffw_layer_norm",
            f"{name}ffw_transition1",
            f"{name}ffw_transition2",
        )

    return plain_transition


def gated_transition(x: jax.Array, hidden: int, norm: str, first: str, second: str) -> jax.Array:
    """Compute a transition without a condition, with the native kernel.

    Parameters
    ----------
    x
        Activations, shape ``(..., channels)``.
    hidden
        Channels of the gated linear unit.
    norm, first, second
        Names of the layer norm and of the linear modules before and after the gate.
    """
    channels = x.shape[-1]
    scale, offset = layer_norm_parameters(norm, channels)
    [gate_value] = linear(x, (2 * hidden,), first)[0]
    [out] = linear(jax.ShapeDtypeStruct((hidden,), x.dtype), (channels,), second)[0]
    gate, value = jnp.split(gate_value, 2, axis=-1)
    return transition(x, scale, offset, gate, value, out, add_input=False)


def linear(
    inputs: jax.Array | jax.ShapeDtypeStruct,
    outputs: tuple[int, ...],
    name: str,
    *,
    use_bias: bool = False,
    transposed: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Weights and bias of a linear module as those of a stack of one layer, dtype of ``inputs``.

    ``transposed`` are weights that the module keeps with the outputs in front.
    """
    modules = importlib.import_module(COMPONENTS)
    weights, bias = modules.haiku_linear_get_params(
        inputs,
        num_output=outputs,
        use_bias=use_bias,
        transpose_weights=transposed,
        name=name,
    )
    channels = inputs.shape[-1]
    flat = weights.reshape(-1, channels).T if transposed else weights.reshape(channels, -1)
    no_bias = jnp.zeros((1, 0), inputs.dtype)
    return flat[None].astype(inputs.dtype), no_bias if bias is None else bias.reshape(1, -1)
