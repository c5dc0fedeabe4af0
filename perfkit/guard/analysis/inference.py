"""Infers the trait of every value of a program, forward from the traits of its operands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jax.extend.core import Literal, Var

from perfkit.guard.analysis.structure import ControlFlow, Program, control_flow
from perfkit.guard.analysis.traits import Trait, trait_of_constant, trait_of_result


class TraitInference:
    """Infers traits through all control flow, once for each distinct use of a program.

    The carry of a loop gets the traits that hold before the first iteration and after every
    later one: a carry that starts at 0 and becomes ``a - b`` may be negative.
    """

    def __init__(self) -> None:
        """Start with nothing inferred."""
        self._traits: dict[Any, dict[Var, Trait]] = {}
        # The keys hold ids of jaxprs, which stay unique only while the programs exist.
        self._alive: list[Program] = []

    def traits(self, program: Program, operands: Sequence[Trait]) -> dict[Var, Trait]:
        """Return the trait of every value of a program, given those of its operands."""
        key = (id(program.jaxpr), tuple(operands))
        if key not in self._traits:
            self._alive.append(program)
            self._traits[key] = self._infer(program, operands)
        return self._traits[key]

    def operands_inside(self, flow: ControlFlow, inputs: Sequence[Trait]) -> list[Trait]:
        """Return the operand traits of an equation's programs, valid for every iteration.

        Parameters
        ----------
        flow
            The control flow of the equation.
        inputs
            The traits of the equation's operands.
        """
        if flow.kind == "call":
            return list(inputs)
        if flow.kind == "cond":
            return list(inputs[1:])
        inside = list(inputs[flow.condition_consts :])
        carry = slice(flow.consts, flow.consts + flow.carry)
        while True:
            results = self._outputs(flow.programs[0], inside)[: flow.carry]
            widened = [one.widen(other) for one, other in zip(inside[carry], results, strict=True)]
            if widened == inside[carry]:
                return inside
            inside[carry] = widened

    def _infer(self, program: Program, operands: Sequence[Trait]) -> dict[Var, Trait]:
        jaxpr = program.jaxpr
        known: dict[Var, Trait] = dict(zip(jaxpr.invars, operands, strict=True))
        for variable, value in zip(jaxpr.constvars, program.consts, strict=True):
            known[variable] = trait_of_constant(value)
        for equation in jaxpr.eqns:
            inputs = [trait_of(known, atom) for atom in equation.invars]
            flow = control_flow(equation)
            if not equation.outvars:
                # The equation only has an effect, such as printing.
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
            results = _joined(results, self._outputs(branch, inside))
        if flow.is_loop:
            carried = inside[flow.consts : flow.consts + flow.carry]
            results[: flow.carry] = _joined(carried, results[: flow.carry])
        return results


def trait_of(known: Mapping[Var, Trait], atom: Var | Literal) -> Trait:
    """Return the trait of a variable or a literal."""
    return trait_of_constant(atom.val) if isinstance(atom, Literal) else known[atom]


def _joined(traits: Sequence[Trait], others: Sequence[Trait]) -> list[Trait]:
    """Return what holds for each value if it may be either of two."""
    return [trait.join(other) for trait, other in zip(traits, others, strict=True)]
