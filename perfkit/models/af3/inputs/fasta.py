"""FASTA as fold inputs: every record a chain of one complex, its molecule never guessed in silence.

Understood are the headers of UniProt, the PDB, NCBI, Boltz, Chai and ColabFold, which joins the
chains of a complex by a colon.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.molecules import (
    KINDS,
    NAMES,
    Said,
    from_header,
    from_letters,
    from_suffix,
)
from perfkit.models.af3.inputs.text_file import read_text

type Json = dict[str, object]

SUFFIXES = (".fasta", ".fa", ".fas", ".faa", ".fna", ".ffn", ".frn")

SEED = 1
"""A FASTA file names no seeds."""

_LINE_END = re.compile(r"\r\n|\r|\n")

_DROPPED = {
    "gaps": re.compile(r"[-.]"),
    "digits": re.compile(r"[0-9]"),
}
"""What alignments and numbered listings hold that is no residue."""

_PDB_CHAINS = re.compile(r"\|Chains ([^|]+)")
"""The PDB's FASTA has one record for several copies of a chain."""

_LONGEST_HEADER = 40
"""Characters of a header that are shown."""


@dataclass(frozen=True)
class _Record:
    number: int
    header: str
    text: str

    @property
    def place(self) -> str:
        """What messages call it."""
        header = self.header
        if len(header) > _LONGEST_HEADER:
            header = header[:_LONGEST_HEADER] + "..."
        return f"record {self.number} {header!r}"


def is_fasta(path: Path) -> bool:
    """Whether a file is FASTA: by its suffix, else by the character that it begins with."""
    if path.suffix.lower() in SUFFIXES:
        return True
    if path.suffix.lower() == ".json":
        return False
    try:
        with path.open(encoding="utf-8-sig") as file:
            return next((line for line in file if line.strip()), "").lstrip().startswith(">")
    except (OSError, ValueError):
        return False


def fasta_document(path: Path, molecule: str | None = None) -> tuple[Json, tuple[str, ...]]:
    """A FASTA file as a document of the ``alphafold3`` dialect, and what was made of it.

    Parameters
    ----------
    path
        The file.
    molecule
        ``protein``, ``dna`` or ``rna``: what the records are whose header does not say so.

    Raises
    ------
    UserError
        The file cannot be read or holds no sequence, a record holds something else, or the
        molecule contradicts a header.
    """
    if molecule is not None and molecule not in KINDS:
        raise UserError(f"--molecule takes {', '.join(KINDS)}, not {molecule!r}")
    records = list(_records(read_text(path), path))
    if not records:
        raise UserError(f"the input {path} holds no sequence")
    notices = list(_record_notices(records))
    entries: list[Json] = []
    for record in records:
        said = _molecule(record, path, molecule)
        if said.notice:
            notices.append(f"{record.place}: {said.notice}")
        for text in _chains(record, said, path, notices):
            entries.append(_entry(said.kind, _chain_id(len(entries)), text))
    document: Json = {
        "dialect": "alphafold3",
        "version": 1,
        "name": path.stem if re.search(r"[A-Za-z0-9_.-]", path.stem) else "fasta",
        "modelSeeds": [SEED],
        "sequences": entries,
    }
    return document, tuple(notices)


def _records(text: str, path: Path) -> Iterator[_Record]:
    header: str | None = None
    lines: list[str] = []
    number = 0
    for line in itertools.chain(map(str.strip, _LINE_END.split(text)), [">"]):
        if line.startswith(">"):
            if header is not None:
                number += 1
                yield _Record(number, header, "".join("".join(lines).split()))
            header, lines = line[1:].strip(), []
        elif line.startswith(";") or not line:
            continue
        elif header is None:
            raise UserError(f"the input {path} is no FASTA: its first line does not begin with >")
        else:
            lines.append(line)


def _record_notices(records: Sequence[_Record]) -> Iterator[str]:
    if len(records) > 1:
        yield f"the {len(records)} records of the FASTA file are the chains of one complex"
    for header, count in Counter(record.header for record in records).items():
        if count > 1:
            yield f"the header {header!r} names {count} records, all of which are predicted"
    for record in records:
        copies = _PDB_CHAINS.search(record.header)
        if copies:
            yield f"{record.place}: one chain is predicted, not the copies {copies[1].strip()}"


def _molecule(record: _Record, path: Path, molecule: str | None) -> Said:
    said = from_header(record.header)
    if said is not None and said.certain:
        if molecule is not None and said.kind != molecule:
            raise UserError(
                f"{path}: {record.place} says that it is {NAMES[said.kind]}, "
                f"and --molecule says {molecule}: leave one of them out"
            )
        return said
    if molecule is not None:
        return Said(molecule, certain=True)
    residues = re.sub(r"[^A-Z]", "", record.text.upper())
    by_suffix = from_suffix(path.suffix.lower(), residues)
    return by_suffix or (said if said and said.fits(residues) else from_letters(residues))


def _chains(record: _Record, said: Said, path: Path, notices: list[str]) -> Iterator[str]:
    """The sequences of a record, without what is no residue; each loss is a notice."""
    if said.kind in ("smiles", "ccd"):
        if not record.text:
            raise UserError(f"{path}: {record.place} has no sequence")
        yield record.text
        return
    for text in record.text.split(":"):
        residues = text.upper()
        if residues.endswith("*"):
            residues = residues.rstrip("*")
            notices.append(f"{record.place}: the stop sign * at the end is left out")
        for name, pattern in _DROPPED.items():
            residues, count = pattern.subn("", residues)
            if count:
                notices.append(f"{record.place}: {count} {name} are left out")
        if said.kind == "rna" and "T" in residues:
            notices.append(f"{record.place}: {residues.count('T')} T are read as U of RNA")
            residues = residues.replace("T", "U")
        if not residues:
            raise UserError(
                f"{path}: {record.place} has no sequence"
                + (" between two colons" if ":" in record.text else "")
            )
        wrong = next((letter for letter in residues if not "A" <= letter <= "Z"), None)
        if wrong is not None:
            raise UserError(
                f"{path}: {record.place} holds {wrong!r}, which is no residue: "
                "a sequence is letters, with ':' between chains and at most '*' at its end"
            )
        yield residues


def _entry(kind: str, chain: str, text: str) -> Json:
    if kind == "smiles":
        return {"ligand": {"id": chain, "smiles": text}}
    if kind == "ccd":
        return {"ligand": {"id": chain, "ccdCodes": [text]}}
    return {kind: {"id": chain, "sequence": text}}


def _chain_id(number: int) -> str:
    """A, B, ..., Z, AA, BA, ... as mmCIF has it."""
    letters = ""
    number += 1
    while number:
        number, place = divmod(number - 1, 26)
        letters += chr(ord("A") + place)
    return letters
