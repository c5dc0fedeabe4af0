"""Reads the control flow of a traced program: which equations hold programs of their own.

JAX has changed how it stores these between releases; only this module knows how.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

CALLS = frozenset(
    {
        "jit",
        "pjit",
        "closed_call",
        "composite",
        "core_call",
        "eval_jaxpr",
        "remat2",
        "checkpoint",
        "remat",
        "custom_jvp_call",
        "custom_vjp_call",
        "custom_vjp_call_jaxpr",
        "custom_vmap_call",
        "xla_metadata_call",
    }
)
"""Primitives that run one program on their operands, as they are."""

REMATERIALISED = frozenset({"remat2", "checkpoint", "remat"})
"""The calls among :data:`CALLS` whose intermediates are computed again for derivatives."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A jaxpr with the values of its constants."""

    jaxpr: Jaxpr
    consts: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class ControlFlow:
    """An equation that holds programs.

    Attributes
    ----------
    kind
        ``call``: one program on all operands. ``scan``: operands are constants, carry, slices.
        ``while``: operands are constants of the condition, constants of the body, carry.
        ``cond``: operands are the branch index and the operands of every branch.
    programs
        The body; for ``cond`` the branches by index.
    condition
        The condition of a ``while``.
    consts, condition_consts, carry
        How many operands are constants of the body, constants of the condition, and carry.
    """

    kind: typing.Literal["call", "scan", "while", "cond"]
    programs: tuple[Program, ...]
    condition: Program | None = None
    consts: int = 0
    condition_consts: int = 0
    carry: int = 0


def opened(closed: Any) -> Program:
    """The jaxpr and constants of a ``Jaxpr`` or ``ClosedJaxpr``, whichever JAX stores."""
    return Program(getattr(closed, "jaxpr", closed), tuple(getattr(closed, "consts", ())))


def control_flow(equation: JaxprEqn) -> ControlFlow | None:
    """What an equation holds, or None when it holds no program that this module knows."""
    name, parameters = equation.primitive.name, equation.params
    if name == "scan":
        consts, carry = _scan_counts(parameters)
        return ControlFlow("scan", (opened(parameters["jaxpr"]),), consts=consts, carry=carry)
    if name == "while":
        body_consts, condition_consts = parameters["body_nconsts"], parameters["cond_nconsts"]
        return ControlFlow(
            "while",
            (opened(parameters["body_jaxpr"]),),
            condition=opened(parameters["cond_jaxpr"]),
            consts=body_consts,
            condition_consts=condition_consts,
            carry=len(equation.invars) - body_consts - condition_consts,
        )
    if name == "cond":
        return ControlFlow("cond", tuple(opened(branch) for branch in parameters["branches"]))
    if name in CALLS:
        held = next(
            (parameters[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in parameters),
            None,
        )
        if held is not None:
            program = opened(held)
            if len(program.jaxpr.invars) == len(equation.invars):
                return ControlFlow("call", (program,))
    return None


def held_programs(equation: JaxprEqn) -> list[Program]:
    """Every program among an equation's parameters, also of primitives not known here."""
    listed = [
        held
        for value in equation.params.values()
        for held in (value if isinstance(value, (tuple, list)) else (value,))
    ]
    programs = [opened(held) for held in listed]
    return [program for program in programs if isinstance(program.jaxpr, Jaxpr)]


def call_label(equation: JaxprEqn) -> str:
    """What JAX would add to the name stack inside a call: ``jit(name)``, else nothing."""
    name = equation.params.get("name")
    is_jit = equation.primitive.name in ("jit", "pjit")
    return f"jit({name})" if is_jit and name else ""


def program_label(equation: JaxprEqn, branch: int) -> str:
    """What to add to a module path on the way into an equation's program."""
    name = equation.primitive.name
    return {
        "scan": "scan/body",
        "while": "while/body",
        "cond": f"cond/branch_{branch}",
    }.get(name) or call_label(equation)


def repeat(equation: JaxprEqn, values: Sequence[Array]) -> list[Array]:
    """Bind an equation's primitive to other operands, with its own parameters."""
    primitive: Any = equation.primitive
    results = primitive.bind(*values, **primitive.get_bind_params(equation.params))
    return list(results) if primitive.multiple_results else [results]


def dtype_of(atom: Var | Literal) -> Any:
    """The dtype of a variable or literal; None for what has none, such as a token."""
    return getattr(atom.aval, "dtype", None)


def is_floating(atom: Var | Literal) -> bool:
    """Whether a variable or literal is of a real floating type."""
    dtype = dtype_of(atom)
    return dtype is not None and bool(jnp.issubdtype(dtype, jnp.floating))


def _scan_counts(parameters: dict[str, Any]) -> tuple[int, int]:
    """Number of constants and of carried values of a scan."""
    if "num_consts" in parameters:
        return parameters["num_consts"], parameters["num_carry"]
    parts: Sequence[Any] = parameters["ft_in"].unpack()
    return len(parts[0]), len(parts[1])
