"""Plans which equations of a traced program are guarded and what their bounds need.

Traits go forward through the program, the need for rounding bounds goes backward from the
guarded operands, both through all control flow. Nothing is computed here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jax.extend.core import Jaxpr, Literal, Var

from perfkit.guard.analysis.origin import Origin, join_path
from perfkit.guard.analysis.poles import Poles
from perfkit.guard.analysis.provenance import (
    carries_bounds,
    is_square,
    sums_nonnegative_terms,
)
from perfkit.guard.analysis.rules import DOMAINS, needs_lift
from perfkit.guard.analysis.source import origin_of
from perfkit.guard.analysis.structure import (
    ControlFlow,
    Program,
    control_flow,
    dtype_of,
    held_programs,
    is_floating,
    program_label,
)
from perfkit.guard.analysis.traits import (
    Trait,
    makes_difference,
    trait_of_constant,
    trait_of_result,
)

BOUND_DEPTH = 8
"""How many operations before a guarded operand its rounding bound is followed back. Behind
that, values count as known to their own precision. The differences in question are one to
four operations deep; following further costs time and widens the bound."""


@dataclasses.dataclass(frozen=True)
class Site:
    """One guarded equation, as reached through one path of calls and loops.

    Attributes
    ----------
    primitive
        The JAX primitive whose operand is guarded.
    dtype
        The operand's type.
    origin
        Where the equation was traced from.
    """

    primitive: str
    dtype: str
    origin: Origin

    def as_dict(self) -> dict[str, str | int]:
        """The equation as plain data for JSON."""
        return {
            "primitive": self.primitive,
            "dtype": self.dtype,
            **dataclasses.asdict(self.origin),
        }

    def below(self, outer: str) -> Site:
        """The same equation, reached through the module path ``outer``."""
        return dataclasses.replace(self, origin=self.origin.below(outer))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to do with one program.

    Attributes
    ----------
    program
        The program.
    guarded
        Index of each equation whose first operand is guarded -> whether something is divided
        by its result (always False where nothing is zeroed).
    summed
        Indices of the sums whose bounds are taken from their results.
    differences
        Indices of the equations in which terms may cancel.
    inner
        Equation index -> plans of the programs it holds (absent: nothing to do in there).
    depths
        The values whose bounds are computed, and how far back they are followed.
    in_depths
        The same for the program's operands, -1 where no bound is needed.
    out_depths
        The same for its results, as asked for.
    sites
        Every guarded equation in the order in which evaluation counts them.
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


def unguarded(program: Program) -> Plan:
    """The plan that repeats a program as it stands."""
    jaxpr = program.jaxpr
    none = (-1,)
    return Plan(
        program,
        {},
        frozenset(),
        frozenset(),
        {},
        {},
        none * len(jaxpr.invars),
        none * len(jaxpr.outvars),
        (),
    )


class Planner:
    """Plans programs, each distinct use of an inner program once."""

    def __init__(self, zero_rounding: bool) -> None:
        """Start without plans; :func:`perfkit.guard.analysis.rules.lift` has ``zero_rounding``."""
        self._zero_rounding = zero_rounding
        self._poles = Poles()
        self._traits: dict[Any, dict[Var, Trait]] = {}
        self._plans: dict[Any, Plan] = {}
        self._alive: list[Program] = []

    def plan(
        self,
        program: Program,
        operands: Sequence[Trait],
        out_depths: Sequence[int],
        out_divides: Sequence[bool],
    ) -> Plan:
        """Plan a program.

        Parameters
        ----------
        program
            The program.
        operands
            The traits of its operands.
        out_depths
            For each result, how far back its bound is wanted, -1 for not at all.
        out_divides
            For each result, whether something is divided by it.
        """
        key = (id(program.jaxpr), tuple(operands), tuple(out_depths), tuple(out_divides))
        if key not in self._plans:
            self._alive.append(program)
            self._plans[key] = self._plan(program, operands, tuple(out_depths), out_divides)
        return self._plans[key]

    def traits(self, program: Program, operands: Sequence[Trait]) -> dict[Var, Trait]:
        """The trait of every value of a program, from those of its operands."""
        key = (id(program.jaxpr), tuple(operands))
        if key not in self._traits:
            self._alive.append(program)
            self._traits[key] = self._infer(program, operands)
        return self._traits[key]

    def _infer(self, program: Program, operands: Sequence[Trait]) -> dict[Var, Trait]:
        jaxpr = program.jaxpr
        known: dict[Var, Trait] = dict(zip(jaxpr.invars, operands, strict=True))
        for variable, value in zip(jaxpr.constvars, program.consts, strict=True):
            known[variable] = trait_of_constant(value)
        for equation in jaxpr.eqns:
            inputs = [trait_of(known, atom) for atom in equation.invars]
            flow = control_flow(equation)
            if not equation.outvars:
                # It is there for its effect, such as printing.
                continue
            if flow is None:
                results = [trait_of_result(equation, inputs)] * len(equation.outvars)
            else:
                results = self._flow_results(flow, inputs)
            known.update(zip(equation.outvars, results, strict=True))
        return known

    def _outputs(self, program: Program, operands: Sequence[Trait]) -> list[Trait]:
        known = self.traits(program, operands)
        return [trait_of(known, atom) for atom in program.jaxpr.outvars]

    def _flow_results(self, flow: ControlFlow, inputs: Sequence[Trait]) -> list[Trait]:
        inside = self.operands_inside(flow, inputs)
        results = self._outputs(flow.programs[0], inside)
        for branch in flow.programs[1:]:
            others = self._outputs(branch, inside)
            results = [one.join(other) for one, other in zip(results, others, strict=True)]
        if flow.kind in ("scan", "while"):
            carried = inside[flow.consts : flow.consts + flow.carry]
            results[: flow.carry] = [
                one.join(other) for one, other in zip(carried, results[: flow.carry], strict=True)
            ]
        return results

    def operands_inside(self, flow: ControlFlow, inputs: Sequence[Trait]) -> list[Trait]:
        """The traits of the operands of an equation's programs, over all iterations."""
        if flow.kind == "call":
            return list(inputs)
        if flow.kind == "cond":
            return list(inputs[1:])
        inside = list(inputs[flow.condition_consts :])
        carry = slice(flow.consts, flow.consts + flow.carry)
        while True:
            results = self._outputs(flow.programs[0], inside)[: flow.carry]
            joined = [one.join(other) for one, other in zip(inside[carry], results, strict=True)]
            if joined == inside[carry]:
                return inside
            inside[carry] = joined

    def _plan(
        self,
        program: Program,
        operands: Sequence[Trait],
        out_depths: tuple[int, ...],
        out_divides: Sequence[bool],
    ) -> Plan:
        jaxpr = program.jaxpr
        known = self.traits(program, operands)
        poles = self._poles.inside(program, out_divides) if self._zero_rounding else set()
        depths: dict[Var, int] = {}
        _deepen(depths, jaxpr.outvars, out_depths)
        # Values that matter by more than their square; see sum_bound_from_result.
        beyond_square = set(_variables(jaxpr.outvars))
        guarded: dict[int, bool] = {}
        summed: set[int] = set()
        differences: set[int] = set()
        inner: dict[int, tuple[Plan, ...]] = {}
        for index in reversed(range(len(jaxpr.eqns))):
            equation = jaxpr.eqns[index]
            inputs = [trait_of(known, atom) for atom in equation.invars]
            wanted = [depths.get(out, -1) for out in equation.outvars]
            flow = control_flow(equation)
            if flow is not None:
                divides = [out in poles for out in equation.outvars]
                plans, needs = self._plan_flow(flow, inputs, wanted, divides)
                if any(plan.sites for plan in plans) or max(wanted, default=-1) >= 0:
                    inner[index] = plans
                    _deepen(depths, equation.invars, needs)
                    beyond_square.update(_variables(equation.invars))
                continue
            if makes_difference(equation, inputs):
                differences.add(index)
            matters = not beyond_square.isdisjoint(equation.outvars)
            if equation.primitive.name == "reduce_sum" and (
                not matters or sums_nonnegative_terms(equation, inputs)
            ):
                summed.add(index)
            elif max(wanted, default=-1) > 0 and carries_bounds(equation):
                _deepen(depths, equation.invars, [max(wanted) - 1] * len(equation.invars))
                if matters and not is_square(equation):
                    beyond_square.update(_variables(equation.invars))
            if needs_lift(equation, inputs, self._zero_rounding):
                guarded[index] = equation.outvars[0] in poles
                _deepen(depths, equation.invars[:1], [BOUND_DEPTH])
                beyond_square.update(_variables(equation.invars[:1]))
        return Plan(
            program,
            guarded,
            frozenset(summed),
            frozenset(differences),
            inner,
            depths,
            tuple(depths.get(variable, -1) for variable in jaxpr.invars),
            out_depths,
            _sites(jaxpr, guarded, inner),
        )

    def _plan_flow(
        self,
        flow: ControlFlow,
        inputs: Sequence[Trait],
        wanted: Sequence[int],
        divides: Sequence[bool],
    ) -> tuple[tuple[Plan, ...], list[int]]:
        """Plans of the programs of an equation, and the depths its operands need."""
        inside = self.operands_inside(flow, inputs)
        outer = list(wanted)
        divides = self._poles.results_inside(flow, divides) if self._zero_rounding else divides
        while True:
            plans = tuple(self.plan(program, inside, outer, divides) for program in flow.programs)
            needs = [max(depths) for depths in zip(*(p.in_depths for p in plans), strict=True)]
            if flow.kind not in ("scan", "while"):
                break
            carried = needs[flow.consts : flow.consts + flow.carry]
            deeper = [max(pair) for pair in zip(outer[: flow.carry], carried, strict=True)]
            if deeper == outer[: flow.carry]:
                needs[flow.consts : flow.consts + flow.carry] = deeper
                break
            outer[: flow.carry] = deeper
        before = 1 if flow.kind == "cond" else flow.condition_consts
        return plans, [-1] * before + needs


def trait_of(known: Mapping[Var, Trait], atom: Var | Literal) -> Trait:
    """The trait of a variable or a literal."""
    return trait_of_constant(atom.val) if isinstance(atom, Literal) else known[atom]


def _variables(atoms: Sequence[Var | Literal]) -> list[Var]:
    return [atom for atom in atoms if isinstance(atom, Var)]


def _deepen(depths: dict[Var, int], atoms: Sequence[Var | Literal], wanted: Sequence[int]) -> None:
    """Note for each value the deepest need; only floating-point values have bounds."""
    for atom, depth in zip(atoms, wanted, strict=True):
        if depth < 0 or isinstance(atom, Literal):
            continue
        if is_floating(atom):
            depths[atom] = max(depth, depths.get(atom, -1))


def _sites(
    jaxpr: Jaxpr, here: Mapping[int, bool], inner: Mapping[int, tuple[Plan, ...]]
) -> tuple[Site, ...]:
    sites: list[Site] = []
    for index, equation in enumerate(jaxpr.eqns):
        origin = origin_of(equation) if index in here or index in inner else None
        if origin is not None and index in here:
            operand = dtype_of(equation.invars[0])
            sites.append(Site(equation.primitive.name, str(operand), origin))
        if origin is not None and index in inner:
            for branch, plan in enumerate(inner[index]):
                path = join_path(origin.module_path, program_label(equation, branch))
                sites.extend(site.below(path) for site in plan.sites)
    return tuple(sites)


def closed_sites(program: Program, path: str = "") -> tuple[Site, ...]:
    """Equations with a domain inside of what the guard does not enter: it runs as it stands.

    That is the condition of a ``while`` loop, where nothing can be counted, and primitives that
    hold programs in ways not known here, such as ``shard_map`` over a mesh.
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
            found.extend(closed_sites(held, inside))
    return tuple(found)


def _has_domain(program: Program) -> bool:
    return any(
        equation.primitive.name in DOMAINS or any(map(_has_domain, held_programs(equation)))
        for equation in program.jaxpr.eqns
    )
