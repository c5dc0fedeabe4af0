"""Counts the matrix products of a traced program, with the paths that they have in its HLO."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from perfkit.guard.analysis.origin import in_hlo, join_path
from perfkit.observers.products.product import Product

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

    from perfkit.guard.analysis.structure import Program

KERNEL_PRIMITIVE = "perfkit_kernel"
"""Primitive of a native kernel. Its products are those of the JAX form among its parameters."""

_CALL = re.compile(
    r"p?jit\(.*\)|eval_jaxpr|closed_call|core_call|checkpoint|remat2?|composite|"
    r"custom_(jvp_call|vjp_call|vjp_call_jaxpr|vmap_call)"
)
"""Names of :data:`perfkit.guard.analysis.structure.CALLS` in the paths of HLO."""

_BRANCH = re.compile(r"(branch_\d+)_fun")


@dataclass(frozen=True)
class CountedProduct:
    """One product of a program.

    Attributes
    ----------
    product
        Its shape.
    path
        Path of the operation, see :func:`plain_path`.
    times
        How often a pass computes it, as far as the program states it: once per call of the program
        and iteration of a ``scan``. The body of a ``while`` loop counts once; of the branches of a
        ``cond`` only the one with the most work counts.
    certain
        Whether it is in no ``while`` loop and in no branch.
    kernel
        Path of the native kernel that computes it; empty if XLA does.
    repeats
        How often one run of the kernel computes it; 1 without a kernel.
    call
        Which of the program's calls of native kernels computes it, counted from 1; 0 without a
        kernel. Several calls may have the same path.
    """

    product: Product
    path: str
    times: int
    certain: bool = True
    kernel: str = ""
    repeats: int = 1
    call: int = 0


COUNTED = TypeAdapter(list[CountedProduct])


def products_of(program: Program, calls: int = 1) -> list[CountedProduct]:
    """The products of a program, in its order.

    Parameters
    ----------
    program
        The program. Programs that its equations hold (calls, loops, branches and the JAX forms of
        native kernels) are followed.
    calls
        How often a pass calls the program.
    """
    return list(_products(program, _Around(times=calls), itertools.count(1)))


def write_products(
    file: Path, function: Callable[..., Any], arguments: Sequence[Any], calls: int
) -> None:
    """Count the products of a function and write them to a file for :func:`read_products`.

    JAX keeps the trace of a function that was compiled before, so that this takes little time.
    """
    import jax

    from perfkit.guard.analysis.structure import as_program

    program = as_program(jax.make_jaxpr(function)(*arguments))
    file.write_text(json.dumps([asdict(each) for each in products_of(program, calls)]))


def read_products(file: Path) -> list[CountedProduct]:
    """The products that :func:`write_products` wrote; none if it did not write any."""
    return COUNTED.validate_json(file.read_bytes()) if file.exists() else []


def plain_path(op_name: str) -> str:
    """The path of an operation, equal for the traced program and for its optimised HLO.

    JAX adds the names of calls to the paths in HLO. They are removed.
    """
    parts = (_BRANCH.sub(r"\1", part) for part in op_name.split("/"))
    return in_hlo("/".join(part for part in parts if not _CALL.fullmatch(part)))


@dataclass(frozen=True)
class _Around:
    """What surrounds a program: path, and the values of :class:`CountedProduct`."""

    path: str = ""
    times: int = 1
    certain: bool = True
    kernel: str = ""
    repeats: int = 1
    call: int = 0


def _products(
    program: Program, around: _Around, numbers: Iterator[int]
) -> Iterator[CountedProduct]:
    """The products of a program; ``numbers`` numbers the calls of kernels."""
    for equation in program.jaxpr.eqns:
        path = join_path(around.path, str(equation.source_info.name_stack))
        if equation.primitive.name == "dot_general":
            yield CountedProduct(
                _product(equation),
                plain_path(join_path(path, "dot_general")),
                around.times,
                around.certain,
                around.kernel,
                around.repeats,
                around.call,
            )
        else:
            yield from _products_inside(equation, replace(around, path=path), numbers)


def _products_inside(
    equation: JaxprEqn, around: _Around, numbers: Iterator[int]
) -> Iterator[CountedProduct]:
    """The products of the programs that an equation holds."""
    from perfkit.guard.analysis.structure import held_programs, program_label

    name = equation.primitive.name
    programs = held_programs(equation)
    if name == "scan":
        runs = equation.params["length"]
        repeats = around.repeats * runs if around.kernel else 1
        around = replace(around, times=around.times * runs, repeats=repeats)
    elif name in ("cond", "while"):
        around = replace(around, certain=False)
    elif name == KERNEL_PRIMITIVE:
        kernel = plain_path(join_path(around.path, name))
        around = replace(around, kernel=kernel, call=next(numbers))
    found = [
        list(
            _products(
                inside,
                replace(around, path=join_path(around.path, program_label(equation, place))),
                numbers,
            )
        )
        for place, inside in enumerate(programs)
    ]
    for branch in _heaviest_counts(found) if name == "cond" else found:
        yield from branch


def _heaviest_counts(branches: list[list[CountedProduct]]) -> list[list[CountedProduct]]:
    """The products of all branches; those of all branches but the heaviest count zero times."""
    work = [sum(one.times * one.product.flop for one in branch) for branch in branches]
    heaviest = work.index(max(work))
    return [
        branch if place == heaviest else [replace(one, times=0) for one in branch]
        for place, branch in enumerate(branches)
    ]


def _product(equation: JaxprEqn) -> Product:
    """The shape of a ``dot_general`` without axes of size 1, which change nothing but the name."""
    operands: list[Any] = [operand.aval for operand in equation.invars]
    result: Any = equation.outvars[0].aval
    contracted, batched = equation.params["dimension_numbers"]
    kept = [
        {axis: place for place, axis in enumerate(_long_axes(operand.shape))}
        for operand in operands
    ]
    sides = [
        tuple(
            tuple(places[axis] for axis in axes if axis in places)
            for places, axes in zip(kept, given, strict=True)
        )
        for given in (contracted, batched)
    ]
    shapes = [tuple(int(size) for size in operand.shape if size != 1) for operand in operands]
    return Product(
        left=shapes[0],
        right=shapes[1],
        contracted=(sides[0][0], sides[0][1]),
        batched=(sides[1][0], sides[1][1]),
        left_type=str(operands[0].dtype),
        right_type=str(operands[1].dtype),
        result_type=str(result.dtype),
    )


def _long_axes(shape: Sequence[int]) -> list[int]:
    return [axis for axis, size in enumerate(shape) if size != 1]
