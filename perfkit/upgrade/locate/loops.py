"""Goes on inside a loop or a branch: its program with the operands that it had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jax.extend.core import Literal

from perfkit.guard.analysis.origin import in_hlo, join_path
from perfkit.guard.analysis.structure import ControlFlow, control_flow, program_label
from perfkit.upgrade.locate.bench import Bench
from perfkit.upgrade.locate.cutter import Cutter
from perfkit.upgrade.locate.flat_program import (
    FlatProgram,
    Operand,
    Step,
    flatten,
    literal_value,
)
from perfkit.upgrade.locate.subject import Subject, subject_of

MOST_ITERATIONS = 1_000
"""Iterations after which the search does not go on inside a loop."""


def operand_files(bench: Bench, subject: Subject, operands: Sequence[Operand]) -> list[Path]:
    """Files of operands whose values are known; literals are written to files."""
    return [
        bench.save(literal_value(operand))
        if isinstance(operand, Literal)
        else _known(subject, operand)
        for operand in operands
    ]


def inner_subject(bench: Bench, subject: Subject, step: Step) -> Subject | None:
    """The branch that a conditional step takes, as a subject; None for any other step.

    Parameters
    ----------
    bench
        Writes literals and constants.
    subject
        Program of the step; the operands of the step are known.
    step
        The step.
    """
    flow = control_flow(step.equation)
    if flow is None or flow.kind != "cond":
        return None
    index, *operands = operand_files(bench, subject, step.operands)
    branch = int(np.clip(int(np.load(index, allow_pickle=False)), 0, len(flow.programs) - 1))
    program = flatten(flow.programs[branch], scope_inside(step, branch))
    return subject_of(bench, program, operands, subject.iterations)


def first_iteration(cutter: Cutter, subject: Subject, step: Step, epsilon: float) -> Subject | None:
    """The body of a loop at the first iteration whose results differ between the sides.

    Parameters
    ----------
    cutter
        Makes pieces of the body.
    subject
        Program of the step; the operands of the step are known.
    step
        The step.
    epsilon
        Unit in the last place of the coarsest type in the loop.

    Returns
    -------
    Subject or None
        None if the step is no loop, or if no iteration alone shows a difference.
    """
    for body in iterations(cutter, subject, step):
        piece, inputs = cutter.piece(body, body.program.steps, body.program.results)
        differences = cutter.bench.differences(piece, inputs, epsilon)
        if any(each.beyond_rounding for each in differences):
            return body
    return None


def iterations(cutter: Cutter, subject: Subject, step: Step) -> Iterator[Subject]:
    """The body of a loop at each iteration, with the operands that the old side computes."""
    flow = control_flow(step.equation)
    if flow is None or not flow.is_loop:
        return
    files = operand_files(cutter.bench, subject, step.operands)
    program = flatten(flow.programs[0], scope_inside(step, 0))
    if not all(map(program.is_array, program.results)):
        return
    loop = _Loop(cutter, step, flow, program, subject.iterations)
    yield from loop.scanned(files) if flow.kind == "scan" else loop.while_true(files)


def scope_inside(step: Step, branch: int) -> str:
    """Module path of the programs that a step holds."""
    return join_path(step.scope, in_hlo(program_label(step.equation, branch)))


def _known(subject: Subject, operand: Operand) -> Path:
    assert isinstance(operand, int)
    return subject.values[operand]


class _Loop:
    """A loop that runs iteration by iteration on the old side."""

    def __init__(
        self,
        cutter: Cutter,
        step: Step,
        flow: ControlFlow,
        program: FlatProgram,
        around: tuple[tuple[str, int], ...],
    ) -> None:
        self._cutter = cutter
        self._step = step
        self._flow = flow
        self._program = program
        self._around = around
        self._constants = subject_of(cutter.bench, program, [Path()] * len(program.inputs)).values

    def scanned(self, files: Sequence[Path]) -> Iterator[Subject]:
        """The iterations of a ``scan`` whose operands are in ``files``."""
        flow, parameters = self._flow, self._step.equation.params
        first, end = flow.consts, flow.consts + flow.carry
        carry = list(files[first:end])
        stacked = [np.load(path, mmap_mode="r", allow_pickle=False) for path in files[end:]]
        order = range(parameters["length"])[:MOST_ITERATIONS]
        for number in reversed(order) if parameters["reverse"] else order:
            slices = [self._cutter.bench.save(each[number]) for each in stacked]
            body = self._body([*files[:first], *carry, *slices], number)
            yield body
            carry = self._carried(body)

    def while_true(self, files: Sequence[Path]) -> Iterator[Subject]:
        """The iterations of a ``while`` whose operands are in ``files``."""
        flow, bench = self._flow, self._cutter.bench
        first, end = flow.condition_consts, flow.condition_consts + flow.consts
        carry = list(files[end:])
        assert flow.condition is not None
        condition = flatten(flow.condition)
        for number in range(MOST_ITERATIONS):
            asked = subject_of(bench, condition, [*files[:first], *carry])
            piece, inputs = self._cutter.piece(asked, condition.steps, condition.results)
            (answer,) = bench.run(piece, inputs, [bench.old])
            answer.raise_if_failed()
            if not bool(np.load(answer.files[0], allow_pickle=False)):
                return
            body = self._body([*files[first:end], *carry], number)
            yield body
            carry = self._carried(body)

    def _body(self, files: Sequence[Path], number: int) -> Subject:
        values = self._constants | dict(zip(self._program.inputs, files, strict=True))
        path = scope_inside(self._step, 0)
        return Subject(self._program, values, (*self._around, (path, number)))

    def _carried(self, body: Subject) -> list[Path]:
        """Files of the values that an iteration passes on."""
        carried = self._program.outputs[: self._flow.carry]
        wanted = [operand for operand in carried if isinstance(operand, int)]
        self._cutter.find(body, wanted)
        return operand_files(self._cutter.bench, body, carried)
