"""Finds equations with a domain that the guard cannot reach, so that the report can list them.

The guard does not enter the condition of a ``while`` loop, because nothing can be counted there,
nor primitives that hold programs in a form that it does not know, such as ``shard_map`` over a
mesh. These programs run unchanged.
"""

from __future__ import annotations

from perfkit.guard.analysis.domains import DOMAINS
from perfkit.guard.analysis.origin import join_path
from perfkit.guard.analysis.source import origin_of
from perfkit.guard.analysis.structure import (
    Program,
    control_flow,
    held_programs,
    program_label,
)
from perfkit.guard.plan import Site


def unreachable_sites(program: Program, path: str = "") -> tuple[Site, ...]:
    """Return the equations that hold a domain where the guard cannot reach it.

    Parameters
    ----------
    program
        The program, searched through all calls, loops and branches.
    path
        Module path under which the program is reached.
    """
    found: list[Site] = []
    for equation in program.jaxpr.eqns:
        flow = control_flow(equation)
        closed = held_programs(equation) if flow is None else [flow.condition]
        if any(held is not None and _has_domain(held) for held in closed):
            origin = origin_of(equation).below(path)
            found.append(Site(equation.primitive.name, "", origin))
        for branch, held in enumerate(() if flow is None else flow.programs):
            inside = join_path(path, program_label(equation, branch))
            found.extend(unreachable_sites(held, inside))
    return tuple(found)


def _has_domain(program: Program) -> bool:
    return any(
        equation.primitive.name in DOMAINS or any(map(_has_domain, held_programs(equation)))
        for equation in program.jaxpr.eqns
    )
