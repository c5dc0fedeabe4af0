"""Searches a module of a program for the smallest range that the new side runs slower."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.guard.analysis.structure import control_flow
from perfkit.upgrade.locate.bench import Bench
from perfkit.upgrade.locate.cutter import Cutter
from perfkit.upgrade.locate.flat_program import Step, flatten, live_in
from perfkit.upgrade.locate.loops import inner_subject, iterations, scope_inside
from perfkit.upgrade.locate.pieces import Piece
from perfkit.upgrade.locate.reproduce import RUNS, TURNS
from perfkit.upgrade.locate.subject import Subject

SHARE_OF_SLOWDOWN = 0.6
"""Share of the lost seconds that a part must have for the search to go on with it alone."""


@dataclass(frozen=True)
class SlowRange:
    """A range of a program that the new side runs slower.

    Attributes
    ----------
    subject, steps
        The program, and the steps of the range.
    piece, inputs
        The range as a piece, and the files of its operands.
    turns_s
        Seconds of a run by the old and by the new side, in each turn.
    """

    subject: Subject
    steps: tuple[Step, ...]
    piece: Piece
    inputs: tuple[Path, ...]
    turns_s: tuple[tuple[float, float], ...]

    @property
    def old_s(self) -> float:
        """Median seconds of a run by the old side."""
        return statistics.median(old for old, _ in self.turns_s)

    @property
    def new_s(self) -> float:
        """Median seconds of a run by the new side."""
        return statistics.median(new for _, new in self.turns_s)

    @property
    def slower(self) -> bool:
        """Whether the new side was slower in every turn."""
        return all(new > old for old, new in self.turns_s)


class SlowSearch:
    """The search for a slowed range.

    Parameters
    ----------
    bench
        Both sides.
    module_of
        Module of the network that an operation belongs to, by its ``op_name``.
    """

    def __init__(self, bench: Bench, module_of: Callable[[str], str | None]) -> None:
        self._bench = bench
        self._cutter = Cutter(bench)
        self._module_of = module_of

    def find(self, subject: Subject, module: str) -> SlowRange | None:
        """Find the smallest range of a module that is slower; None if no range alone is."""
        place = self._place(subject, module)
        if place is None:
            return None
        whole = self._timed(*place)
        if whole is None or not whole.slower:
            return None
        return self._shrunk(whole)

    def _place(self, subject: Subject, module: str) -> tuple[Subject, Sequence[Step]] | None:
        """The steps of a module, from the first to the last, where they are not inside a loop."""
        steps = subject.program.steps
        own = [
            number for number, step in enumerate(steps) if self._module_of(step.op_name) == module
        ]
        if own:
            return subject, steps[own[0] : own[-1] + 1]
        for step in steps:
            if self._holds(step, module):
                inner = self._inside(subject, step)
                place = None if inner is None else self._place(inner, module)
                if place is not None:
                    return place
        return None

    def _holds(self, step: Step, module: str) -> bool:
        """Whether a loop or branch has operations of a module in it, at any depth."""
        flow = control_flow(step.equation)
        programs = () if flow is None else flow.programs
        return any(
            self._module_of(inner.op_name) == module or self._holds(inner, module)
            for branch, program in enumerate(programs)
            for inner in flatten(program, scope_inside(step, branch)).steps
        )

    def _inside(self, subject: Subject, step: Step) -> Subject | None:
        """The program inside a loop, at its first iteration, or inside a branch, if it is one."""
        if control_flow(step.equation) is None:
            return None
        if not all(map(subject.program.is_array, live_in([step]))):
            return None
        self._cutter.find(subject, live_in([step]))
        branch = inner_subject(self._bench, subject, step)
        return branch or next(iterations(self._cutter, subject, step), None)

    def _timed(self, subject: Subject, steps: Sequence[Step]) -> SlowRange | None:
        """Time a range in turns; None if it cannot run alone."""
        outputs = self._used_outside(subject, steps)
        passing = [*outputs, *live_in(steps, outputs)]
        if not outputs or not all(map(subject.program.is_array, passing)):
            return None
        piece, inputs = self._cutter.piece(subject, steps, outputs)
        turns_s = []
        sides = (self._bench.old, self._bench.new)
        for turn in range(TURNS):
            order = sides if turn % 2 == 0 else sides[::-1]
            answers = self._bench.run(piece, inputs, order, runs=RUNS)
            if any(answer.error for answer in answers):
                return None
            first, second = (statistics.median(answer.seconds) for answer in answers)
            turns_s.append((first, second) if turn % 2 == 0 else (second, first))
        return SlowRange(subject, tuple(steps), piece, tuple(inputs), tuple(turns_s))

    def _used_outside(self, subject: Subject, steps: Sequence[Step]) -> list[int]:
        inside = {id(step) for step in steps}
        used = set(subject.program.results)
        for step in subject.program.steps:
            if id(step) not in inside:
                used.update(step.reads)
        return [number for step in steps for number in step.results if number in used]

    def _shrunk(self, whole: SlowRange) -> SlowRange:
        """Halve a range, or go inside the loop that it is, as long as most of the loss stays."""
        while True:
            smaller = self._smaller(whole)
            if smaller is None:
                return whole
            whole = smaller

    def _smaller(self, whole: SlowRange) -> SlowRange | None:
        lost_s = whole.new_s - whole.old_s
        middle = len(whole.steps) // 2
        for steps in (whole.steps[:middle], whole.steps[middle:]) if middle else ():
            half = self._timed(whole.subject, steps)
            if half and half.slower and half.new_s - half.old_s >= SHARE_OF_SLOWDOWN * lost_s:
                return half
        if middle:
            return None
        inner = self._inside(whole.subject, whole.steps[0])
        body = None if inner is None else self._timed(inner, inner.program.steps)
        # An iteration loses a fraction of the seconds, but the same share of its time.
        if (
            body
            and body.slower
            and body.new_s / body.old_s - 1 >= SHARE_OF_SLOWDOWN * (whole.new_s / whole.old_s - 1)
        ):
            return body
        return None
