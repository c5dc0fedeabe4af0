"""Runs a loop of a traced program one compiled iteration at a time, until a result is bad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jax import Array
from jax.extend.core import JaxprEqn

from perfkit.diagnose.locate.bad_values import compiled_run, has_bad_element, unmasked
from perfkit.diagnose.locate.declared_nan import Mask
from perfkit.diagnose.locate.finding import Kind
from perfkit.guard.analysis.structure import ControlFlow


class Loop(NamedTuple):
    """A ``scan`` or ``while`` equation and its operands.

    Attributes
    ----------
    equation
        The equation.
    flow
        Its control flow.
    values, masks
        The operands of the equation, and where NaN is declared in them.
    wanted
        For each result of the equation, whether the search follows it back.
    """

    equation: JaxprEqn
    flow: ControlFlow
    values: list[Array]
    masks: list[Mask]
    wanted: list[bool]


class BadIteration(NamedTuple):
    """The first iteration of a loop with a bad result.

    Attributes
    ----------
    number
        The iteration, from 0.
    operands, masks
        The operands of the body, and where NaN is declared in them.
    wanted
        For each result of the body, whether it is bad.
    """

    number: int
    operands: list[Array]
    masks: list[Mask]
    wanted: list[bool]


def first_bad_iteration(loop: Loop, kind: Kind, trusts_literals: bool) -> BadIteration | None:
    """Run a loop until a carried value or a wanted slice is bad; None if none becomes bad.

    Parameters
    ----------
    loop
        The loop.
    kind
        The kind of bad value.
    trusts_literals
        Whether a NaN that is a literal of the program counts as declared.
    """
    run = _scan if loop.flow.kind == "scan" else _while
    return run(loop, kind, trusts_literals)


def _scan(loop: Loop, kind: Kind, trusts_literals: bool) -> BadIteration | None:
    equation, flow, values, masks, wanted = loop
    program = flow.programs[0]
    body = compiled_run(program, trusts_literals)
    first, end = flow.consts, flow.consts + flow.carry
    carry, carry_masks = values[first:end], masks[first:end]
    followed = [True] * flow.carry + wanted[flow.carry :]
    order = range(equation.params["length"])
    for number in reversed(order) if equation.params["reverse"] else order:
        operands = [*values[:first], *carry, *(stacked[number] for stacked in values[end:])]
        slices = [None if stacked is None else stacked[number] for stacked in masks[end:]]
        operand_masks = [*masks[:first], *carry_masks, *slices]
        results, result_masks = body(program.consts, operands, operand_masks)
        bad = _bad(results, result_masks, followed, kind)
        if any(bad):
            return BadIteration(number, operands, operand_masks, bad)
        carry, carry_masks = results[: flow.carry], result_masks[: flow.carry]
    return None


def _while(loop: Loop, kind: Kind, trusts_literals: bool) -> BadIteration | None:
    _, flow, values, masks, _ = loop
    program, condition = flow.programs[0], flow.condition
    assert condition is not None
    body, proceed = compiled_run(program, trusts_literals), compiled_run(condition)
    first, end = flow.condition_consts, flow.condition_consts + flow.consts
    carry, carry_masks = values[end:], masks[end:]
    followed = [True] * flow.carry
    number = 0
    while True:
        inputs = [*values[:first], *carry]
        if not bool(proceed(condition.consts, inputs, unmasked(inputs))[0][0]):
            return None
        operands = [*values[first:end], *carry]
        operand_masks = [*masks[first:end], *carry_masks]
        carry, carry_masks = body(program.consts, operands, operand_masks)
        bad = _bad(carry, carry_masks, followed, kind)
        if any(bad):
            return BadIteration(number, operands, operand_masks, bad)
        number += 1


def _bad(
    values: Sequence[Array], masks: Sequence[Mask], followed: Sequence[bool], kind: Kind
) -> list[bool]:
    return [
        is_followed and has_bad_element(kind, value, mask)
        for value, mask, is_followed in zip(values, masks, followed, strict=True)
    ]
