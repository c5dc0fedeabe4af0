"""Check size by size that the knobs which cut padding do not change AlphaFold 3's answer.

    python -m benchmarks.scripts.af3_padding --sizes 1-40

Each input is computed in float32 with upstream's padding (a bucket of 128 tokens, 1024 rows of the
MSA, 24 atom slots per token), and again under the knobs that cut the padding. The script prints the
largest relative distance over all compared quantities. The network is the shallow one, with
synthetic weights: padding acts through masks and gathers, which are the same in every block.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.shallow_af3 import FEWEST, answer, relative_distances
from perfkit.models.af3.inputs.fold_input import load_fold_input, synthetic_protein

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

PADDED: Mapping[str, str] = {}
CUT: Mapping[str, Mapping[str, str]] = {
    "bucket": {"bucket": "exact"},
    "rows": {"msa_rows": "needed"},
    "slots": {"atom_slots": "needed"},
    "all": FEWEST,
}

ROUNDING = 1e-5
"""Upper bound of the distance due to the order of float32 additions; a wrong key window gives
1e-3."""


def _nucleic(kind: str, letters: str) -> Callable[[int], Input]:
    def made(size: int) -> Input:
        sequence = "".join(random.Random(size).choices(letters, k=size))
        return _load({kind: {"id": "A", "sequence": sequence}})

    return made


def _ions(size: int) -> Input:
    return _load({"ligand": {"id": [f"{_letters(i)}" for i in range(size)], "ccdCodes": ["MG"]}})


def _alkane(size: int) -> Input:
    return _load({"ligand": {"id": "A", "smiles": "C" * size}})


def _aligned(size: int) -> Input:
    """A protein with an MSA of three rows."""
    sequence = synthetic_protein(size, 1).protein_chains[0].sequence
    rows = "".join(f">row{i}\n{sequence[:i]}{'A' * (size - i)}\n" for i in range(min(size, 3)))
    msa = f">query\n{sequence}\n{rows}"
    return _load({"protein": {"id": "A", "sequence": sequence, "unpairedMsa": msa}})


def _letters(number: int) -> str:
    return chr(ord("A") + number % 26) * (1 + number // 26)


def _load(chain: Mapping[str, Any]) -> Input:
    document = {
        "name": "sweep",
        "modelSeeds": [1],
        "sequences": [chain],
        "dialect": "alphafold3",
        "version": 1,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input.json"
        path.write_text(json.dumps(document))
        return load_fold_input(path)[0]


def _sizes(text: str) -> list[int]:
    ranges = [list(map(int, part.split("-"))) for part in text.split(",")]
    return [size for ends in ranges for size in range(ends[0], ends[-1] + 1)]


KINDS: Mapping[str, Callable[[int], Input]] = {
    "protein": lambda size: synthetic_protein(size, 1),
    "aligned": _aligned,
    "rna": _nucleic("rna", "ACGU"),
    "dna": _nucleic("dna", "ACGT"),
    "ions": _ions,
    "alkane": _alkane,
}


def main() -> None:
    """Print one line per kind of input, size and set of knobs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1-40", help="tokens, e.g. 1-8,20,40")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--cut", nargs="+", choices=CUT, default=["all"])
    given = parser.parse_args()
    worst = 0.0
    for kind in given.kinds:
        for size in _sizes(given.sizes):
            fold_input = KINDS[kind](size)
            padded = answer(fold_input, PADDED)
            for name in given.cut:
                far = relative_distances(answer(fold_input, CUT[name]), padded)
                quantity = max(far, key=lambda each: np.nan_to_num(far[each], nan=np.inf))
                worst = max(worst, float(np.nan_to_num(far[quantity], nan=np.inf)))
                print(f"{kind:8} {size:3} {name:7} {far[quantity]:.1e} {quantity}", flush=True)
    print(f"largest distance {worst:.1e}, {'within' if worst < ROUNDING else 'ABOVE'} {ROUNDING}")


if __name__ == "__main__":
    main()
