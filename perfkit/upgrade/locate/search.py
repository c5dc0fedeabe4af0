"""Searches a flat program for the smallest range that the two sides compute differently.

Whether a fault shows depends on how the compiler fuses operations. Ranges of many operations are
therefore compiled as a whole, and halved: the end of the range is moved forward as long as its
results differ, then its begin is moved back. A range that is a single loop or branch is continued
inside, at the first iteration whose results differ for equal operands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.upgrade.locate.bench import Bench, Difference, coarsest_epsilon
from perfkit.upgrade.locate.cutter import Cutter
from perfkit.upgrade.locate.flat_program import Step, live_in, needed_for
from perfkit.upgrade.locate.loops import first_iteration, inner_subject
from perfkit.upgrade.locate.pieces import Piece
from perfkit.upgrade.locate.subject import Subject

MOST_STEPS_TO_DROP = 24
"""Ranges up to this length are also tried without each single step."""


@dataclass(frozen=True)
class Found:
    """A range that the two sides compute differently.

    Attributes
    ----------
    subject
        The program that the range is part of.
    steps
        The steps of the range.
    output
        Number of the value that differs most, relative to what rounding explains.
    piece, inputs
        The range as a piece, and the files of its operands.
    difference
        How the value differs.
    epsilon
        Unit in the last place of the coarsest type of the range.
    """

    subject: Subject
    steps: tuple[Step, ...]
    output: int
    piece: Piece
    inputs: tuple[Path, ...]
    difference: Difference
    epsilon: float


class Search:
    """The search for a changed answer.

    Parameters
    ----------
    bench
        Both sides.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._cutter = Cutter(bench)

    def find(self, subject: Subject) -> Found | None:
        """Find the smallest range with another answer; None if the whole program has none."""
        program = subject.program
        outputs = [number for number in program.results if program.is_array(number)]
        whole = self._compared(subject, program.steps, outputs)
        if whole is None:
            return None
        found = self._with_earliest_end(subject, whole)
        needed = needed_for(found.steps, [found.output])
        found = self._compared(subject, needed, [found.output]) or found
        found = self._with_latest_begin(subject, found)
        if 1 < len(found.steps) <= MOST_STEPS_TO_DROP:
            found = self._without_single_steps(subject, found)
        return self._inside(found) or found

    def _compared(
        self, subject: Subject, steps: Sequence[Step], outputs: Sequence[int]
    ) -> Found | None:
        """Compare the results of a range; None if rounding explains all differences."""
        avals = subject.program.avals
        piece, inputs = self._cutter.piece(subject, steps, outputs)
        made = [number for step in steps for number in step.results]
        dtypes = [avals[number].dtype for number in made if subject.program.is_array(number)]
        epsilon = coarsest_epsilon(dtypes)
        differences = self._bench.differences(piece, inputs, epsilon)
        beyond = [each for each in differences if each.beyond_rounding]
        if not beyond:
            return None
        worst = max(beyond, key=lambda each: each.excess)
        return Found(
            subject, tuple(steps), outputs[worst.output], piece, tuple(inputs), worst, epsilon
        )

    def _with_earliest_end(self, subject: Subject, whole: Found) -> Found:
        program, found = subject.program, whole
        cuts = program.cuts()
        low, high = 0, len(cuts) - 1
        while high - low > 1:
            middle = (low + high) // 2
            end = cuts[middle]
            shorter = self._compared(subject, program.steps[:end], program.live_after(end))
            if shorter is None:
                low = middle
            else:
                high, found = middle, shorter
        return found

    def _with_latest_begin(self, subject: Subject, whole: Found) -> Found:
        steps, found = whole.steps, whole
        is_array = subject.program.is_array
        cuts = [
            begin
            for begin in range(len(steps) + 1)
            if all(map(is_array, live_in(steps[begin:], [whole.output])))
        ]
        low, high = 0, len(cuts) - 1
        while high - low > 1:
            middle = (low + high) // 2
            shorter = self._compared(subject, steps[cuts[middle] :], [whole.output])
            if shorter is None:
                high = middle
            else:
                low, found = middle, shorter
        return found

    def _without_single_steps(self, subject: Subject, whole: Found) -> Found:
        """Leave out each step whose results can be operands without the difference vanishing."""
        found = whole
        for step in whole.steps:
            rest = [each for each in found.steps if each is not step]
            rest = needed_for(rest, [found.output])
            if not rest or not all(map(subject.program.is_array, live_in(rest))):
                continue
            found = self._compared(subject, rest, [found.output]) or found
        return found

    def _inside(self, found: Found) -> Found | None:
        """Continue inside a range that is one loop or branch; None if nothing differs there."""
        if len(found.steps) != 1:
            return None
        step = found.steps[0]
        inner = inner_subject(self._bench, found.subject, step)
        if inner is None:
            inner = first_iteration(self._cutter, found.subject, step, found.epsilon)
        return None if inner is None else self.find(inner)
