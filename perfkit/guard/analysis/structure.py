"""Reads the control flow of a traced program: which equations hold programs of their own.

How JAX stores these programs has changed between releases; only this module depends on it.
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
        "perfkit_kernel",
    }
)
"""Primitives that run one program on their operands, unchanged."""

NATIVE = "perfkit_kernel"
"""The call among :data:`CALLS` that stands for its program: a native kernel, which computes the
same. Rebuilding it loses the kernel."""

REMATERIALISED = frozenset({"remat2", "checkpoint", "remat"})
"""The calls among :data:`CALLS` whose intermediate values are recomputed for derivatives."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A jaxpr with the values of its constants.

    Attributes
    ----------
    jaxpr
        The jaxpr.
    consts
        The values of its ``constvars``, in order.
    """

    jaxpr: Jaxpr
    consts: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class ControlFlow:
    """An equation that holds programs.

    Attributes
    ----------
    kind
        ``call``: one program on all operands. ``scan``: the operands are constants, carry and
        slices. ``while``: the operands are constants of the condition, constants of the body and
        carry. ``cond``: the operands are the branch index and the operands of every branch.
    programs
        The body; for ``cond`` the branches by index.
    condition
        The condition of a ``while``, else None.
    consts, condition_consts, carry
        Number of operands that are constants of the body, constants of the condition, and carry.
    """

    kind: typing.Literal["call", "scan", "while", "cond"]
    programs: tuple[Program, ...]
    condition: Program | None = None
    consts: int = 0
    condition_consts: int = 0
    carry: int = 0

    @property
    def is_loop(self) -> bool:
        """Whether the body runs repeatedly and passes a carry on."""
        return self.kind in ("scan", "while")

    @property
    def leading_operands(self) -> int:
        """Number of the equation's first operands that the programs do not take."""
        return 1 if self.kind == "cond" else self.condition_consts


def as_program(closed: Any) -> Program:
    """Return the jaxpr and constants of a ``Jaxpr`` or ``ClosedJaxpr``, whichever JAX stores."""
    return Program(getattr(closed, "jaxpr", closed), tuple(getattr(closed, "consts", ())))


def control_flow(equation: JaxprEqn) -> ControlFlow | None:
    """Return the control flow of an equation, or None if it holds no program known here."""
    name, parameters = equation.primitive.name, equation.params
    if name == "scan":
        consts, carry = _scan_counts(parameters)
        return ControlFlow("scan", (as_program(parameters["jaxpr"]),), consts=consts, carry=carry)
    if name == "while":
        body_consts, condition_consts = parameters["body_nconsts"], parameters["cond_nconsts"]
        return ControlFlow(
            "while",
            (as_program(parameters["body_jaxpr"]),),
            condition=as_program(parameters["cond_jaxpr"]),
            consts=body_consts,
            condition_consts=condition_consts,
            carry=len(equation.invars) - body_consts - condition_consts,
        )
    if name == "cond":
        return ControlFlow("cond", tuple(as_program(branch) for branch in parameters["branches"]))
    if name in CALLS:
        held = next(
            (parameters[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in parameters),
            None,
        )
        if held is not None:
            program = as_program(held)
            if len(program.jaxpr.invars) == len(equation.invars):
                return ControlFlow("call", (program,))
    return None


def held_programs(equation: JaxprEqn) -> list[Program]:
    """Return every program among an equation's parameters, also of unknown primitives."""
    listed = [
        held
        for value in equation.params.values()
        for held in (value if isinstance(value, (tuple, list)) else (value,))
    ]
    programs = [as_program(held) for held in listed]
    return [program for program in programs if isinstance(program.jaxpr, Jaxpr)]


def call_label(equation: JaxprEqn) -> str:
    """Return what JAX adds to the name stack inside a call: ``jit(name)``, else nothing."""
    name = equation.params.get("name")
    is_jit = equation.primitive.name in ("jit", "pjit")
    return f"jit({name})" if is_jit and name else ""


def program_label(equation: JaxprEqn, branch: int) -> str:
    """Return the part of the module path that leads into a program of an equation.

    For example ``scan/body`` or ``cond/branch_1``.
    """
    name = equation.primitive.name
    return {
        "scan": "scan/body",
        "while": "while/body",
        "cond": f"cond/branch_{branch}",
    }.get(name) or call_label(equation)


def repeat(equation: JaxprEqn, values: Sequence[Array]) -> list[Array]:
    """Bind an equation's primitive to other operands, with the equation's parameters."""
    primitive: Any = equation.primitive
    results = primitive.bind(*values, **primitive.get_bind_params(equation.params))
    return list(results) if primitive.multiple_results else [results]


def dtype_of(atom: Var | Literal) -> Any:
    """Return the dtype of a variable or literal; None for a token, which has no dtype."""
    return getattr(atom.aval, "dtype", None)


def is_floating(atom: Var | Literal) -> bool:
    """Return whether a variable or literal has a real floating-point dtype."""
    dtype = dtype_of(atom)
    return dtype is not None and bool(jnp.issubdtype(dtype, jnp.floating))


def _scan_counts(parameters: dict[str, Any]) -> tuple[int, int]:
    """Return the number of constants and of carried values of a scan."""
    if "num_consts" in parameters:
        return parameters["num_consts"], parameters["num_carry"]
    parts: Sequence[Any] = parameters["ft_in"].unpack()
    return len(parts[0]), len(parts[1])
