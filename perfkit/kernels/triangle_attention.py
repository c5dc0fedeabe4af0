"""Triangle attention of the Pairformer in one native kernel, for AlphaFold 3's hooks.

AlphaFold 3 asks for three functions: projections, attention and output projection. Between them
the projections would go through main memory, which costs more than the arithmetic. The first two
functions therefore only collect their arguments, and the third calls the kernel, which computes
all of it for a few rows of the pair at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from perfkit.kernels.forms import is_served, layer_norm
from perfkit.kernels.primitive import call_kernel

SERVED_HEAD_DIMS = (16, 32)
"""Channels of a head that the kernel serves: those of the template stack and of the trunk."""

_DEPTH = 32
"""A tile of AMX holds this many bfloat16 numbers of the inner dimension of a product."""


@dataclass(frozen=True)
class PendingProjections:
    """Queries, keys, values and gates of all pairs that are not yet computed.

    Attributes
    ----------
    x
        The pair, shape ``(rows * columns, channels)``.
    scale, offset
        Parameters of the layer norm, float32, shape ``(channels,)``.
    weights
        Weights of queries, keys, values and gates, shape ``(4, channels, heads * head_dim)``.
    shape
        Shape of the projections, ``(rows, columns, 4, heads, head_dim)`` after :meth:`reshape`.
    """

    x: jax.Array
    scale: jax.Array
    offset: jax.Array
    weights: jax.Array
    shape: tuple[int, ...]

    def reshape(
        self, rows: int, columns: int, _: int, heads: int, head_dim: int
    ) -> PendingProjections:
        """Return the projections with the shape ``(rows, columns, 4, heads, head_dim)``."""
        shape = (rows, columns, 4, heads, head_dim)
        return PendingProjections(self.x, self.scale, self.offset, self.weights, shape)


@dataclass(frozen=True)
class PendingAttention:
    """Gated attention that is not yet computed.

    Attributes
    ----------
    projections
        What it attends with.
    bias
        Shape ``(heads, tokens, tokens)``.
    mask
        Which keys count, bool, shape ``(rows of attention, tokens)``.
    gate_bias
        Shape ``(heads, head_dim)``.
    softmax_scale
        Factor of the products of queries and keys.
    column
        Whether the rows of attention are the columns of the pair.
    """

    projections: PendingProjections
    bias: jax.Array
    mask: jax.Array
    gate_bias: jax.Array
    softmax_scale: float
    column: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result, ``(rows, columns, heads, head_dim)``."""
        rows, columns, _, heads, head_dim = self.projections.shape
        return (rows, columns, heads, head_dim)

    def reshape(self, *_: int) -> PendingAttention:
        """Return the attention itself: the kernel needs no other shape."""
        return self


def packed_attention(dtype: jnp.dtype, head_dim: int) -> Callable[..., object] | None:
    """Return the hook ``PACKED_ATTENTION`` of AlphaFold 3.

    Parameters
    ----------
    dtype
        Dtype of the pair.
    head_dim
        Channels of a head.

    Returns
    -------
    callable or None
        ``f(p, bias, key_mask, gate_bias, *, sm_scale, column)``; None if this is not served.
    """
    if not is_served(dtype) or head_dim not in SERVED_HEAD_DIMS:
        return None
    return _attend


def pair_projections(
    dtype: jnp.dtype, channels: int, num_head: int, head_dim: int
) -> tuple[Callable[..., object], Callable[..., jax.Array]] | None:
    """Return the hook ``PAIR_PROJECTIONS`` of AlphaFold 3.

    Parameters
    ----------
    dtype
        Dtype of the pair.
    channels
        Channels of the pair.
    num_head, head_dim
        Number of heads and channels of each.

    Returns
    -------
    tuple of callables or None
        ``ln_projection(x, ln_scale, ln_offset, w, wb[, keep])`` and ``output_projection(o, w, b[,
        residual, keep])``; None if this is not served. ``keep``, the pairs that are not padding,
        is not used.
    """
    multiples = channels % _DEPTH == 0 and num_head * head_dim % _DEPTH == 0
    if packed_attention(dtype, head_dim) is None or not multiples:
        return None
    return _project, _project_output


def pair_bias(
    x: jax.Array, scale: jax.Array, offset: jax.Array, weights: jax.Array, length: int
) -> jax.Array:
    """Compute the bias that a pair gives to the logits of attention, with the native kernel.

    Parameters
    ----------
    x
        The pair, shape ``(runs * length, channels)``.
    scale, offset
        Parameters of the layer norm, float32, shape ``(channels,)``.
    weights
        Shape ``(channels, heads)``, dtype of ``x``.
    length
        Number of pairs in a run.

    Returns
    -------
    jax.Array
        Shape ``(runs, heads, length)``, dtype of ``x``.
    """
    pairs, heads = x.shape[0], weights.shape[1]
    (bias,) = call_kernel(
        "perfkit.PairBias",
        partial(bias_form, length=length),
        x,
        scale,
        offset,
        weights,
        results=[jax.ShapeDtypeStruct((pairs // length, heads, length), x.dtype)],
    )
    return bias


def triangle_attention(
    x: jax.Array,
    scale: jax.Array,
    offset: jax.Array,
    weights: jax.Array,
    bias: jax.Array,
    mask: jax.Array,
    gate_bias: jax.Array,
    output_weights: jax.Array,
    output_bias: jax.Array,
    residual: jax.Array | None = None,
    *,
    softmax_scale: float,
    column: bool,
) -> jax.Array:
    """Compute the update of the pair by triangle attention, with the native kernel.

    Parameters
    ----------
    x
        The pair, shape ``(rows, columns, channels)``.
    scale, offset, weights, bias, mask, gate_bias
        As in :class:`PendingProjections` and :class:`PendingAttention`.
    output_weights, output_bias
        Shapes ``(heads * head_dim, channels)`` and ``(channels,)``.
    residual
        Added to the result; shape of ``x``.
    softmax_scale
        Factor of the products of queries and keys.
    column
        Whether to attend along columns of the pair instead of rows.

    Returns
    -------
    jax.Array
        Shape and dtype of ``x``.
    """
    dtype, add_residual = x.dtype, residual is not None
    form = partial(
        attention_form, column=column, add_residual=add_residual, softmax_scale=softmax_scale
    )
    (out,) = call_kernel(
        "perfkit.TriangleAttention",
        form,
        x,
        scale,
        offset,
        weights,
        bias.astype(dtype),
        mask,
        gate_bias.astype(dtype),
        output_weights.astype(dtype),
        output_bias.astype(dtype),
        x if residual is None else residual.astype(dtype),
        results=[jax.ShapeDtypeStruct(x.shape, dtype)],
        column=column,
        add_residual=add_residual,
        softmax_scale=softmax_scale,
    )
    return out


def _project(
    x: jax.Array,
    ln_scale: jax.Array,
    ln_offset: jax.Array,
    w: jax.Array,
    wb: jax.Array,
    keep: jax.Array | None = None,
) -> tuple[PendingProjections, jax.Array, None]:
    pairs, _ = x.shape
    scale, offset = ln_scale.astype(jnp.float32), ln_offset.astype(jnp.float32)
    [bias] = pair_bias(x, scale, offset, wb.astype(x.dtype), pairs)
    return PendingProjections(x, scale, offset, w.astype(x.dtype), (pairs, *w.shape)), bias, None


def _attend(
    p: PendingProjections | jax.Array,
    bias: jax.Array,
    kmask: jax.Array,
    gate_bias: jax.Array,
    kv: None = None,
    *,
    sm_scale: float,
    column: bool,
) -> PendingAttention | jax.Array:
    if isinstance(p, PendingProjections):
        return PendingAttention(p, bias, kmask, gate_bias, sm_scale, column)
    # The number of channels is not served by pair_projections: the projections are computed.
    projected = jnp.swapaxes(p, 0, 1) if column else p
    gated = _gated_attention(projected, bias, kmask, gate_bias, sm_scale)
    return jnp.swapaxes(gated, 0, 1) if column else gated


def _project_output(
    o: PendingAttention,
    w: jax.Array,
    b: jax.Array,
    residual: jax.Array | None = None,
    keep: jax.Array | None = None,
) -> jax.Array:
    projections = o.projections
    rows, columns = projections.shape[:2]
    shape = (rows, columns, projections.x.shape[-1])
    out = triangle_attention(
        projections.x.reshape(shape),
        projections.scale,
        projections.offset,
        projections.weights,
        o.bias,
        o.mask,
        o.gate_bias,
        w,
        b,
        None if residual is None else residual.reshape(shape),
        softmax_scale=float(o.softmax_scale),
        column=o.column,
    )
    return out.reshape(rows * columns, -1)


def bias_form(
    x: jax.Array, scale: jax.Array, offset: jax.Array, weights: jax.Array, *, length: int
) -> jax.Array:
    """Return the pair bias: the JAX form of ``PairBias``; parameters as in :func:`pair_bias`."""
    runs = layer_norm(x, scale, offset).reshape(-1, length, x.shape[-1])
    # XLA's CPU backend lacks this product of bfloat16 with sums in float32.
    wide = (runs.astype(jnp.float32), weights.astype(jnp.float32))
    return jnp.einsum("rmc,ch->rhm", *wide).astype(x.dtype)


def attention_form(
    x: jax.Array,
    scale: jax.Array,
    offset: jax.Array,
    weights: jax.Array,
    bias: jax.Array,
    mask: jax.Array,
    gate_bias: jax.Array,
    output_weights: jax.Array,
    output_bias: jax.Array,
    residual: jax.Array,
    *,
    column: bool,
    add_residual: bool,
    softmax_scale: float,
) -> jax.Array:
    """Return the update of the pair, shape of ``x``: the JAX form of ``TriangleAttention``.

    Parameters as in :func:`triangle_attention`, except that ``add_residual`` determines whether
    ``residual`` is added.
    """
    normed = layer_norm(x, scale, offset)
    if column:
        normed = jnp.swapaxes(normed, 0, 1)
    heads, head_dim = gate_bias.shape
    projected = jnp.einsum("xyc,gcw->xygw", normed, weights)
    projected = projected.reshape(*projected.shape[:3], heads, head_dim)
    gated = _gated_attention(projected, bias, mask, gate_bias, softmax_scale)
    if column:
        gated = jnp.swapaxes(gated, 0, 1)
    flat = gated.reshape(*gated.shape[:2], heads * head_dim)
    out = jnp.einsum("xyw,wc->xyc", flat, output_weights) + output_bias
    return residual + out if add_residual else out


def _gated_attention(
    projected: jax.Array, bias: jax.Array, mask: jax.Array, gate_bias: jax.Array, scale: float
) -> jax.Array:
    """Return gated attention within each row, shape ``(rows, tokens, heads, head_dim)``.

    The logits and the softmax are float32 and a masked logit is the most negative float32, as in
    ``tokamax.dot_product_attention`` with the implementation ``xla``.
    """
    query, key, value, gate = (projected[:, :, part] for part in range(4))
    logits = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=jnp.float32)
    logits = logits * scale + bias
    logits = jnp.where(mask[:, None, None, :], logits, np.finfo(np.float32).min)
    shares = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    shares = shares / jnp.sum(shares, axis=-1, keepdims=True)
    mixed = jnp.einsum(
        "bhqk,bkhd->bqhd",
        shares.astype(value.dtype),
        value,
        preferred_element_type=jnp.float32,
    ).astype(value.dtype)
    return mixed * jax.nn.sigmoid(gate + gate_bias)
