"""Folders of structures are compared by their distributions over seeds, through the command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from perfkit.cli.main import main

pytest.importorskip("biotite", reason="structures are read with biotite")

SEEDS = tuple(range(1, 9))
HELIX = np.array([[2.3 * np.cos(1.745 * n), 2.3 * np.sin(1.745 * n), 1.5 * n] for n in range(20)])
"""Alpha carbons of an ideal helix in ångström: 100 degrees and 1.5 Å per residue."""

type Bend = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def as_it_is(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    return positions


def bent(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move the second half 4 Å sideways."""
    moved: NDArray[np.float64] = positions.copy()
    moved[10:, 0] += 4.0
    return moved


def write(
    folder: Path, seeds: Sequence[int], entropy: int, bend: Bend = as_it_is, plddt: float = 80.0
) -> Path:
    """Write one structure for each seed: the helix with noise of 0.5 Å, turned at random."""
    from biotite.structure import Atom, array
    from biotite.structure.io import pdbx

    for seed in seeds:
        rng = np.random.default_rng([seed, entropy])
        noisy = bend(HELIX + 0.5 * rng.normal(size=HELIX.shape))
        turned = Rotation.random(rng=rng).apply(noisy) + rng.normal(size=3)
        confidence = plddt + rng.normal(size=len(noisy))
        atoms = array(
            [
                Atom(
                    position,
                    chain_id="A",
                    res_id=number,
                    res_name="ALA",
                    atom_name="CA",
                    element="C",
                    b_factor=value,
                )
                for number, (position, value) in enumerate(zip(turned, confidence, strict=True), 1)
            ]
        )
        place = folder / "ubiquitin" / f"seed-{seed}_sample-0"
        place.mkdir(parents=True)
        file = pdbx.CIFFile()
        pdbx.set_structure(file, atoms, data_block="model")
        file.write(place / "ubiquitin_seed_model.cif")
    return folder


def compare(first: Path, second: Path) -> int:
    return main(["compare", str(first), str(second), "--structures"])


def test_structures_of_one_distribution_do_not_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [write(tmp_path / name, SEEDS, entropy) for name, entropy in (("a", 1), ("b", 2))]
    assert compare(*folders) == 0
    shown = capsys.readouterr().out
    assert "no difference between the distributions over 8 seeds was found" in shown
    (rmsd,) = [line for line in shown.splitlines() if "RMSD" in line]
    values = [float(cell.split()[0]) for cell in rmsd.split("│")[2:5]]
    # Noise of 0.5 Å on either side in three dimensions: sqrt(2 * 3) * 0.5 = 1.22 Å, of which the
    # superposition takes six of sixty degrees of freedom: 1.22 * sqrt(54 / 60) = 1.16 Å.
    assert values == pytest.approx([1.16] * 3, rel=0.1)


@pytest.mark.parametrize(
    ("bend", "plddt", "named"), [(bent, 80.0, "differ in RMSD"), (as_it_is, 60.0, "differ in mean")]
)
def test_another_structure_and_another_confidence_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bend: Bend, plddt: float, named: str
) -> None:
    first = write(tmp_path / "a", SEEDS, 1)
    assert compare(first, write(tmp_path / "b", SEEDS, 2, bend, plddt)) == 1
    assert f"the distributions over 8 seeds {named}" in capsys.readouterr().out


def test_other_seeds_are_compared_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write(tmp_path / "a", SEEDS, 1)
    other = write(tmp_path / "b", [seed + 100 for seed in SEEDS], 1, bent)
    assert compare(first, other) == 1
    assert "differ in RMSD" in capsys.readouterr().out


def test_too_few_seeds_are_said_to_show_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write(tmp_path / "a", SEEDS[:3], 1)
    assert compare(first, write(tmp_path / "b", SEEDS[:3], 2, bent)) == 0
    assert "3 seeds are too few to show any difference" in capsys.readouterr().out


def test_folders_that_cannot_be_compared_are_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write(tmp_path / "a", SEEDS, 1)
    empty, broken = tmp_path / "empty", tmp_path / "broken" / "seed-1_sample-0"
    empty.mkdir()
    broken.mkdir(parents=True)
    (broken / "x_model.cif").write_text("not a structure")
    half = write(tmp_path / "half", [1, 2, 30], 1)
    shorter = write(tmp_path / "c", SEEDS, 2, lambda positions: positions[:7])
    for folder, reason in (
        (empty, "holds no file seed-*_sample-*/*model.cif"),
        (broken.parent, "is not a readable mmCIF file"),
        (tmp_path / "missing", "is not a folder"),
        (half, "share only some of their seeds"),
        (shorter, "do not have the same atoms"),
    ):
        assert main(["compare", str(first), str(folder), "--structures"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert reason in line
