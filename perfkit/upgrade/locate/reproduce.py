"""Shows that an answer, or a time, depends on the version of jaxlib.

Needs JAX and NumPy only, and the other files of its folder: ``program.stablehlo``, the operations
as JAX hands them to the compiler (``program.mlir`` shows them as text); ``input-*.npy``, what they
are run on; and ``case.json``, which describes both and says what is expected.

    python reproduce.py                   run the program; exit code 1 if the answer is wrong
    python reproduce.py --against PYTHON  also time it in turns with the jaxlib of another Python;
                                          exit code 1 if the answer is wrong or this one is slower
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jaxlib import version as jaxlib_version

CASE_FILE, PROGRAM_FILE = "case.json", "program.stablehlo"

TURNS = 6
"""Turns of ``--against``: of equal programs, one is slower in all six once in 64 times."""

RUNS = 5
"""Timed runs in a turn; their median counts."""

type Array = np.ndarray[Any, Any]


def read_array(path: Path, dtype: str) -> Array:
    """Read an array; NumPy's file format does not know bfloat16 and its kin by name."""
    array: Array = np.load(path, allow_pickle=False)
    wanted = jnp.dtype(dtype)
    return array if array.dtype == wanted else array.view(wanted)


def load_program(folder: Path) -> Callable[..., list[Any]]:
    """Return the program of a folder as a function of its inputs.

    ``jax.export`` reads such programs, but its own files need the package flatbuffers. A function
    of the same signature is exported instead, and its program replaced.
    """
    case = json.loads((folder / CASE_FILE).read_text())
    given = [*case["inputs"], *case["outputs"]]
    jax.config.update("jax_enable_x64", any(one["dtype"].endswith("64") for one in given))
    inputs = [jax.ShapeDtypeStruct(one["shape"], jnp.dtype(one["dtype"])) for one in case["inputs"]]

    def same_signature(*_: Any) -> list[Any]:
        return [jnp.zeros(one["shape"], jnp.dtype(one["dtype"])) for one in case["outputs"]]

    exported = jax.export.export(jax.jit(same_signature, keep_unused=True))(*inputs)
    program = (folder / PROGRAM_FILE).read_bytes()
    whole = dataclasses.replace(exported, mlir_module_serialized=program)
    function: Callable[..., list[Any]] = whole.call
    return function


def compile_program(folder: Path, inputs: Sequence[Array]) -> Any:
    """Compile the program of a folder for its inputs."""
    return jax.jit(load_program(folder)).lower(*inputs).compile()


def results(compiled: Any, inputs: Sequence[Array]) -> list[Array]:
    """Run a compiled program once, and return its results."""
    return [np.asarray(result) for result in jax.block_until_ready(compiled(*inputs))]


def run_s(compiled: Any, inputs: Sequence[Array], runs: int) -> list[float]:
    """Wall seconds of each of several runs, after one that is not counted."""
    arrays = [jnp.asarray(each) for each in inputs]
    jax.block_until_ready(compiled(*arrays))
    seconds = []
    for _ in range(runs):
        begin_s = time.perf_counter()
        jax.block_until_ready(compiled(*arrays))
        seconds.append(time.perf_counter() - begin_s)
    return seconds


def distance(got: Array, expected: Array) -> float:
    """Largest difference of an element, relative to the root mean square of what is expected.

    Infinite for other shapes, or if only one side is NaN or infinite somewhere.
    """
    if got.shape != expected.shape:
        return float("inf")
    ours, known = got.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(known)
    if not np.array_equal(ours[~finite], known[~finite], equal_nan=True):
        return float("inf")
    largest = float(np.max(np.abs(ours[finite] - known[finite]), initial=0.0))
    if largest == 0:
        return 0.0
    size = float(np.sqrt(np.mean(known[finite] ** 2)))
    return largest / size if np.isfinite(largest) and size else float("inf")


def check(case: Mapping[str, Any], outputs: Sequence[Array], folder: Path) -> bool:
    """Print how each result compares with what is expected; True if all are right."""
    right = True
    for number, (one, got) in enumerate(zip(case["outputs"], outputs, strict=True)):
        if "expected" not in one:
            continue
        expected = np.load(folder / one["expected"], allow_pickle=False)
        found = distance(got, expected)
        good = found <= one["tolerance"]
        right = right and good
        print(
            f"result {number}: relative difference {found:.3g}, allowed {one['tolerance']:.3g}: "
            f"{'right' if good else 'WRONG'}"
        )
        if not good and got.shape == expected.shape and got.size:
            apart = np.abs(got.astype(np.float64) - expected.astype(np.float64))
            worst = np.unravel_index(int(np.argmax(np.nan_to_num(apart, nan=np.inf))), got.shape)
            place = [int(index) for index in worst]
            print(f"  at {place} {got[worst]!s}, expected {expected[worst]!s}")
    return right


def in_turns(other: str) -> bool:
    """Time this Python and another one in turns; True if this one is slower in every turn."""
    script = str(Path(__file__).resolve())
    pairs = []
    for turn in range(TURNS):
        both = [sys.executable, other] if turn % 2 == 0 else [other, sys.executable]
        found = {}
        for python in both:
            done = subprocess.run(
                [python, script, "--seconds"], stdout=subprocess.PIPE, text=True, check=True
            )
            found[python] = json.loads(done.stdout)
        pairs.append((found[sys.executable], found[other]))
    ours, theirs = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    lost: int = sum(first > second for first, second in pairs)
    print(
        f"{ours:.6f} s here, {theirs:.6f} s with {other}: ratio {ours / theirs:.2f}, "
        f"slower here in {lost} of {TURNS} turns"
    )
    return lost == TURNS


def main(arguments: Sequence[str]) -> int:
    """Run the program of this folder; 0 if it is right (and not slower), else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", metavar="PYTHON", help="another Python to time in turns with")
    parser.add_argument("--seconds", action="store_true", help="print the seconds of a run only")
    given = parser.parse_args(list(arguments))
    folder = Path(__file__).resolve().parent
    case = json.loads((folder / CASE_FILE).read_text())
    inputs = [read_array(folder / one["file"], one["dtype"]) for one in case["inputs"]]
    compiled = compile_program(folder, inputs)
    if given.seconds:
        print(statistics.median(run_s(compiled, inputs, RUNS)))
        return 0
    print(f"jax {jax.__version__}, jaxlib {jaxlib_version.__version__}")
    print(case["found"])
    right = check(case, results(compiled, inputs), folder)
    print(f"one run takes {statistics.median(run_s(compiled, inputs, RUNS)):.6f} s")
    slower = in_turns(given.against) if given.against else False
    return 1 if slower or not right else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
