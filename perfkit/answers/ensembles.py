"""Compares two folders of predicted structures by their distributions over random seeds.

Rounding grows in a sampler of hundreds of steps until two correct programs give two structures for
one seed. Structures are then no longer compared one by one. What two correct programs share is the
distribution over seeds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perfkit.answers.agreement import superpose
from perfkit.errors import MissingDependencyError, UserError
from perfkit.stats.energy import EnergyTest, energy_test

LEVEL = 0.05
"""Probability of finding any difference where there is none."""

LONGEST_REASON = 300
"""Most characters of the reason why a file cannot be read, which may quote the file."""

_READ_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Exceptions of biotite for damaged files; the place of the damage decides which."""

_FOLDER = re.compile(r"seed-(?P<seed>\d+)_sample-(?P<sample>\d+)")


@dataclass(frozen=True)
class Prediction:
    """One predicted structure.

    Attributes
    ----------
    seed, sample
        Random seed, and number of the sample of that seed.
    atoms
        Chain, residue and name of each atom.
    positions
        In ångström, shape ``(atoms, 3)``.
    plddt
        Confidence of each atom, 0 to 100, shape ``(atoms,)``.
    """

    seed: int
    sample: int
    atoms: tuple[tuple[str, int, str], ...]
    positions: NDArray[np.float64]
    plddt: NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """How two sets of predictions compare in one measure of distance.

    Attributes
    ----------
    name, unit
        What the distance is, and its unit.
    within_first, within_second, between
        Median distance of two predictions of different seeds: both of the first set, both of the
        second, one of each; NaN if there is no such pair.
    test
        Whether the sets may have one distribution.
    """

    name: str
    unit: str
    within_first: float
    within_second: float
    between: float
    test: EnergyTest


@dataclass(frozen=True)
class EnsembleComparison:
    """How two sets of predictions compare.

    Attributes
    ----------
    seeds
        Number of seeds of each set.
    measures
        Each measure of distance.
    """

    seeds: tuple[int, int]
    measures: tuple[Measure, ...]

    @property
    def level(self) -> float:
        """Largest p-value that is called a difference: :data:`LEVEL`, shared by the measures."""
        return LEVEL / len(self.measures)

    @property
    def too_few(self) -> bool:
        """Whether so few seeds could not show any difference."""
        return any(each.test.smallest_p_value > self.level for each in self.measures)

    @property
    def differing(self) -> tuple[Measure, ...]:
        """The measures in which the distributions differ."""
        return tuple(each for each in self.measures if each.test.p_value <= self.level)

    def sentence(self) -> str:
        """Return the verdict in one sentence."""
        seeds = str(self.seeds[0]) if len(set(self.seeds)) == 1 else "{} and {}".format(*self.seeds)
        if self.too_few:
            return f"{seeds} seeds are too few to show any difference: predict more of them"
        if self.differing:
            names = " and ".join(each.name for each in self.differing)
            return f"the distributions over {seeds} seeds differ in {names}"
        return (
            f"no difference between the distributions over {seeds} seeds was found; one that is "
            "small compared with the spread over seeds would need more of them"
        )


def compare_folders(first: Path, second: Path) -> EnsembleComparison:
    """Compare the structures in two folders of predictions, such as two outputs of a model.

    Parameters
    ----------
    first, second
        Folders with files ``seed-S_sample-N/*model.cif`` at any depth, as AlphaFold 3 writes them.

    Raises
    ------
    UserError
        A folder holds no structures or some of another molecule, or the folders share only some of
        their seeds.
    MissingDependencyError
        biotite, which reads mmCIF, is not installed.
    """
    return compare_predictions(read_predictions(first), read_predictions(second))


def compare_predictions(
    first: Sequence[Prediction], second: Sequence[Prediction]
) -> EnsembleComparison:
    """Compare two sets of predictions of one molecule; parameters and errors as the folders'."""
    both = [*first, *second]
    if any(each.atoms != both[0].atoms for each in both):
        raise UserError("the structures do not have the same atoms: predict the same input twice")
    seeds = [{each.seed for each in group} for group in (first, second)]
    if seeds[0] & seeds[1] and seeds[0] != seeds[1]:
        raise UserError(
            "the two share only some of their seeds: predict the same seeds twice, or other ones"
        )
    is_second = [False] * len(first) + [True] * len(second)
    measures: Mapping[tuple[str, str], Callable[[Prediction, Prediction], float]] = {
        ("RMSD", "Å"): _rmsd,
        ("mean pLDDT", ""): _plddt_difference,
    }
    return EnsembleComparison(
        (len(seeds[0]), len(seeds[1])),
        tuple(
            _measure(name, unit, both, is_second, distance)
            for (name, unit), distance in measures.items()
        ),
    )


def read_predictions(folder: Path) -> list[Prediction]:
    """Read the structures of a folder, sorted by seed and sample; see :func:`compare_folders`."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    found = {}
    for path in sorted(folder.rglob("*model.cif")):
        place = _FOLDER.fullmatch(path.parent.name)
        if place is not None:
            key = int(place["seed"]), int(place["sample"])
            if key in found:
                raise UserError(f"{folder} holds seed {key[0]}, sample {key[1]} more than once")
            found[key] = _read(path, *key)
    if not found:
        raise UserError(f"{folder} holds no file seed-*_sample-*/*model.cif")
    return [found[key] for key in sorted(found)]


def _read(path: Path, seed: int, sample: int) -> Prediction:
    try:
        from biotite.file import DeserializationError, InvalidFileError
        from biotite.structure.io import pdbx
    except ImportError as error:
        raise MissingDependencyError(
            "structures are read with biotite: install it with pip install biotite"
        ) from error
    try:
        atoms: Any = pdbx.get_structure(pdbx.CIFFile.read(path), model=1, extra_fields=["b_factor"])
    except (DeserializationError, InvalidFileError, *_READ_ERRORS) as error:
        reason = " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__
        raise UserError(f"{path} is not a readable mmCIF file: {reason}") from error
    names = zip(atoms.chain_id, atoms.res_id, atoms.atom_name, strict=True)
    positions = np.asarray(atoms.coord, np.float64)
    plddt = np.asarray(atoms.b_factor, np.float64)
    if not (positions.size and np.isfinite(positions).all() and np.isfinite(plddt).all()):
        raise UserError(f"{path} has no atoms, or values of atoms that are not finite")
    return Prediction(
        seed,
        sample,
        tuple((str(chain), int(residue), str(name)) for chain, residue, name in names),
        positions,
        plddt,
    )


def _measure(
    name: str,
    unit: str,
    predictions: Sequence[Prediction],
    is_second: Sequence[bool],
    distance: Callable[[Prediction, Prediction], float],
) -> Measure:
    count = len(predictions)
    distances = np.zeros((count, count))
    for row in range(count):
        for column in range(row):
            apart = distance(predictions[row], predictions[column])
            distances[row, column] = distances[column, row] = apart
    seeds = np.array([each.seed for each in predictions])
    second = np.array(is_second)
    others = seeds[:, None] != seeds[None]

    def median(pairs: NDArray[np.bool_]) -> float:
        chosen = distances[pairs & others]
        return float(np.median(chosen)) if chosen.size else float("nan")

    return Measure(
        name,
        unit,
        median(~second[:, None] & ~second[None]),
        median(second[:, None] & second[None]),
        median(~second[:, None] & second[None]),
        energy_test(distances, is_second, seeds.tolist()),
    )


def _rmsd(first: Prediction, second: Prediction) -> float:
    """Return the root mean square displacement of all atoms after superposition, in ångström."""
    moved = superpose(first.positions, second.positions)
    return float(np.sqrt(np.mean(np.sum((moved - second.positions) ** 2, axis=-1))))


def _plddt_difference(first: Prediction, second: Prediction) -> float:
    return abs(float(first.plddt.mean()) - float(second.plddt.mean()))
