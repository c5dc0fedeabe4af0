"""Follows NaN that a model declares through a program, element by element.

A sea-surface temperature, for example, is NaN over land, in the inputs and in the results of a
weather model. An operation that moves such an element, or that computes with it alone, returns a
declared NaN: in ``2 * temperature`` the same elements are declared. An operation that mixes it
with other elements, such as a sum or a matrix product, does not: its NaN has leaked, and the
search for its cause ends there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import JaxprEqn, Literal, Var

from perfkit.guard.analysis.source import in_place_of
from perfkit.guard.analysis.structure import (
    ControlFlow,
    Program,
    control_flow,
    dtype_of,
    is_floating,
    repeat,
)
from perfkit.guard.transform import is_array

Mask = Array | None
"""Elements of a value that are declared to be NaN: boolean, of its shape; None for no element."""


class EvaluatedEquation(NamedTuple):
    """One evaluated equation.

    Attributes
    ----------
    values, masks
        The operands, and where NaN is declared in them.
    results, result_masks
        The results, and where NaN is declared in them.
    """

    values: list[Array]
    masks: list[Mask]
    results: list[Array]
    result_masks: list[Mask]


_MOVES = frozenset(
    {
        "broadcast_in_dim",
        "concatenate",
        "copy",
        "copy_p",
        "dynamic_slice",
        "dynamic_update_slice",
        "expand_dims",
        "gather",
        "pad",
        "reshape",
        "rev",
        "scatter",
        "select_n",
        "slice",
        "split",
        "squeeze",
        "stack",
        "transpose",
        "unstack",
    }
)
"""Primitives whose results are elements of their operands."""

_ELEMENTWISE = frozenset(
    {
        *("abs", "add", "add_any", "ceil", "clamp", "convert_element_type", "cos", "cosh", "div"),
        *("erf", "erfc", "exp", "exp2", "expm1", "floor", "integer_pow", "log", "log1p"),
        *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "erf_inv", "log2"),
        *("nextafter", "one_minus_square"),
        *("logistic", "max", "min", "mul", "neg", "pow", "reduce_precision", "rem", "round"),
        *("rsqrt", "sign", "sin", "sinh", "sqrt", "square", "sub", "tan", "tanh"),
    }
)
"""Primitives whose result at a position depends only on the elements at that position."""


def masks_of_results(
    equation: JaxprEqn, values: Sequence[Array], masks: Sequence[Mask]
) -> list[Mask]:
    """Return where the results of an equation are declared NaN because its operands are.

    Parameters
    ----------
    equation
        Any equation.
    values, masks
        Its operands, and where NaN is declared in them.
    """
    none: list[Mask] = [None for _ in equation.outvars]
    if all(mask is None for mask in masks):
        return none
    flow = control_flow(equation)
    if flow is not None:
        found = _masks_through_flow(flow, equation, values, masks)
        return [
            mask if is_floating(out) else None
            for out, mask in zip(equation.outvars, found, strict=True)
        ]
    name = equation.primitive.name
    if not is_floating(equation.outvars[0]):
        return none
    if name in _MOVES:
        moved = [
            _filled(mask, value).astype(dtype_of(atom)) if is_floating(atom) else value
            for atom, value, mask in zip(equation.invars, values, masks, strict=True)
        ]
        return [result == 1 for result in repeat(equation, moved)]
    if name in _ELEMENTWISE:
        filled = [_filled(mask, value) for mask, value in zip(masks, values, strict=True)]
        return [functools.reduce(jnp.logical_or, filled)]
    return none


def masks_by_path(declared: Mapping[str, Any], tree: object, length: int = 0) -> list[Mask]:
    """Return the masks of the arrays in a tree, in order.

    Parameters
    ----------
    declared
        Key path of an array, as ``jax.tree_util.keystr`` writes it, mapped to its mask.
    tree
        Any pytree; leaves that are not arrays are skipped.
    length
        Least number of masks to return; None is added at the end.

    Raises
    ------
    ValueError
        A mask is declared for an array that the tree does not have.
    """
    leaves = [
        (jax.tree_util.keystr(path), leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        if is_array(leaf)
    ]
    unknown = sorted(set(declared) - {name for name, _ in leaves})
    if unknown:
        raise ValueError(f"NaN is declared for arrays that do not exist: {', '.join(unknown)}")
    masks: list[Mask] = [
        jnp.asarray(np.broadcast_to(declared[name], leaf.shape)) if name in declared else None
        for name, leaf in leaves
    ]
    return masks + [None] * (length - len(masks))


def mask_of_literal(literal: Literal) -> Mask:
    """Return where a literal of the program is NaN: its author declared that NaN."""
    if not is_floating(literal) or not np.any(np.isnan(np.asarray(literal.val, np.float64))):
        return None
    return jnp.isnan(jnp.asarray(literal.val))


def _masks_through_flow(
    flow: ControlFlow, equation: JaxprEqn, values: Sequence[Array], masks: Sequence[Mask]
) -> list[Mask]:
    if flow.kind == "call":
        program = flow.programs[0]
        return run_with_masks(program, program.consts, values, masks)[1]
    filled = [_filled(mask, value) for mask, value in zip(masks, values, strict=True)]
    if flow.kind == "cond":
        branches = [
            lambda values, masks, program=program: _filled_run(program, values, masks)[1]
            for program in flow.programs
        ]
        number = jnp.clip(jnp.asarray(values[0], jnp.int32), 0, len(branches) - 1)
        return list(lax.switch(number, branches, list(values[1:]), filled[1:]))
    run = _scan if flow.kind == "scan" else _while
    return run(flow, equation, list(values), filled)


def _scan(
    flow: ControlFlow, equation: JaxprEqn, values: list[Array], masks: list[Array]
) -> list[Mask]:
    first, end = flow.consts, flow.consts + flow.carry

    def body(carry: Any, slices: Any) -> Any:
        operands = [
            [*constant, *carried, *sliced]
            for constant, carried, sliced in zip(
                (values[:first], masks[:first]), carry, slices, strict=True
            )
        ]
        results, marked = _filled_run(flow.programs[0], *operands)
        return (results[: flow.carry], marked[: flow.carry]), marked[flow.carry :]

    start = (values[first:end], masks[first:end])
    carry, stacked = lax.scan(
        body,
        start,
        (values[end:], masks[end:]),
        length=equation.params["length"],
        reverse=equation.params["reverse"],
    )
    return [*carry[1], *stacked]


def _while(
    flow: ControlFlow, equation: JaxprEqn, values: list[Array], masks: list[Array]
) -> list[Mask]:
    condition = flow.condition
    assert condition is not None
    first, end = flow.condition_consts, flow.condition_consts + flow.consts

    def proceed(carry: Any) -> Array:
        return _filled_run(condition, [*values[:first], *carry[0]], None)[0][0]

    def body(carry: Any) -> Any:
        operands = [*values[first:end], *carry[0]], [*masks[first:end], *carry[1]]
        return _filled_run(flow.programs[0], *operands)

    return list(lax.while_loop(proceed, body, (values[end:], masks[end:]))[1])


def run_with_masks(
    program: Program,
    consts: Sequence[Array],
    operands: Sequence[Array],
    masks: Sequence[Mask],
    *,
    trusts_literals: bool = True,
    on_equation: Callable[[JaxprEqn, EvaluatedEquation], None] = lambda equation, evaluated: None,
) -> tuple[list[Array], list[Mask]]:
    """Evaluate a program unchanged; return its results and their masks.

    Parameters
    ----------
    program
        The program.
    consts, operands
        The values of its constants and operands.
    masks
        Where NaN is declared in the operands.
    trusts_literals
        Whether a NaN that is a literal of the program counts as declared.
    on_equation
        Called with each equation and its values after it was evaluated.
    """
    jaxpr = program.jaxpr
    known: dict[Var, Array] = dict(zip(jaxpr.constvars, consts, strict=True))
    known.update(zip(jaxpr.invars, operands, strict=True))
    marked: dict[Var, Mask] = dict(zip(jaxpr.invars, masks, strict=True))

    def read(atom: Var | Literal) -> Array:
        value: Array = atom.val if isinstance(atom, Literal) else known[atom]
        return value

    def mask_of(atom: Var | Literal) -> Mask:
        if isinstance(atom, Literal):
            return mask_of_literal(atom) if trusts_literals else None
        return marked.get(atom)

    for equation in jaxpr.eqns:
        values = [read(atom) for atom in equation.invars]
        given = [mask_of(atom) for atom in equation.invars]
        with in_place_of(equation):
            results = repeat(equation, values)
            result_masks = masks_of_results(equation, values, given)
            on_equation(equation, EvaluatedEquation(values, given, results, result_masks))
        known.update(zip(equation.outvars, results, strict=True))
        marked.update(zip(equation.outvars, result_masks, strict=True))
    return [read(atom) for atom in jaxpr.outvars], [mask_of(atom) for atom in jaxpr.outvars]


def _filled_run(
    program: Program, operands: Sequence[Array], masks: Sequence[Mask] | None
) -> tuple[list[Array], list[Array]]:
    """Run with a mask for every value, because all branches and iterations must agree.

    Otherwise as :func:`run_with_masks`.
    """
    given = masks or [None] * len(operands)
    results, marked = run_with_masks(program, program.consts, operands, given)
    return results, [_filled(mask, value) for mask, value in zip(marked, results, strict=True)]


def _filled(mask: Mask, value: Array) -> Array:
    return jnp.zeros(jnp.shape(value), jnp.bool_) if mask is None else mask
