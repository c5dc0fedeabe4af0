"""Loads and checks fold inputs (AlphaFold 3's JSON, FASTA) and makes synthetic proteins."""

from __future__ import annotations

import bisect
import itertools
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.components import DictionaryFor, ccd_for
from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets
from perfkit.models.af3.inputs.fasta import fasta_document, is_fasta
from perfkit.models.af3.inputs.input_checks import check_structure
from perfkit.models.af3.inputs.input_document import (
    check_document,
    fill_missing,
    remove_repeats,
)
from perfkit.models.af3.inputs.json_file import read_json
from perfkit.models.af3.inputs.json_schema import DEFAULT_SEED, Json
from perfkit.models.af3.inputs.msa_template_notices import msa_template_notices
from perfkit.models.af3.inputs.server_jobs import chosen_job, document_of
from perfkit.models.af3.inputs.structure_notices import structure_notices
from perfkit.models.af3.inputs.upstream_errors import brief, parsing
from perfkit.models.af3.inputs.upstream_warnings import capture_warnings
from perfkit.models.af3.package import ensure_installed

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

UBIQUITIN = Path(__file__).parents[1] / "data" / "ubiquitin.json"
"""The default fold input: human ubiquitin, the 76 residues of PDB entry 1UBQ."""

_RESIDUE_PERCENT = {
    "A": 8.25, "R": 5.53, "N": 4.06, "D": 5.46, "C": 1.38,
    "Q": 3.93, "E": 6.72, "G": 7.07, "H": 2.27, "I": 5.91,
    "L": 9.65, "K": 5.80, "M": 2.41, "F": 3.86, "P": 4.74,
    "S": 6.64, "T": 5.35, "W": 1.10, "Y": 2.92, "V": 6.86,
}  # fmt: skip
"""Amino-acid composition of UniProtKB/Swiss-Prot, in per cent.

Source: SIB Swiss Institute of Bioinformatics, "UniProtKB/Swiss-Prot protein knowledgebase release
statistics", section "Amino acid composition", releases of about 2021. Values of neighbouring
releases differ by 0.01 to 0.02.
"""


def load_fold_input(
    path: Path,
    *,
    job: str | None = None,
    molecule: str | None = None,
    fix_standalone_glycans: bool = False,
    dictionary_for: DictionaryFor = ccd_for,
) -> tuple[Input, tuple[str, ...]]:
    """Load a fold input that can be featurised.

    Accepts FASTA and everything that upstream's parser accepts: all versions of the
    ``alphafold3`` dialect, and lists of jobs of the ``alphafoldserver`` dialect. Missing MSAs and
    templates become empty ones (single-sequence prediction).

    Parameters
    ----------
    path
        The JSON or FASTA file. Relative paths inside it start from its folder.
    job
        Name of the AlphaFold Server job to use, or its number from 1; needed only for a file
        with several jobs.
    molecule
        ``protein``, ``dna`` or ``rna``: the type of FASTA records whose header does not state it.
    fix_standalone_glycans
        Whether glycans that are bonded to nothing keep their leaving atom.
    dictionary_for
        Returns the component dictionary of the parsed input.

    Returns
    -------
    fold_input
        Upstream's input, with every MSA and template list set.
    notices
        One sentence for each value that was filled in or guessed, and for each part of the input
        that the model drops, ignores or replaces.

    Raises
    ------
    UserError
        The file cannot be read, or the model cannot predict the input; the message says why.
    MissingDependencyError
        A package that the model or perfkit needs is not installed.
    """
    ensure_installed()
    provide_glycan_ion_sets()
    document, notices = _document(path, job, molecule)
    _check_dialect(document, path)
    check_document(document, path)
    notices += remove_repeats(document)
    notices += fill_missing(document)
    with capture_warnings() as captured:
        fold_input = _parse(document, path)
        with _naming(path):
            ccd = dictionary_for(fold_input)
            structure = check_structure(
                fold_input, ccd, fix_standalone_glycans=fix_standalone_glycans
            )
            notices += structure_notices(fold_input, structure, ccd)
            notices += msa_template_notices(fold_input, structure.residues)
    return fold_input, notices + captured.notices


def jobs_in(path: Path) -> int:
    """Count the jobs of a file. Only lists of the AlphaFold Server hold more than one.

    Raises
    ------
    UserError
        The file cannot be read.
    """
    if is_fasta(path):
        return 1
    raw = read_json(path)
    return len(raw) if isinstance(raw, list) else 1


def synthetic_protein(residues: int, seed: int) -> Input:
    """Make a protein chain of random sequence and natural amino-acid composition.

    Equal arguments give the same sequence on every machine. MSAs and templates are empty.

    Parameters
    ----------
    residues
        Length of the chain in residues.
    seed
        Seed of the sequence. The model's own seed is always 1.

    Raises
    ------
    UserError
        ``residues`` is not positive.
    """
    if residues < 1:
        raise UserError(f"a protein needs at least 1 residue, not {residues}")
    ensure_installed()
    # Python guarantees the same numbers in every version for Random.random only.
    generator = random.Random(seed)
    letters = list(_RESIDUE_PERCENT)
    *bounds, total = itertools.accumulate(_RESIDUE_PERCENT.values())
    sequence = "".join(
        letters[bisect.bisect_right(bounds, generator.random() * total)] for _ in range(residues)
    )
    chain = {
        "id": "A",
        "sequence": sequence,
        "unpairedMsa": "",
        "pairedMsa": "",
        "templates": [],
    }
    document = {
        "dialect": "alphafold3",
        "version": 1,
        "name": f"synthetic-{residues}-{seed}",
        "modelSeeds": [DEFAULT_SEED],
        "sequences": [{"protein": chain}],
    }
    return _parse(document, None)


def _document(path: Path, job: str | None, molecule: str | None) -> tuple[Json, tuple[str, ...]]:
    """Read an input as a document of the ``alphafold3`` dialect, with notices."""
    if is_fasta(path):
        if job is not None:
            raise UserError(
                f"--job selects an AlphaFold Server job, but {path} is FASTA: leave it out"
            )
        return fasta_document(path, molecule)
    if molecule is not None:
        raise UserError(
            f"--molecule gives the type of FASTA records, but {path} is not FASTA: leave it out"
        )
    raw = read_json(path)
    if isinstance(raw, list):
        return document_of(chosen_job(raw, job, path), path)
    if not isinstance(raw, dict):
        raise UserError(f"{path} is not a fold input: it is not a JSON object")
    if job is not None:
        raise UserError(
            f"--job selects an AlphaFold Server job, but {path} is a single fold input: leave it "
            "out"
        )
    return raw, ()


def _check_dialect(raw: Json, path: Path) -> None:
    """Refuse an unknown dialect or version before its keys are checked."""
    from alphafold3.common import folding_input

    for key, accepted in (
        ("dialect", (folding_input.JSON_DIALECT,)),
        ("version", folding_input.JSON_VERSIONS),
    ):
        if raw.get(key) not in accepted:
            wanted = ", ".join(json.dumps(value) for value in accepted)
            found = f"is {brief(json.dumps(raw[key]))}" if key in raw else "is missing"
            if raw.get(key) == folding_input.ALPHAFOLDSERVER_JSON_DIALECT:
                found += ", whose jobs must be in a list ([...])"
            raise UserError(f"{path}: the input's {key} {found}; accepted: {wanted}")


def _parse(document: Json, path: Path | None) -> Input:
    from alphafold3.common import folding_input

    with parsing(path):
        parsed: Input = folding_input.Input.from_json(json.dumps(document), path)
    return parsed


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Prefix the message of a check with the file's name, which the check does not know."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{path}: {error}") from error
