"""Runs pieces of a program under the jaxlib of this process, as asked on standard input.

``python -m perfkit.upgrade.locate.runner`` reads a request as one line of JSON and writes a reply
as one line. It needs nothing but JAX and NumPy. Compiled pieces are kept for further requests.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perfkit.upgrade.locate.reproduce import (
    CASE_FILE,
    compile_program,
    read_array,
    results,
    run_s,
)

KEPT_PROGRAMS = 4
"""Compiled pieces that are kept: the body and the condition of a loop run many times in turns."""

SEED = 0


def perturbed(
    array: np.ndarray[Any, Any], epsilon: float, seed: int = SEED
) -> np.ndarray[Any, Any]:
    """Return an array whose floating elements are changed by ``epsilon`` of their size.

    Parameters
    ----------
    array
        Any array; one that is not floating is returned unchanged.
    epsilon
        Relative change of each element, in a random direction.
    seed
        Seed of the directions.
    """
    # bfloat16 and float8 are floating, but of NumPy's kind V.
    if array.dtype.kind not in "fV":
        return array
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), array.shape)
    changed: np.ndarray[Any, Any] = array.astype(np.float64) * (1 + epsilon * signs)
    return changed.astype(array.dtype)


def reply(request: Mapping[str, Any], programs: dict[str, Any]) -> dict[str, Any]:
    """Run a piece, and write its results to files.

    Parameters
    ----------
    request
        ``piece``: folder of the piece. ``inputs``: files of its inputs. ``save``: prefix of the
        files of its results. ``epsilon``: if not 0, the piece also runs on inputs that are changed
        by so much. ``runs``: number of timed runs. ``hlo``: file for the optimised HLO, or empty.
    programs
        Compiled pieces by folder; changed in place.
    """
    folder = Path(request["piece"])
    case = json.loads((folder / CASE_FILE).read_text())
    inputs = [
        read_array(Path(file), one["dtype"])
        for file, one in zip(request["inputs"], case["inputs"], strict=True)
    ]
    compiled = programs.pop(str(folder), None) or compile_program(folder, inputs)
    programs[str(folder)] = compiled
    while len(programs) > KEPT_PROGRAMS:
        programs.pop(next(iter(programs)))
    answer: dict[str, Any] = {
        "files": _written(results(compiled, inputs), request["save"]),
        "seconds": run_s(compiled, inputs, request["runs"]) if request["runs"] else [],
    }
    if request["epsilon"]:
        changed = [perturbed(array, request["epsilon"]) for array in inputs]
        answer["perturbed"] = _written(results(compiled, changed), f"{request['save']}-perturbed")
    if request["hlo"]:
        Path(request["hlo"]).write_text(compiled.as_text())
    return answer


def _written(arrays: Sequence[np.ndarray[Any, Any]], prefix: str) -> list[str]:
    files = [f"{prefix}-{number}.npy" for number in range(len(arrays))]
    for file, array in zip(files, arrays, strict=True):
        np.save(file, array)
    return files


def main() -> None:
    """Reply to requests until standard input ends."""
    # XLA and the packages of a model print to standard output, too.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    programs: dict[str, Any] = {}
    for line in sys.stdin:
        try:
            answer = reply(json.loads(line), programs)
        except Exception as error:  # Any failure of a compiler is an answer.
            answer = {"error": f"{type(error).__name__}: {str(error).splitlines()[0:1]}"}
        print(json.dumps(answer), file=replies, flush=True)


if __name__ == "__main__":
    main()
