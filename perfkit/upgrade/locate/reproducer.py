"""Writes the folder of a reproducer, which shows a finding with JAX and NumPy alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perfkit.upgrade.locate import reproduce
from perfkit.upgrade.locate.exact import Judgement
from perfkit.upgrade.locate.pieces import TEXT_FILE, Piece

EXPECTED_FILE = "expected.npy"
NOTES_FILE = "found.txt"


@dataclass(frozen=True)
class Expectation:
    """What a result of the program should be.

    Attributes
    ----------
    output
        Position of the result.
    judgement
        Its expected value.
    tolerance
        Largest relative distance from it.
    """

    output: int
    judgement: Judgement
    tolerance: float


def write_reproducer(
    folder: Path,
    piece: Piece,
    inputs: Sequence[Path],
    found: Sequence[str],
    hlo: Mapping[str, Path],
    expectation: Expectation | None = None,
) -> None:
    """Write a reproducer.

    Parameters
    ----------
    folder
        Folder to create.
    piece, inputs
        The program, and the files of its operands.
    found
        What was found, in sentences; the first one is printed with each run.
    hlo
        Files of the optimised HLO, by name of the side.
    expectation
        What a result should be; None if only the time is shown.
    """
    folder.mkdir(parents=True)
    shutil.copy(reproduce.__file__, folder / "reproduce.py")
    for name in (reproduce.PROGRAM_FILE, TEXT_FILE):
        shutil.copy(piece.folder / name, folder / name)
    for label, path in hlo.items():
        shutil.copy(path, folder / f"optimised-{label}.hlo.txt")
    given = []
    for number, (one, path) in enumerate(zip(piece.inputs, inputs, strict=True)):
        shutil.copy(path, folder / f"input-{number}.npy")
        given.append({"file": f"input-{number}.npy", **one})
    outputs: list[dict[str, Any]] = [dict(one) for one in piece.outputs]
    if expectation is not None:
        np.save(folder / EXPECTED_FILE, _plain(expectation.judgement.expected))
        outputs[expectation.output] |= {
            "expected": EXPECTED_FILE,
            "tolerance": expectation.tolerance,
        }
    case = {"found": found[0], "inputs": given, "outputs": outputs}
    (folder / reproduce.CASE_FILE).write_text(json.dumps(case, indent=2) + "\n")
    (folder / NOTES_FILE).write_text("\n".join(found) + "\n")


def _plain(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array in a type that NumPy's own file format has."""
    return array.astype(np.float64) if array.dtype.kind == "V" else array
