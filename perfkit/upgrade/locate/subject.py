"""A flat program with the files of the values that are known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.upgrade.locate.bench import Bench
from perfkit.upgrade.locate.flat_program import FlatProgram


@dataclass
class Subject:
    """A flat program with the files of the values that are known of it.

    Attributes
    ----------
    program
        The program.
    values
        Files by number of the value; a search adds to them.
    iterations
        The loops around the program, outermost first: module path and iteration, from 0.
    """

    program: FlatProgram
    values: dict[int, Path]
    iterations: tuple[tuple[str, int], ...] = ()


def subject_of(
    bench: Bench,
    program: FlatProgram,
    operands: Sequence[Path],
    iterations: tuple[tuple[str, int], ...] = (),
) -> Subject:
    """A subject whose operands and constants are known.

    Parameters
    ----------
    bench
        Writes the constants.
    program
        The program.
    operands
        Files of its operands.
    iterations
        The loops around it.
    """
    values = dict(zip(program.inputs, operands, strict=True))
    values |= {number: bench.save(value) for number, value in program.constants.items()}
    return Subject(program, values, iterations)
