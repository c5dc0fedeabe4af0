"""Plans which equations of a traced program are guarded and which bounds they need.

Traits are inferred forward (:mod:`perfkit.guard.analysis.inference`); the need for rounding
bounds is followed backward from the guarded operands. Both pass through all control flow. The
planner only looks at the traced program and computes no values.

Example: in ``sqrt(y)`` with ``y = u - v`` and ``u = a * a``, the operand ``y`` has depth 8
(:data:`BOUND_DEPTH`), ``u`` and ``v`` have depth 7, and ``a`` has depth 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

from perfkit.guard.analysis.bounds import carries_bounds, is_square, sums_nonnegative_terms
from perfkit.guard.analysis.domains import needs_lift
from perfkit.guard.analysis.inference import TraitInference, trait_of
from perfkit.guard.analysis.origin import join_path
from perfkit.guard.analysis.poles import Poles
from perfkit.guard.analysis.source import origin_of
from perfkit.guard.analysis.structure import (
    NATIVE,
    ControlFlow,
    Program,
    control_flow,
    dtype_of,
    is_floating,
    program_label,
)
from perfkit.guard.analysis.traits import Trait, makes_difference
from perfkit.guard.plan import Plan, Site

BOUND_DEPTH = 8
"""How many operations before a guarded operand its rounding bound is followed back.

Values further back count as known to their own precision. The differences in question are one to
four operations deep; following further back costs time and widens the bound."""


class Planner:
    """Plans programs, once for each distinct use of an inner program.

    Parameters
    ----------
    zero_rounding
        Whether the guard zeroes differences that are positive only by rounding, see
        :func:`perfkit.guard.transform.guard`.
    """

    def __init__(self, zero_rounding: bool) -> None:
        self._zero_rounding = zero_rounding
        self._poles = Poles()
        self._inference = TraitInference()
        self._plans: dict[Any, Plan] = {}
        # The keys hold ids of jaxprs, which stay unique only while the programs exist.
        self._alive: list[Program] = []

    def plan(
        self,
        program: Program,
        operands: Sequence[Trait],
        out_depths: Sequence[int],
        out_divisors: Sequence[bool],
    ) -> Plan:
        """Return the plan of a program.

        Parameters
        ----------
        program
            The program.
        operands
            The traits of its operands.
        out_depths
            For each result, how many operations its bound is followed back; -1 if no bound is
            needed.
        out_divisors
            For each result, whether the caller divides by it.
        """
        key = (id(program.jaxpr), tuple(operands), tuple(out_depths), tuple(out_divisors))
        if key not in self._plans:
            self._alive.append(program)
            known = self._inference.traits(program, operands)
            poles = self._poles.inside(program, out_divisors) if self._zero_rounding else set()
            pass_ = _BackwardPass(self, program, known, poles, tuple(out_depths))
            self._plans[key] = pass_.plan()
        return self._plans[key]

    def needs_lift(self, equation: JaxprEqn, inputs: Sequence[Trait]) -> bool:
        """Return whether an equation is guarded, see :mod:`perfkit.guard.analysis.domains`."""
        return needs_lift(equation, inputs, self._zero_rounding)

    def plan_flow(
        self,
        flow: ControlFlow,
        inputs: Sequence[Trait],
        depths: Sequence[int],
        divisors: Sequence[bool],
    ) -> tuple[tuple[Plan, ...], list[int]]:
        """Return the plans of an equation's programs, and the depths that its operands need.

        Parameters
        ----------
        flow
            The control flow of the equation.
        inputs
            The traits of its operands.
        depths
            The depth that each of its results needs.
        divisors
            For each result, whether the program divides by it.
        """
        inside = self._inference.operands_inside(flow, inputs)
        outer = list(depths)
        divisors = self._poles.results_inside(flow, divisors) if self._zero_rounding else divisors
        carry = slice(flow.consts, flow.consts + flow.carry)
        while True:
            plans = tuple(self.plan(program, inside, outer, divisors) for program in flow.programs)
            needs = deepest([plan.in_depths for plan in plans])
            if not flow.is_loop:
                break
            # The next iteration needs of the carry what this one's operands need.
            deeper = deepest([outer[: flow.carry], needs[carry]])
            if deeper == outer[: flow.carry]:
                needs[carry] = deeper
                break
            outer[: flow.carry] = deeper
        return plans, [-1] * flow.leading_operands + needs


class _BackwardPass:
    """One program, from its results back to its operands.

    Parameters
    ----------
    planner
        Plans the programs that equations hold.
    program
        The program.
    traits
        The trait of each of its values.
    poles
        The values that the program divides by.
    out_depths
        Depth of each result.
    """

    def __init__(
        self,
        planner: Planner,
        program: Program,
        traits: Mapping[Var, Trait],
        poles: set[Var],
        out_depths: tuple[int, ...],
    ) -> None:
        self._planner = planner
        self._program = program
        self._traits = traits
        self._poles = poles
        self._out_depths = out_depths
        self._depths: dict[Var, int] = {}
        # Values that matter by more than their square; see sum_bound_from_result.
        self._beyond_square: set[Var] = set()
        self._guarded: dict[int, bool] = {}
        self._summed: set[int] = set()
        self._differences: set[int] = set()
        self._inner: dict[int, tuple[Plan, ...]] = {}

    def plan(self) -> Plan:
        jaxpr = self._program.jaxpr
        self._deepen(jaxpr.outvars, self._out_depths)
        self._matters_beyond_square(jaxpr.outvars)
        for index in reversed(range(len(jaxpr.eqns))):
            equation = jaxpr.eqns[index]
            inputs = [trait_of(self._traits, atom) for atom in equation.invars]
            flow = control_flow(equation)
            if flow is None:
                self._visit_plain(index, equation, inputs)
            else:
                self._visit_flow(index, equation, flow, inputs)
        return Plan(
            program=self._program,
            guarded=self._guarded,
            summed=frozenset(self._summed),
            differences=frozenset(self._differences),
            inner=self._inner,
            depths=self._depths,
            in_depths=tuple(self._depths.get(variable, -1) for variable in jaxpr.invars),
            out_depths=self._out_depths,
            sites=_sites(jaxpr, self._guarded, self._inner),
        )

    def _visit_flow(
        self, index: int, equation: JaxprEqn, flow: ControlFlow, inputs: Sequence[Trait]
    ) -> None:
        # A native kernel is kept unless its program itself has something to guard. Its results
        # count as known to their own precision.
        is_native = equation.primitive.name == NATIVE
        depths = [-1] * len(equation.outvars) if is_native else self._wanted(equation)
        divisors = [out in self._poles for out in equation.outvars]
        plans, needs = self._planner.plan_flow(flow, inputs, depths, divisors)
        if any(plan.sites for plan in plans) or max(depths, default=-1) >= 0:
            self._inner[index] = plans
            self._deepen(equation.invars, needs)
            self._matters_beyond_square(equation.invars)

    def _visit_plain(self, index: int, equation: JaxprEqn, inputs: Sequence[Trait]) -> None:
        if makes_difference(equation, inputs):
            self._differences.add(index)
        depth = max(self._wanted(equation), default=-1)
        matters = not self._beyond_square.isdisjoint(equation.outvars)
        is_sum = equation.primitive.name == "reduce_sum"
        if is_sum and (not matters or sums_nonnegative_terms(equation, inputs)):
            self._summed.add(index)
        elif depth > 0 and carries_bounds(equation):
            self._deepen(equation.invars, [depth - 1] * len(equation.invars))
            if matters and not is_square(equation):
                self._matters_beyond_square(equation.invars)
        if self._planner.needs_lift(equation, inputs):
            self._guarded[index] = equation.outvars[0] in self._poles
            self._deepen(equation.invars[:1], [BOUND_DEPTH])
            self._matters_beyond_square(equation.invars[:1])

    def _wanted(self, equation: JaxprEqn) -> list[int]:
        return [self._depths.get(out, -1) for out in equation.outvars]

    def _matters_beyond_square(self, atoms: Sequence[Var | Literal]) -> None:
        self._beyond_square.update(atom for atom in atoms if isinstance(atom, Var))

    def _deepen(self, atoms: Sequence[Var | Literal], depths: Sequence[int]) -> None:
        """Keep the largest depth of each value; only floating-point values have bounds."""
        for atom, depth in zip(atoms, depths, strict=True):
            if depth < 0 or isinstance(atom, Literal):
                continue
            if is_floating(atom):
                self._depths[atom] = max(depth, self._depths.get(atom, -1))


def deepest(depths: Sequence[Sequence[int]]) -> list[int]:
    """Return the largest depth at each position of several lists of the same length."""
    return [max(at_position) for at_position in zip(*depths, strict=True)]


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
