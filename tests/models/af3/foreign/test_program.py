"""The settings in a program of others that predicts with the installed AlphaFold 3."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from perfkit.foreign.hook import foreign_environment
from perfkit.foreign.plan import ForeignPlan
from perfkit.foreign.reading import read_journals
from perfkit.models.af3.foreign.adapter import WATCHED
from tests.support.fold_documents import protein, write_input

pytest.importorskip("alphafold3", reason="the extra af3 is not installed")

pytestmark = pytest.mark.long

PROGRAM = Path(__file__).parents[3] / "support" / "fold_program.py"

SETTINGS = {
    "bucket": "exact",
    "msa_rows": "needed",
    "atom_slots": "needed",
    "pair_attention_chunk": "8",
    "pair_transition_shard": "8",
    "precision": "float32",
    "parameters": "constants",
}

SEQUENCE = "MKTAYIAKQRQISFVKSHFS"
ALIGNMENT = f">query\n{SEQUENCE}\n>one\n{SEQUENCE.replace('K', 'R')}\n>two\n--{SEQUENCE[2:]}\n"
"""An alignment of three rows."""


@dataclass(frozen=True)
class Ran:
    """What a run of the program left.

    Attributes
    ----------
    output
        Folder of its results.
    printed
        Standard output with numbers replaced, because it contains seconds.
    took_effect
        Setting and detail -> how often it took effect.
    could_not
        Reasons why settings could not be applied.
    """

    output: Path
    printed: str
    took_effect: Mapping[tuple[str, str], int]
    could_not: tuple[str, ...]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an input of 20 tokens with an alignment and two seeds, and a tiny one of 8 tokens."""
    folder = tmp_path_factory.mktemp("inputs")
    write_input(folder / "tiny.json", protein())
    chain = protein(sequence=SEQUENCE, unpairedMsa=ALIGNMENT)
    write_input(folder / "aligned.json", chain, seeds=(1, 2))
    return folder


@pytest.fixture(scope="module")
def weights(inputs: Path, component_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write synthetic weights."""
    from tests.support.fold_program import write_weights

    folder = tmp_path_factory.mktemp("weights")
    write_weights(inputs / "tiny.json", folder)
    return folder


def run(
    inputs: Path, weights: Path, folder: Path, bfloat16: str, settings: Mapping[str, str]
) -> Ran:
    """Run the program with perfkit as a guest; without settings, nothing is adapted."""
    output, journals = folder / "output", folder / "journals"
    output.mkdir()
    journals.mkdir()
    plan = ForeignPlan(
        journals=str(journals),
        adapter="perfkit.models.af3.foreign.adapter" if settings else None,
        watched=WATCHED,
        settings=settings,
    )
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(inputs), str(weights), str(output), bfloat16],
        env=foreign_environment(os.environ, plan),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    (report,) = read_journals(journals)
    counts = Counter[tuple[str, str]]()
    for counted in report.took_effect:
        counts[counted.entry["setting"], counted.entry["detail"]] += counted.first
    return Ran(
        output,
        re.sub(r"\d+\.\d+", "N", done.stdout),
        counts,
        tuple(f"{row.entry['setting']}: {row.entry['reason']}" for row in report.could_not),
    )


@pytest.mark.slow
def test_all_settings_leave_the_answer_of_an_unmodified_program(
    inputs: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # In the program's own bfloat16 the structures would differ by some per cent, so the comparison
    # also shows that the precision was changed.
    own = run(inputs, weights, tmp_path_factory.mktemp("own"), "none", {})
    set_by_perfkit = run(inputs, weights, tmp_path_factory.mktemp("set"), "all", SETTINGS)

    assert own.took_effect == {}
    assert set_by_perfkit.could_not == ()
    assert set_by_perfkit.printed == own.printed
    assert sorted(path.name for path in own.output.iterdir()) == [
        "aligned-1.npz",
        "aligned-2.npz",
        "tiny-1.npz",
    ]
    for path in own.output.iterdir():
        expected = np.load(path)
        found = np.load(set_by_perfkit.output / path.name)
        assert relative_distance(found["positions"], expected["positions"]) < 1e-3
        assert relative_distance(found["pae"], expected["pae"]) < 1e-3

    # Two inputs of different sizes are two programs. The tiny one needs an empty token.
    effects = set_by_perfkit.took_effect
    assert effects["bucket", "20 tokens"] == 1
    assert effects["bucket", "9 tokens"] == 1
    totals = Counter[str]()
    for (setting, _), count in effects.items():
        totals[setting] += count
    assert totals == dict.fromkeys(SETTINGS, 2)


def relative_distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the differences, relative to that of the expected values."""
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
