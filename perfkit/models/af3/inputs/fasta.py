"""Reads FASTA as fold inputs: each record is a chain of one complex.

Understands the headers of UniProt, the PDB, NCBI, Boltz, Chai and ColabFold; the last joins the
chains of a complex by colons. A molecule type that is guessed becomes a notice.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError
from perfkit.models.af3.inputs.json_schema import DEFAULT_SEED, Json
from perfkit.models.af3.inputs.molecule_type import (
    MOLECULE_NAMES,
    POLYMERS,
    MoleculeType,
    guess_from_residues,
    type_from_header,
    type_from_suffix,
)
from perfkit.models.af3.inputs.text_file import read_text

SUFFIXES = (".fasta", ".fa", ".fas", ".faa", ".fna", ".ffn", ".frn")

_HEAD_BYTES = 1 << 16
"""Bytes at the beginning of a file that are searched for its first character."""

_LINE_END = re.compile(r"\r\n|\r|\n")

_DROPPED = {
    "gaps": re.compile(r"[-.]"),
    "digits": re.compile(r"[0-9]"),
}
"""Characters of alignments and numbered listings that are not residues; they are removed."""

_PDB_CHAINS = re.compile(r"\|Chains ([^|]+)")
"""Chains of a record of the PDB, which writes one record for several copies of a chain."""

_LONGEST_HEADER = 40
"""Most characters of a header that a message shows."""


@dataclass(frozen=True)
class _Record:
    number: int
    header: str
    text: str

    @property
    def place(self) -> str:
        """Number and header of the record, for messages."""
        header = self.header
        if len(header) > _LONGEST_HEADER:
            header = header[:_LONGEST_HEADER] + "..."
        return f"record {self.number} {header!r}"


def is_fasta(path: Path) -> bool:
    """Return whether a file is FASTA, by its suffix or, failing that, its first character."""
    if path.suffix.lower() in SUFFIXES:
        return True
    if path.suffix.lower() == ".json":
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8-sig", "replace")
        return head.lstrip().startswith(">")
    except (OSError, ValueError):
        return False


def fasta_document(path: Path, molecule: str | None = None) -> tuple[Json, tuple[str, ...]]:
    """Convert a FASTA file to a document of the ``alphafold3`` dialect.

    Parameters
    ----------
    path
        The file.
    molecule
        ``protein``, ``dna`` or ``rna``: the type of records whose header does not state it.

    Returns
    -------
    document
        The input in the ``alphafold3`` dialect.
    notices
        One sentence for each guess and for each part of the file that is left out.

    Raises
    ------
    UserError
        The file cannot be read or holds no sequence, a record holds something else, or
        ``molecule`` contradicts a header.
    """
    if molecule is not None and molecule not in POLYMERS:
        raise UserError(f"--molecule must be {', '.join(POLYMERS)}, not {molecule!r}")
    records = list(_records(read_text(path), path))
    if not records:
        raise UserError(f"the input {path} holds no sequence")
    notices = list(_record_notices(records))
    entries: list[Json] = []
    for record in records:
        found = _molecule_type(record, path, molecule)
        if found.notice:
            notices.append(f"{record.place}: {found.notice}")
        for text in _chains(record, found, path, notices):
            entries.append(_entry(found.kind, _chain_id(len(entries)), text))
    document: Json = {
        "dialect": "alphafold3",
        "version": 1,
        "name": path.stem if re.search(r"[A-Za-z0-9_.-]", path.stem) else "fasta",
        "modelSeeds": [DEFAULT_SEED],
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
            raise UserError(f"the input {path} is not FASTA: its first line does not begin with >")
        else:
            lines.append(line)


def _record_notices(records: Sequence[_Record]) -> Iterator[str]:
    if len(records) > 1:
        yield f"the {len(records)} records of the FASTA file are the chains of one complex"
    for header, count in Counter(record.header for record in records).items():
        if count > 1:
            yield f"{count} records have the header {header!r}; all of them are predicted"
    for record in records:
        copies = _PDB_CHAINS.search(record.header)
        if copies:
            yield f"{record.place}: only one of the copies {copies[1].strip()} is predicted"


def _molecule_type(record: _Record, path: Path, molecule: str | None) -> MoleculeType:
    by_header = type_from_header(record.header)
    if by_header is not None and by_header.is_stated:
        if molecule is not None and by_header.kind != molecule:
            raise UserError(
                f"{path}: the header of {record.place} states {MOLECULE_NAMES[by_header.kind]}, "
                f"but --molecule states {molecule}: leave one of them out"
            )
        return by_header
    if molecule is not None:
        return MoleculeType(molecule, is_stated=True)
    residues = re.sub(r"[^A-Z]", "", record.text.upper())
    by_suffix = type_from_suffix(path.suffix.lower(), residues)
    if by_suffix:
        return by_suffix
    if by_header and by_header.matches(residues):
        return by_header
    return guess_from_residues(residues)


def _chains(record: _Record, found: MoleculeType, path: Path, notices: list[str]) -> Iterator[str]:
    """Yield the sequences of a record without characters that are not residues.

    Adds a notice for every removed character type.
    """
    if found.kind in ("smiles", "ccd"):
        if not record.text:
            raise UserError(f"{path}: {record.place} has no sequence")
        yield record.text
        return
    for text in record.text.split(":"):
        residues = text.upper()
        if residues.endswith("*"):
            residues = residues.rstrip("*")
            notices.append(f"{record.place}: the stop sign * at the end is removed")
        for name, pattern in _DROPPED.items():
            residues, count = pattern.subn("", residues)
            if count:
                notices.append(f"{record.place}: {count} {name} are removed")
        if found.kind == "rna" and "T" in residues:
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
                f"{path}: {record.place} holds {wrong!r}, which is not a residue: "
                "a sequence consists of letters, with ':' between chains and '*' only at its end"
            )
        yield residues


def _entry(kind: str, chain: str, text: str) -> Json:
    if kind == "smiles":
        return {"ligand": {"id": chain, "smiles": text}}
    if kind == "ccd":
        return {"ligand": {"id": chain, "ccdCodes": [text]}}
    return {kind: {"id": chain, "sequence": text}}


def _chain_id(number: int) -> str:
    """Return the chain identifier of a number from 0 as in mmCIF: A, B, ..., Z, AA, BA, ..."""
    letters = ""
    number += 1
    while number:
        number, place = divmod(number - 1, 26)
        letters += chr(ord("A") + place)
    return letters
