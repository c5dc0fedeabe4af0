"""Fold inputs: loading and checking AlphaFold 3's JSON, and making synthetic proteins."""

from __future__ import annotations

import bisect
import itertools
import json
import lzma
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.errors import UserError
from perfkit.models.af3.component_sets import install_component_sets
from perfkit.models.af3.components import ccd_for
from perfkit.models.af3.input_checks import brief, check_alignments, check_structure
from perfkit.models.af3.input_document import Json, check_document, fill_missing
from perfkit.models.af3.package import ensure_installed
from perfkit.models.af3.quiet import quiet_upstream

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

UBIQUITIN = Path(__file__).parent / "data" / "ubiquitin.json"
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

_DEFAULT_SEED = 1


def load_fold_input(path: Path) -> tuple[Input, tuple[str, ...]]:
    """A fold input that can be featurised, and what a user should know about it.

    Takes what upstream's parser takes: the ``alphafold3`` dialect in all its versions, and a list
    with one job of the ``alphafoldserver`` dialect. Missing MSAs and templates become empty ones
    (single-sequence prediction).

    Parameters
    ----------
    path
        The JSON file; relative paths inside it start from its folder.

    Returns
    -------
    fold_input
        Upstream's input, with every MSA and template list set.
    notices
        One sentence for each thing that was filled in.

    Raises
    ------
    UserError
        The file cannot be read, or is not an input that can be predicted; one sentence says why.
    MissingDependencyError
        Something of the ``af3`` extra is not installed.
    """
    ensure_installed()
    install_component_sets()
    raw = _read_json(path)
    notices: tuple[str, ...] = ()
    if isinstance(raw, list) and len(raw) != 1:
        raise UserError(
            f"{path} holds {len(raw)} AlphaFold Server jobs; put the one to run in a file of its "
            "own"
        )
    document = raw[0] if isinstance(raw, list) else raw
    if not isinstance(document, dict):
        raise UserError(f"{path} is not a fold input: it holds no JSON object")
    if isinstance(raw, list):
        document, notices = _from_server_dialect(document, path)
    _check_dialect(document, path)
    check_document(document, path)
    notices += fill_missing(document)
    fold_input = _parse(document, path)
    with _naming(path), quiet_upstream():
        check_structure(fold_input, ccd_for(fold_input))
        check_alignments(fold_input)
    return fold_input, notices


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
        "modelSeeds": [_DEFAULT_SEED],
        "sequences": [{"protein": chain}],
    }
    return _parse(document, None)


def _read_json(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"the input {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the input {path} is not a text file in UTF-8") from error
    if not text.strip():
        raise UserError(f"the input {path} is empty")
    try:
        raw: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"the input {path} is not valid JSON: {error.msg} "
            f"in line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise UserError(f"the input {path} is not valid JSON: it is nested too deeply") from error
    return raw


def _check_dialect(raw: Json, path: Path) -> None:
    """Refuses a foreign dialect or version before its keys are judged by ours."""
    from alphafold3.common import folding_input

    for key, accepted in (
        ("dialect", (folding_input.JSON_DIALECT,)),
        ("version", folding_input.JSON_VERSIONS),
    ):
        if raw.get(key) not in accepted:
            wanted = ", ".join(json.dumps(each) for each in accepted)
            found = f"is {json.dumps(raw[key])}" if key in raw else "is missing"
            raise UserError(f"{path}: the input's {key} {found}; accepted: {wanted}")


def _from_server_dialect(job: Json, path: Path) -> tuple[Json, tuple[str, ...]]:
    """An AlphaFold Server job as an ``alphafold3`` document, and notices."""
    from alphafold3.common import folding_input

    notices: tuple[str, ...] = ()
    if not job.get("modelSeeds"):
        # Upstream draws a random seed, which no second process could repeat.
        job = {**job, "modelSeeds": [_DEFAULT_SEED]}
        notices = (f"no model seed given, {_DEFAULT_SEED} is used",)
    with _parsing(path):
        parsed = folding_input.Input.from_alphafoldserver_fold_job(job)
        document: Json = json.loads(parsed.to_json())
    return document, notices


def _parse(document: Json, path: Path | None) -> Input:
    from alphafold3.common import folding_input

    with _parsing(path), quiet_upstream():
        parsed: Input = folding_input.Input.from_json(json.dumps(document), path)
    return parsed


@contextmanager
def _parsing(path: Path | None) -> Iterator[None]:
    """What upstream's parser raises for a bad input, as one sentence."""
    import zstandard

    try:
        yield
    except KeyError as error:
        raise UserError(f"{path}: the key {error} is missing") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a valid fold input: {brief(error)}") from error
    except (OSError, EOFError, lzma.LZMAError, zstandard.ZstdError) as error:
        raise UserError(f"a file that {path} refers to cannot be read: {error}") from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the file's name before the sentence of a check that does not know it."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{path}: {error}") from error
