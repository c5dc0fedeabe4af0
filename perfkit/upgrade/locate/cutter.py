"""Makes pieces of ranges of a program, and finds the values of their operands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfkit.upgrade.locate.bench import Bench
from perfkit.upgrade.locate.flat_program import (
    FlatProgram,
    Step,
    live_in,
    needed_for,
    run_steps,
)
from perfkit.upgrade.locate.pieces import Piece, write_piece
from perfkit.upgrade.locate.subject import Subject

type _Key = tuple[int, tuple[tuple[int, ...], ...], tuple[int, ...], tuple[int, ...]]


class Cutter:
    """Makes pieces of ranges of a program, and finds the values of their operands.

    Parameters
    ----------
    bench
        Both sides. Operands have the values that the old side computes.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._pieces: dict[_Key, tuple[Piece, FlatProgram]] = {}

    def piece(
        self, subject: Subject, steps: Sequence[Step], outputs: Sequence[int]
    ) -> tuple[Piece, list[Path]]:
        """A range as a piece, with the files of its operands.

        Parameters
        ----------
        subject
            The program. Values that were not known are added to it.
        steps
            Steps of the program.
        outputs
            Numbers of the results of the piece.
        """
        inputs = live_in(steps, outputs)
        self.find(subject, inputs)
        return self._write(subject.program, steps, outputs, inputs), [
            subject.values[number] for number in inputs
        ]

    def find(self, subject: Subject, numbers: Sequence[int]) -> None:
        """Compute values that are not known, by the old side."""
        missing = [number for number in numbers if number not in subject.values]
        if not missing:
            return
        steps = needed_for(subject.program.steps, missing, subject.values)
        inputs = live_in(steps)
        piece = self._write(subject.program, steps, missing, inputs)
        files = [subject.values[number] for number in inputs]
        (answer,) = self.bench.run(piece, files, [self.bench.old])
        answer.raise_if_failed()
        subject.values.update(zip(missing, answer.files, strict=True))

    def _write(
        self,
        program: FlatProgram,
        steps: Sequence[Step],
        outputs: Sequence[int],
        inputs: Sequence[int],
    ) -> Piece:
        # The program is kept with its piece: the identity of an object that is gone is used again.
        made = tuple(step.results for step in steps)
        key = (id(program.avals), made, tuple(outputs), tuple(inputs))
        if key not in self._pieces:
            function = run_steps(steps, inputs, outputs)
            avals = [program.avals[number] for number in inputs]
            piece = write_piece(self.bench.new_path("piece"), function, avals)
            self._pieces[key] = (piece, program)
        return self._pieces[key][0]
