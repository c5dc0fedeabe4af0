"""Parameters of the diffusion transformer, laid out once as its native kernels read them.

The transformer has two thirds of all parameters, and reads them in every diffusion step. The
network does not know the layout: only what :mod:`perfkit.models.af3.network.diffusion_kernels`
traces may be given such parameters.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import jax

from perfkit.kernels.packed_weights import are_packable, packed

STACK = "__layer_stack_with_per_layer"
"""Name that ``hk.experimental.layer_stack`` gives to the parameters of a stack of layers."""

_BLOCKS = f"diffusion_head/transformer/{STACK}/{STACK}/"
"""Substring of the Haiku paths of the parameters that all blocks have, with two axes of layers."""

_LAYER_AXES = 2

_PACKED = ContextVar("packed weights of the diffusion transformer", default=False)

type Parameters = Mapping[str, Mapping[str, Any]]
"""Module path -> parameter name -> array."""


def weights_are_packed() -> bool:
    """Whether the network is traced with packed weights of the diffusion transformer."""
    return _PACKED.get()


@contextlib.contextmanager
def tracing_packed_weights(are_packed: bool) -> Iterator[None]:
    """State in this block whether the network is traced with packed weights."""
    token = _PACKED.set(are_packed)
    try:
        yield
    finally:
        _PACKED.reset(token)


def with_packed_weights(
    parameters: Parameters, done_with: Callable[[Any], None] = lambda array: None
) -> tuple[Parameters, bool]:
    """Pack the weights of the diffusion transformer.

    Parameters
    ----------
    parameters
        Parameters of the network, in the dtypes in which it uses them.
    done_with
        Called with each array that has been packed and is not used any more.

    Returns
    -------
    Parameters
        The parameters; packed weights are JAX arrays of unchanged shape and dtype.
    bool
        Whether they are packed: all weights of the transformer, or none where one cannot be packed.
    """
    weights = {
        module: leaves["weights"]
        for module, leaves in parameters.items()
        if _BLOCKS in module and "weights" in leaves
    }
    if not weights or not all(_is_packable(each) for each in weights.values()):
        return parameters, False
    changed = dict(parameters)
    for module, array in weights.items():
        # Without waiting, the array would still be read when it is let go of.
        laid_out = _packed_stack(array).block_until_ready()
        changed[module] = {**parameters[module], "weights": laid_out}
        done_with(array)
    return changed, True


def _is_packable(array: Any) -> bool:
    # Kernels work on one head at a time, whose columns are the last axis.
    return are_packable(array.dtype, array.shape[_LAYER_AXES], array.shape[-1])


def _flat_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of weights ``(..., inputs, outputs)`` whose outputs may have an axis of heads."""
    inputs, *outputs = shape[_LAYER_AXES:]
    return (*shape[:_LAYER_AXES], inputs, math.prod(outputs))


@jax.jit
def _packed_stack(array: jax.Array) -> jax.Array:
    return packed(array.reshape(_flat_shape(array.shape))).reshape(array.shape)
