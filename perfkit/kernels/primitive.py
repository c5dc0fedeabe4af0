"""Calls native kernels from traced programs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import batching, mlir

from perfkit.kernels.build.library import registered_name

type Attribute = int | float | bool | np.generic
"""An attribute of a kernel. In C++, an ``int`` is an ``int64_t``, a ``float`` a ``double`` and a
``bool`` a ``bool``; a NumPy scalar keeps its type."""

KERNEL = Primitive("perfkit_kernel")
"""The primitive of all native kernels. Its parameters are ``target``, the registered name of the
handler; ``attributes``, pairs of names and NumPy scalars; ``batched``, positions of operands; and
``jaxpr``, the JAX form."""

KERNEL.multiple_results = True


def call_kernel(
    target: str,
    form: Callable[..., Any],
    *operands: jax.Array,
    results: Sequence[jax.ShapeDtypeStruct],
    batched: Sequence[int] = (),
    **attributes: Attribute,
) -> list[jax.Array]:
    """Call a native kernel.

    Parameters
    ----------
    target
        FFI target of the kernel: ``perfkit.`` and the symbol of its handler.
    form
        The JAX form: the same computation in plain JAX, called with the operands. It returns one
        array or a sequence of arrays. The guard and the locator see it, and it runs on other
        platforms. Under ``vmap``, the kernel runs for one element of the batch after another,
        unless ``batched`` names all operands that have a batch.
    *operands
        Arrays, row-major in the kernel.
    results
        Shapes and dtypes of the results, which are those of the form.
    batched
        Positions of the operands whose first axis is a batch, which all results have as their
        first axis too. Under ``vmap`` over these operands, the kernel runs once for all elements.
    **attributes
        Constants that the handler takes as attributes.

    Returns
    -------
    list of jax.Array
        The results.

    Raises
    ------
    TypeError
        The form has other results than ``results``.
    UserError
        This machine cannot have native kernels.
    ConfigurationRefusedError
        The kernels cannot be built or loaded.
    """
    traced = jax.make_jaxpr(form)(*operands)
    expected = [(tuple(result.shape), np.dtype(result.dtype)) for result in results]
    found = [(tuple(aval.shape), np.dtype(aval.dtype)) for aval in traced.out_avals]
    if expected != found:
        raise TypeError(f"the JAX form of {target} returns {found} instead of {expected}")
    if any(isinstance(constant, jax.core.Tracer) for constant in traced.consts):
        raise TypeError(f"the JAX form of {target} uses a traced array that is not an operand")
    typed = tuple(sorted((name, _typed(value)) for name, value in attributes.items()))
    return list(
        KERNEL.bind(
            *operands,
            target=registered_name(target),
            attributes=typed,
            batched=tuple(batched),
            jaxpr=traced,
        )
    )


def _typed(value: Attribute) -> np.generic:
    if isinstance(value, np.generic):
        return value
    if isinstance(value, bool):
        return np.bool_(value)
    return np.int64(value) if isinstance(value, int) else np.float64(value)


def _results(*operands: Any, jaxpr: Any, **parameters: Any) -> list[Any]:
    return list(jaxpr.out_avals)


def _execute(*operands: Any, **parameters: Any) -> list[jax.Array]:
    return list(_compiled(**parameters)(*operands))


@functools.lru_cache(maxsize=256)
def _compiled(**parameters: Any) -> Callable[..., Any]:
    return jax.jit(lambda *operands: KERNEL.bind(*operands, **parameters))


def _batch(operands: Sequence[Any], dims: Sequence[Any], **parameters: Any) -> Any:
    # JAX marks operands without a batch by None.
    mapped = {position for position, axis in enumerate(dims) if axis is not None}
    if mapped <= set(parameters["batched"]):
        return _together(operands, dims, **parameters)
    return _one_after_another(operands, dims, **parameters)


def _together(
    operands: Sequence[Any],
    dims: Sequence[Any],
    *,
    batched: tuple[int, ...],
    jaxpr: Any,
    **parameters: Any,
) -> Any:
    """Call the kernel once: the new batch becomes a part of the one that the operands have."""
    size = next(
        operand.shape[axis]
        for operand, axis in zip(operands, dims, strict=True)
        if axis is not None
    )

    def merged(array: jax.Array) -> jax.Array:
        return array.reshape(-1, *array.shape[2:])

    def parted(array: jax.Array) -> jax.Array:
        return array.reshape(size, -1, *array.shape[1:])

    values = list(operands)
    for position in batched:
        axis = dims[position]
        value = operands[position]
        moved = (
            jnp.broadcast_to(value, (size, *value.shape))
            if axis is None
            else jnp.moveaxis(value, axis, 0)
        )
        values[position] = merged(moved)
    axes = [0 if position in batched else None for position in range(len(values))]
    form = jax.vmap(jaxpr_as_fun(jaxpr), in_axes=axes)

    def merged_form(*values: jax.Array) -> list[jax.Array]:
        elements = [
            parted(value) if position in batched else value for position, value in enumerate(values)
        ]
        return [merged(result) for result in form(*elements)]

    traced = jax.make_jaxpr(merged_form)(*values)
    results = KERNEL.bind(*values, batched=batched, jaxpr=traced, **parameters)
    return [parted(result) for result in results], [0] * len(results)


def _one_after_another(operands: Sequence[Any], dims: Sequence[Any], **parameters: Any) -> Any:
    """Call the kernel for one element of the batch after another; each call uses all threads.

    The JAX form would need the memory that the kernel saves, as many times as there are elements.
    """
    mapped = [position for position, axis in enumerate(dims) if axis is not None]
    batches = [jnp.moveaxis(operands[position], dims[position], 0) for position in mapped]

    def call(elements: Sequence[Any]) -> list[Any]:
        values = list(operands)
        for position, element in zip(mapped, elements, strict=True):
            values[position] = element
        return list(KERNEL.bind(*values, **parameters))

    if batches[0].shape[0] == 1:
        # A loop of one iteration would only keep XLA from fusing across it.
        results = [result[None] for result in call([batch[0] for batch in batches])]
    else:
        results = jax.lax.map(call, batches)
    return results, [0] * len(results)


def _lower_form(ctx: Any, *operands: Any, jaxpr: Any, **parameters: Any) -> Any:
    return mlir.lower_fun(jaxpr_as_fun(jaxpr), multiple_results=True)(ctx, *operands)


def _lower_call(ctx: Any, *operands: Any, target: str, attributes: Any, **parameters: Any) -> Any:
    return jax.ffi.ffi_lowering(target)(ctx, *operands, **dict(attributes))


KERNEL.def_abstract_eval(_results)
KERNEL.def_impl(_execute)
batching.primitive_batchers[KERNEL] = _batch
mlir.register_lowering(KERNEL, _lower_form)
mlir.register_lowering(KERNEL, _lower_call, platform="cpu")
