"""Finds the equation in which the first bad value of a function arises.

The search takes minutes on a real model, because the program stays compiled. At each level, one
compiled run shows which equation made the bad value from good ones. If that equation holds
programs itself (a call, a loop, a branch), the search fetches its operands and continues inside;
it runs a loop one compiled iteration at a time, up to the first bad iteration.

Whether a product or quotient is bad is computed from its operands. A second use of the result would
keep the compiler from contracting it into a fused multiply-add, and without the contraction the
fault might vanish (see :mod:`perfkit.guard.analysis.bounds`).

Example: for ``jax.jit(lambda x: 1 + jnp.sqrt(x - 2))`` at ``x = 1``, the first level finds the
``jit`` equation, and the second level finds ``sqrt`` with the operand -1.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import JaxprEqn, Var

from perfkit.answers.finite import NOTHING_DECLARED, DeclaredNan
from perfkit.diagnose.locate.bad_values import (
    bad_elements,
    compiled_run,
    first_cause,
    floating_results,
    has_bad_element,
    unmasked,
)
from perfkit.diagnose.locate.declared_nan import (
    EvaluatedEquation,
    Mask,
    masks_by_path,
    run_with_masks,
)
from perfkit.diagnose.locate.finding import Finding, Kind, Operand
from perfkit.diagnose.locate.loops import Loop, first_bad_iteration
from perfkit.guard.analysis.bounds import float_limits, is_product
from perfkit.guard.analysis.origin import Origin, join_path
from perfkit.guard.analysis.source import origin_of
from perfkit.guard.analysis.structure import (
    ControlFlow,
    Program,
    as_program,
    control_flow,
    is_floating,
    program_label,
)
from perfkit.guard.transform import Traced

_KINDS: tuple[Kind, ...] = ("nan", "inf")


def locate_in_function(
    function: Callable[..., object],
    *args: Any,
    declared: DeclaredNan = NOTHING_DECLARED,
    **kwargs: Any,
) -> Finding | None:
    """Find the first NaN that reaches the result; without NaN, the first infinity.

    Parameters
    ----------
    function
        Any function that JAX can trace.
    *args, **kwargs
        Its concrete arguments.
    declared
        Where the model declares NaN. Declared NaN is followed through the program and ignored
        until it leaks into other elements.

    Returns
    -------
    Finding or None
        None if the result is finite. A bad value that the program masks again is not found.
    """
    traced = Traced.of(function, args, kwargs)
    program = as_program(traced.closed)
    without_masks = unmasked(traced.arrays)
    results, _ = compiled_run(program)(program.consts, traced.arrays, without_masks)
    result_masks = masks_by_path(
        declared.results, jax.tree_util.tree_unflatten(traced.out_tree, results)
    )
    masks = masks_by_path(declared.arguments, args, length=len(traced.arrays))
    for kind in _KINDS:
        wanted = [
            has_bad_element(kind, value, mask)
            for value, mask in zip(results, result_masks, strict=True)
        ]
        if not any(wanted):
            continue
        start = _Start(program, traced.arrays, masks, wanted)
        found = _Search(kind, trusts_literals=bool(declared.results)).inside(start)
        # A result may be bad although every NaN on its way was declared: the NaN was moved to an
        # element where none belongs. It is then followed back like any other.
        undeclared = dataclasses.replace(start, masks=without_masks)
        return found or _Search(kind, trusts_literals=False).inside(undeclared)
    return None


@dataclasses.dataclass(frozen=True)
class _Start:
    """A program to search.

    Attributes
    ----------
    program
        The program.
    operands, masks
        Its operands, and where NaN is declared in them.
    wanted
        For each of its results, whether the search follows it back.
    path
        Module path under which the program is reached.
    iterations
        The loops around it, outermost first: module path and iteration.
    """

    program: Program
    operands: Sequence[Array]
    masks: Sequence[Mask]
    wanted: Sequence[bool]
    path: str = ""
    iterations: tuple[tuple[str, int], ...] = ()


class _Search:
    """The search for one kind of bad value.

    Parameters
    ----------
    kind
        The kind.
    trusts_literals
        Whether a NaN that is a literal of the program counts as declared.
    """

    def __init__(self, kind: Kind, *, trusts_literals: bool) -> None:
        self._kind = kind
        self._trusts_literals = trusts_literals
        self._run = functools.partial(run_with_masks, trusts_literals=trusts_literals)

    def inside(self, start: _Start) -> Finding | None:
        """Search a program; None if its wanted results turn out to be good."""
        program, jaxpr = start.program, start.program.jaxpr
        variables = [*jaxpr.constvars, *jaxpr.invars]
        given = zip(
            variables,
            [*program.consts, *start.operands],
            [*unmasked(program.consts), *start.masks],
            strict=True,
        )
        bad = {
            variable
            for variable, value, mask in given
            if is_floating(variable) and has_bad_element(self._kind, value, mask)
        }
        find_flags = jax.jit(self._flags(program))
        flags = np.asarray(find_flags(program.consts, list(start.operands), list(start.masks)))
        results = floating_results(program)
        bad.update(result for result, flag in zip(results, flags, strict=True) if flag)
        ends = [
            atom
            for atom, is_wanted in zip(jaxpr.outvars, start.wanted, strict=True)
            if is_wanted and isinstance(atom, Var)
        ]
        cause = first_cause(program, bad, ends)
        if cause is None:
            return None
        if isinstance(cause, Var):
            label = f"argument {variables.index(cause) - len(jaxpr.constvars)}"
            origin = Origin("unknown", 0, "", join_path(start.path, label))
            return Finding(self._kind, "argument", "argument", origin, start.iterations)
        return self._at(start, cause, bad)

    def _at(self, start: _Start, index: int, bad: set[Var]) -> Finding:
        """Return the finding at one equation of a program, or inside it."""
        equation = start.program.jaxpr.eqns[index]
        evaluate = jax.jit(self._evaluation_of(start.program, index))
        evaluated = evaluate(start.program.consts, list(start.operands), list(start.masks))
        flow = control_flow(equation)
        if flow is not None:
            wanted = [out in bad for out in equation.outvars]
            deeper = self._into(start, equation, flow, evaluated, wanted)
            if deeper is not None:
                return deeper
        first = self._first_bad_element(evaluated)
        return Finding(
            self._kind,
            "found" if flow is None else "inside",
            equation.primitive.name,
            origin_of(equation).below(start.path),
            start.iterations,
            first[1] if first else (),
            tuple(_operand(value, first) for value in evaluated.values) if flow is None else (),
        )

    def _into(
        self,
        start: _Start,
        equation: JaxprEqn,
        flow: ControlFlow,
        evaluated: EvaluatedEquation,
        wanted: list[bool],
    ) -> Finding | None:
        """Search the programs of a control-flow equation."""
        values, masks = evaluated.values, evaluated.masks
        branch = 0
        if flow.kind == "cond":
            branch = int(np.clip(int(values[0]), 0, len(flow.programs) - 1))
            values, masks = values[1:], masks[1:]
        outer = join_path(start.path, str(equation.source_info.name_stack))
        path = join_path(outer, program_label(equation, branch))
        inner = _Start(flow.programs[branch], values, masks, wanted, path, start.iterations)
        if not flow.is_loop:
            return self.inside(inner)
        loop = Loop(equation, flow, values, masks, wanted)
        found = first_bad_iteration(loop, self._kind, self._trusts_literals)
        if found is None:
            return None
        return self.inside(
            dataclasses.replace(
                inner,
                operands=found.operands,
                masks=found.masks,
                wanted=found.wanted,
                iterations=(*start.iterations, (path, found.number)),
            )
        )

    def _flags(self, program: Program) -> Callable[..., Array]:
        """Return a function of constants, operands and masks that finds the bad results.

        Its result has one flag for each of ``floating_results``.
        """

        def flags(consts: Sequence[Array], operands: list[Array], masks: list[Mask]) -> Array:
            found: list[Array] = [jnp.zeros((0,), jnp.bool_)]

            def add_flags(equation: JaxprEqn, evaluated: EvaluatedEquation) -> None:
                for out, result, mask in zip(
                    equation.outvars, evaluated.results, evaluated.result_masks, strict=True
                ):
                    if is_floating(out):
                        found.append(self._flag(equation, evaluated.values, result, mask)[None])

            self._run(program, consts, operands, masks, on_equation=add_flags)
            return jnp.concatenate(found)

        return flags

    def _flag(self, equation: JaxprEqn, values: list[Array], result: Array, mask: Mask) -> Array:
        tested = _product_apart(equation, values, result.dtype) if is_product(equation) else result
        return jnp.any(bad_elements(self._kind, tested, mask))

    def _evaluation_of(self, program: Program, index: int) -> Callable[..., EvaluatedEquation]:
        """Return a function that runs a program and returns the values of one equation."""
        wanted = program.jaxpr.eqns[index]

        def run(
            consts: Sequence[Array], operands: list[Array], masks: list[Mask]
        ) -> EvaluatedEquation:
            found: list[EvaluatedEquation] = []

            def keep(equation: JaxprEqn, evaluated: EvaluatedEquation) -> None:
                if equation is wanted:
                    values = [jnp.asarray(value) for value in evaluated.values]
                    found.append(evaluated._replace(values=values))

            self._run(program, consts, operands, masks, on_equation=keep)
            return found[0]

        return run

    def _first_bad_element(
        self, evaluated: EvaluatedEquation
    ) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Return the shape of the first bad result and the position of its first bad element."""
        for value, mask in zip(evaluated.results, evaluated.result_masks, strict=True):
            if has_bad_element(self._kind, value, mask):
                positions = np.argwhere(np.asarray(bad_elements(self._kind, value, mask)))
                return value.shape, tuple(int(index) for index in positions[0])
        return None


def _product_apart(equation: JaxprEqn, values: list[Array], dtype: Any) -> Array:
    """Return an array that is bad exactly where a product or quotient is, without using its result.

    The array holds half the magnitude, so that XLA does not merge it with the product itself. Half
    of a product that overflows may be finite: above half the largest finite number, it counts as
    infinite.
    """
    first, other = 0.5 * jnp.abs(values[0]), jnp.abs(values[-1])
    is_quotient = equation.primitive.name == "div"
    half = first / other if is_quotient else first * other ** (equation.params.get("y", 2) - 1)
    return jnp.where(half > float(float_limits(dtype).max) / 2, jnp.inf, half)


def _operand(value: Array, first: tuple[tuple[int, ...], tuple[int, ...]] | None) -> Operand:
    """Describe an operand, given the shape and position of the first bad element."""
    is_numeric = jnp.issubdtype(value.dtype, jnp.number) and value.size > 0
    at_fault: float | None = None
    if is_numeric and value.ndim == 0:
        at_fault = float(value)
    elif is_numeric and first is not None and value.shape == first[0]:
        at_fault = float(value[first[1]])
    return Operand(
        tuple(value.shape),
        str(value.dtype),
        float(jnp.min(value)) if is_numeric else float("nan"),
        float(jnp.max(value)) if is_numeric else float("nan"),
        at_fault,
    )
