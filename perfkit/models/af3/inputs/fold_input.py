"""Fold inputs: loading and checking AlphaFold 3's JSON and FASTA, and synthetic proteins."""

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
from perfkit.models.af3.chemistry.component_sets import install_component_sets
from perfkit.models.af3.chemistry.components import ccd_for
from perfkit.models.af3.inputs.alignment_notices import alignment_notices
from perfkit.models.af3.inputs.fasta import fasta_document, is_fasta
from perfkit.models.af3.inputs.input_checks import check_structure
from perfkit.models.af3.inputs.input_document import (
    Json,
    check_document,
    fill_missing,
    settle_repeats,
)
from perfkit.models.af3.inputs.json_file import read_json
from perfkit.models.af3.inputs.server_jobs import DEFAULT_SEED, chosen_job, document_of
from perfkit.models.af3.inputs.structure_notices import structure_notices
from perfkit.models.af3.inputs.upstream_errors import brief, parsing
from perfkit.models.af3.inputs.upstream_warnings import listening
from perfkit.models.af3.package import ensure_installed

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

UBIQUITIN = Path(__file__).parents[1] / "data" / "ubiquitin.json"
"""The shipped fold input: human ubiquitin, the 76 residues of PDB entry 1UBQ."""

_RESIDUE_PERCENT = {
    "A": 8.25, "R": 5.53, "N": 4.06, "D": 5.46, "C": 1.38,
    "Q": 3.93, "E": 6.72, "G": 7.07, "H": 2.27, "I": 5.91,
    "L": 9.65, "K": 5.80, "M": 2.41, "F": 3.86, "P": 4.74,
    "S": 6.64, "T": 5.35, "W": 1.10, "Y": 2.92, "V": 6.86,
}  # fmt: skip
"""Amino-acid composition of UniProtKB/Swiss-Prot in per cent.

Source: SIB Swiss Institute of Bioinformatics, "UniProtKB/Swiss-Prot protein knowledgebase release
statistics", section "Amino acid composition", releases of about 2021; between neighbouring
releases the values differ by 0.01 to 0.02.
"""


def load_fold_input(
    path: Path, *, job: str | None = None, molecule: str | None = None
) -> tuple[Input, tuple[str, ...]]:
    """A fold input that can be featurised, and what a user should know about it.

    Takes what upstream's parser takes: the ``alphafold3`` dialect in all its versions, and a list
    of jobs of the ``alphafoldserver`` dialect; and FASTA. Missing MSAs and templates become empty
    ones (single-sequence prediction).

    Parameters
    ----------
    path
        The JSON or FASTA file; relative paths inside it start from its folder.
    job
        Of a file with several AlphaFold Server jobs the one to take: its name, or its number
        from 1.
    molecule
        Of a FASTA file: ``protein``, ``dna`` or ``rna``, for records whose header does not say so.

    Returns
    -------
    fold_input
        Upstream's input, with every MSA and template list set.
    notices
        One sentence for each thing that was filled in or guessed, and for each that the model
        drops, ignores or replaces.

    Raises
    ------
    UserError
        The file cannot be read, or is not an input that can be predicted; one sentence says why.
    MissingDependencyError
        Something of the ``af3`` extra is not installed.
    """
    ensure_installed()
    install_component_sets()
    document, notices = _document(path, job, molecule)
    _check_dialect(document, path)
    check_document(document, path)
    notices += settle_repeats(document)
    notices += fill_missing(document)
    with listening() as heard:
        fold_input = _parse(document, path)
        with _naming(path):
            ccd = ccd_for(fold_input)
            kept = check_structure(fold_input, ccd)
            notices += structure_notices(fold_input, kept, ccd)
            notices += alignment_notices(fold_input, kept.residues)
    return fold_input, notices + heard.notices


def jobs_in(path: Path) -> int:
    """How many jobs a file holds: several only where it is a list of the AlphaFold Server.

    Raises
    ------
    UserError
        It cannot be read.
    """
    if is_fasta(path):
        return 1
    raw = read_json(path)
    return len(raw) if isinstance(raw, list) else 1


def synthetic_protein(residues: int, seed: int) -> Input:
    """One protein chain of random sequence and natural amino-acid composition.

    The same arguments give the same sequence on every machine. MSAs and templates are empty.

    Parameters
    ----------
    residues
        Length of the chain.
    seed
        Seed of the sequence; the model's own seed is always 1.

    Raises
    ------
    UserError
        ``residues`` is not positive.
    """
    if residues < 1:
        raise UserError(f"a protein needs at least 1 residue, not {residues}")
    ensure_installed()
    # Only Random.random is promised to give the same numbers in every version of Python.
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
    """The input as a document of the ``alphafold3`` dialect, and notices."""
    if is_fasta(path):
        if job is not None:
            raise UserError(f"--job chooses among AlphaFold Server jobs, and {path} is FASTA")
        return fasta_document(path, molecule)
    if molecule is not None:
        raise UserError(f"--molecule says what FASTA records are, and {path} is no FASTA")
    raw = read_json(path)
    if isinstance(raw, list):
        return document_of(chosen_job(raw, job, path), path)
    if not isinstance(raw, dict):
        raise UserError(f"{path} is not a fold input: it holds no JSON object")
    if job is not None:
        raise UserError(
            f"--job chooses among AlphaFold Server jobs, and {path} is a single fold input"
        )
    return raw, ()


def _check_dialect(raw: Json, path: Path) -> None:
    """Refuses a foreign dialect or version before its keys are judged by ours."""
    from alphafold3.common import folding_input

    for key, accepted in (
        ("dialect", (folding_input.JSON_DIALECT,)),
        ("version", folding_input.JSON_VERSIONS),
    ):
        if raw.get(key) not in accepted:
            wanted = ", ".join(json.dumps(each) for each in accepted)
            found = f"is {brief(json.dumps(raw[key]))}" if key in raw else "is missing"
            if raw.get(key) == folding_input.ALPHAFOLDSERVER_JSON_DIALECT:
                found += ", whose jobs stand in a list ([...])"
            raise UserError(f"{path}: the input's {key} {found}; accepted: {wanted}")


def _parse(document: Json, path: Path | None) -> Input:
    from alphafold3.common import folding_input

    with parsing(path):
        parsed: Input = folding_input.Input.from_json(json.dumps(document), path)
    return parsed


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the file's name before the sentence of a check that does not know it."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{path}: {error}") from error
