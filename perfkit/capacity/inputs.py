"""Fold inputs as jobs: AlphaFold 3 JSON and FASTA files, their tokens counted as the model does."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit.capacity.jobs import Job, Reject, production, without_repeats
from perfkit.errors import UserError

FASTA_SUFFIXES = (".fasta", ".fa", ".faa")
JSON_SUFFIX = ".json"

DNA, RNA = frozenset("ACGTN"), frozenset("ACGUN")

FASTA_SEED = 1
"""A FASTA file names no seeds."""

MSA_NOTICE = (
    "it brings an MSA: under msa_rows=needed its trunk takes longer than that of the "
    "single-sequence inputs that a fit measures"
)


@dataclass(frozen=True)
class Given:
    """What a fold input says of itself."""

    name: str
    tokens: int
    seeds: int
    notices: tuple[str, ...]


def read_input(path: Path) -> Given:
    """Tokens and seeds of an AlphaFold 3 JSON or a FASTA file.

    Raises
    ------
    UserError
        It cannot be read, or is no input that can be predicted.
    """
    if path.suffix.lower() in FASTA_SUFFIXES:
        with tempfile.TemporaryDirectory(prefix="perfkit-") as folder:
            written = Path(folder) / "input.json"
            written.write_text(json.dumps(fasta_document(path)))
            return _read_json(written)
    return _read_json(path)


def _read_json(path: Path) -> Given:
    from perfkit.models.af3.inputs import load_fold_input
    from perfkit.models.af3.tokens import count_tokens

    fold_input, _ = load_fold_input(path)
    chains = [*fold_input.protein_chains, *fold_input.rna_chains]
    notices = (MSA_NOTICE,) if any(chain.unpaired_msa for chain in chains) else ()
    return Given(fold_input.name, count_tokens(fold_input), len(fold_input.rng_seeds), notices)


def with_seeds(options: Mapping[str, str], seeds: int) -> str:
    """The fold input that ``options`` of ``perfkit run`` name, as JSON with seeds 1, 2, ....

    Raises
    ------
    UserError
        It cannot be read.
    """
    from perfkit.models.af3.inputs import load_fold_input, synthetic_protein
    from perfkit.models.af3.model import SEQUENCE_SEED

    if "size" in options:
        fold_input = synthetic_protein(int(options["size"]), SEQUENCE_SEED)
    else:
        path = Path(options["input"])
        if path.suffix.lower() in FASTA_SUFFIXES:
            return json.dumps({**fasta_document(path), "modelSeeds": list(range(1, seeds + 1))})
        fold_input, _ = load_fold_input(path)
    chosen = dataclasses.replace(fold_input, rng_seeds=tuple(range(1, seeds + 1)))
    return str(chosen.to_json())


def fasta_document(path: Path) -> dict[str, Any]:
    """A FASTA file as one fold input: every record is a chain of the same complex.

    Sequences of only ACGT (or N) are DNA, of only ACGU RNA, all others protein.

    Raises
    ------
    UserError
        The file cannot be read, or holds no sequence.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"the input {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the input {path} is not a text file in UTF-8") from error
    sequences: list[str] = []
    for line in (each.strip() for each in lines):
        if line.startswith(">"):
            sequences.append("")
        elif line and not sequences:
            raise UserError(f"the input {path} is no FASTA: its first line does not begin with >")
        elif line:
            sequences[-1] += line.upper().removesuffix("*")
    if not sequences:
        raise UserError(f"the input {path} holds no sequence")
    empty = next((number for number, each in enumerate(sequences, 1) if not each), None)
    if empty is not None:
        raise UserError(f"{path}: record {empty} has no sequence")
    return {
        "dialect": "alphafold3",
        "version": 1,
        "name": path.stem,
        "modelSeeds": [FASTA_SEED],
        "sequences": [
            {_kind(sequence): {"id": _chain_id(number), "sequence": sequence}}
            for number, sequence in enumerate(sequences)
        ],
    }


def _kind(sequence: str) -> str:
    letters = set(sequence)
    return "dna" if letters <= DNA else "rna" if letters <= RNA else "protein"


def _chain_id(number: int) -> str:
    """A, B, ..., Z, AA, BA, ... as mmCIF has it."""
    letters = ""
    number += 1
    while number:
        number, place = divmod(number - 1, 26)
        letters += chr(ord("A") + place)
    return letters


def read_folder(folder: Path) -> tuple[list[Job], list[Reject]]:
    """A job for each fold input of a folder; files that are none are rejects.

    Raises
    ------
    UserError
        The folder holds no such file.
    """
    suffixes = (JSON_SUFFIX, *FASTA_SUFFIXES)
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not paths:
        raise UserError(f"{folder} holds no fold input ({', '.join(suffixes)})")
    jobs: list[Job] = []
    rejects: list[Reject] = []
    for path in paths:
        try:
            given = read_input(path)
        except UserError as error:
            rejects.append(Reject(path.stem, str(path), str(error).removeprefix(f"{path}: ")))
            continue
        fidelity = production("af3", seeds=given.seeds)
        options = {"input": str(path.resolve())}
        jobs.append(
            Job(
                given.name,
                "af3",
                given.tokens,
                fidelity,
                options,
                0,
                str(path),
                given.seeds,
                given.notices,
            )
        )
    return without_repeats(jobs, rejects)
