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
handler; ``attributes``, pairs of names and NumPy scalars; and ``jaxpr``, the JAX form."""

KERNEL.multiple_results = True


def call_kernel(
    target: str,
    form: Callable[..., Any],
    *operands: jax.Array,
    results: Sequence[jax.ShapeDtypeStruct],
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
        platforms. Under ``vmap``, the kernel runs for one element of the batch after another.
    *operands
        Arrays, row-major in the kernel.
    results
        Shapes and dtypes of the results, which are those of the form.
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
        KERNEL.bind(*operands, target=registered_name(target), attributes=typed, jaxpr=traced)
    )


def _typed(value: Attribute) -> np.generic:
    if isinstance(value, np.generic):
        return value
    if isinstance(value, bool):
        return np.bool_(value)
    return np.int64(value) if isinstance(value, int) else np.float64(value)


def _results(*operands: Any, target: str, attributes: Any, jaxpr: Any) -> list[Any]:
    return list(jaxpr.out_avals)


def _execute(*operands: Any, **parameters: Any) -> list[jax.Array]:
    return list(_compiled(**parameters)(*operands))


@functools.lru_cache(maxsize=256)
def _compiled(**parameters: Any) -> Callable[..., Any]:
    return jax.jit(lambda *operands: KERNEL.bind(*operands, **parameters))


def _one_after_another(operands: Sequence[Any], dims: Sequence[Any], **parameters: Any) -> Any:
    """Call the kernel for one element of the batch after another; each call uses all threads.

    The JAX form would need the memory that the kernel saves, as many times as there are elements.
    """
    # JAX marks operands without a batch by None.
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


def _lower_form(ctx: Any, *operands: Any, target: str, attributes: Any, jaxpr: Any) -> Any:
    return mlir.lower_fun(jaxpr_as_fun(jaxpr), multiple_results=True)(ctx, *operands)


def _lower_call(ctx: Any, *operands: Any, target: str, attributes: Any, jaxpr: Any) -> Any:
    return jax.ffi.ffi_lowering(target)(ctx, *operands, **dict(attributes))


KERNEL.def_abstract_eval(_results)
KERNEL.def_impl(_execute)
batching.primitive_batchers[KERNEL] = _one_after_another
mlir.register_lowering(KERNEL, _lower_form)
mlir.register_lowering(KERNEL, _lower_call, platform="cpu")
