"""The gated transition of AlphaFold 3: layer norm, gated linear unit, projection and residual.

``GLU_TRANSITION`` of ``alphafold3.model.network.modules`` asks :func:`glu_transition` for a kernel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy.typing as npt

from perfkit.kernels.forms import is_served, layer_norm
from perfkit.kernels.primitive import call_kernel

TARGET = "perfkit.GluTransition"


def glu_transition(
    dtype: npt.DTypeLike, channels: int, hidden: int
) -> Callable[..., jax.Array] | None:
    """The kernel of a transition block.

    Parameters
    ----------
    dtype
        Dtype of the activations.
    channels, hidden
        Width of the input and of the gated linear unit.

    Returns
    -------
    callable or None
        :func:`transition`; None for other dtypes than float32 and bfloat16, and for a block without
        channels.
    """
    if not is_served(dtype) or min(channels, hidden) < 1:
        return None
    return transition


def transition(
    x: jax.Array,
    ln_scale: jax.Array,
    ln_offset: jax.Array,
    wa: jax.Array,
    wb: jax.Array,
    wo: jax.Array,
    keep: jax.Array | None = None,
    *,
    add_input: bool,
) -> jax.Array:
    """Compute a transition block with the native kernel.

    Parameters
    ----------
    x
        Activations of shape ``[..., channels]``.
    ln_scale, ln_offset
        Parameters of the layer norm, ``[channels]``.
    wa, wb
        Weights of the gate, which passes through swish, and of the value, ``[channels, hidden]``.
    wo
        Weights of the output, ``[hidden, channels]``.
    keep
        Factor of the update for every row, of shape ``[...]``. Where it is 0, the update is 0
        whatever the row holds, so that the kernel may skip padded rows.
    add_input
        Whether ``x`` is added to the update.

    Returns
    -------
    jax.Array
        The update, or ``x`` plus the update, with the shape and dtype of ``x``.

    Notes
    -----
    The stock module rounds the gate, the value and the update to the dtype of ``x``; the kernel
    rounds the result of the layer norm, swish(gate) * value and the final sum.
    """
    if x.size == 0:
        return x
    rows = x.reshape(-1, x.shape[-1])
    weights = [each.astype(x.dtype) for each in (wa, wb, wo)]
    masks = [] if keep is None else [keep.astype(x.dtype).reshape(-1)]
    [result] = call_kernel(
        TARGET,
        functools.partial(transition_form, add_input=add_input),
        rows,
        ln_scale.astype(jnp.float32),
        ln_offset.astype(jnp.float32),
        *weights,
        *masks,
        results=[jax.ShapeDtypeStruct(rows.shape, rows.dtype)],
        batched=(0, *range(6, 6 + len(masks))),
        add_input=add_input,
    )
    return result.reshape(x.shape)


def transition_form(
    x: jax.Array,
    ln_scale: jax.Array,
    ln_offset: jax.Array,
    wa: jax.Array,
    wb: jax.Array,
    wo: jax.Array,
    keep: jax.Array | None = None,
    *,
    add_input: bool,
) -> jax.Array:
    """The JAX form of the kernel; parameters as in :func:`transition`, with ``x`` of two axes."""
    normalised = layer_norm(x, ln_scale, ln_offset)
    gate = jnp.matmul(normalised, wa, preferred_element_type=jnp.float32)
    value = jnp.matmul(normalised, wb, preferred_element_type=jnp.float32)
    gated = (jax.nn.swish(gate) * value).astype(x.dtype)
    update = jnp.matmul(gated, wo, preferred_element_type=jnp.float32)
    if keep is not None:
        factor = keep.astype(jnp.float32)[:, None]
        update = jnp.where(factor == 0, 0, update * factor)
    return (x.astype(jnp.float32) + update if add_input else update).astype(x.dtype)
