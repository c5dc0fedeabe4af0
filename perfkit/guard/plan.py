"""The plan of a guarded program: which equations are guarded, and which bounds they need.

For ``lambda a, b: jnp.sqrt(a - b)`` the plan guards the ``sqrt``, marks the ``sub`` as a
difference, and requires the rounding bounds of ``a - b``, ``a`` and ``b``. A plan is plain data.
:mod:`perfkit.guard.planner` makes it from the traced program, and
:mod:`perfkit.guard.interpreter` carries it out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from jax.extend.core import Var

from perfkit.guard.analysis.origin import Origin
from perfkit.guard.analysis.structure import Program


@dataclasses.dataclass(frozen=True)
class Site:
    """One guarded equation, reached through one path of calls and loops.

    Attributes
    ----------
    primitive
        The JAX primitive whose operand is guarded, for example ``sqrt``.
    dtype
        The operand's dtype.
    origin
        The source line that the equation was traced from.
    """

    primitive: str
    dtype: str
    origin: Origin

    def as_dict(self) -> dict[str, str | int]:
        """Return the site as plain data for JSON."""
        return {
            "primitive": self.primitive,
            "dtype": self.dtype,
            **dataclasses.asdict(self.origin),
        }

    def below(self, outer: str) -> Site:
        """Return the same site, reached through the module path ``outer``."""
        return dataclasses.replace(self, origin=self.origin.below(outer))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the interpreter does with one program.

    The *depth* of a value is the number of operations through which its rounding bound is followed
    further back. A guarded operand has the largest depth, the operands of the equation that made
    it have a depth of one less, and so on. At depth 0 the bound follows from precision alone: that
    of the value, or of its factors if it is a product. Depth -1 means that no bound is needed.

    Attributes
    ----------
    program
        The program.
    guarded
        Index of each equation whose first operand is guarded, mapped to whether the program
        divides by its result (always False if the guard does not zero differences).
    summed
        Indices of the sums whose bounds are computed from their results.
    differences
        Indices of the equations in which terms may cancel.
    inner
        Index of each control-flow equation that needs work, mapped to the plans of the programs
        that it holds.
    depths
        Depth of each value that needs a bound.
    in_depths
        Depth of each operand of the program.
    out_depths
        Depth of each result of the program, which its caller chooses.
    sites
        Every guarded equation, in the order in which the interpreter counts them.
    """

    program: Program
    guarded: Mapping[int, bool]
    summed: frozenset[int]
    differences: frozenset[int]
    inner: Mapping[int, tuple[Plan, ...]]
    depths: Mapping[Var, int]
    in_depths: tuple[int, ...]
    out_depths: tuple[int, ...]
    sites: tuple[Site, ...]


def plan_without_guard(program: Program) -> Plan:
    """Return the plan that runs a program unchanged."""
    jaxpr = program.jaxpr
    return Plan(
        program=program,
        guarded={},
        summed=frozenset(),
        differences=frozenset(),
        inner={},
        depths={},
        in_depths=(-1,) * len(jaxpr.invars),
        out_depths=(-1,) * len(jaxpr.outvars),
        sites=(),
    )
