"""Finds the molecule type of a FASTA record from its header, the file's suffix or its letters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

POLYMERS = ("protein", "dna", "rna")
"""Values of ``--molecule``."""

MOLECULE_NAMES = {
    "protein": "protein",
    "dna": "DNA",
    "rna": "RNA",
    "smiles": "a SMILES string",
    "ccd": "a CCD code",
}
"""Molecule type -> name in messages."""

_DNA, _RNA = frozenset("ACGT"), frozenset("ACGU")

_SURELY_BASES = 30
"""Length from which a sequence of exactly the four bases is not a protein. A, C, G and T are 0.22
of the residues of Swiss-Prot: one protein of this length in 10^20 consists of them alone."""

_FEWEST_BASES = 0.7
"""Share of plain bases from which nucleotide codes are guessed to be DNA or RNA. The letters of
many peptides are nucleotide codes too, e.g. GSAK."""

_CODES = frozenset("ACGTURYSWKMBDHVN")
"""The nucleotide codes of IUPAC-IUB (Cornish-Bowden 1985, NAR 13, 3021)."""

_HOW_TO_STATE = (
    "state the type in its header (>name|protein, >name|dna, >name|rna) or with --molecule"
)

_FIELDS: Mapping[str, str] = {
    "protein": "protein",
    "peptide": "protein",
    "polypeptide": "protein",
    "polypeptide(l)": "protein",
    "dna": "dna",
    "ssdna": "dna",
    "dsdna": "dna",
    "genomic dna": "dna",
    "polydeoxyribonucleotide": "dna",
    "rna": "rna",
    "mrna": "rna",
    "trna": "rna",
    "rrna": "rna",
    "polyribonucleotide": "rna",
    "smiles": "smiles",
    "ccd": "ccd",
    # In Chai's FASTA, ligands are SMILES strings.
    "ligand": "smiles",
}
"""Field between bars (Boltz, Chai, ColabFold), or value of a key -> molecule type."""

_KEY = re.compile(
    r"(?:^|[\s\[|;,])(?:mol|molecule|molecule[ _]type|moltype|mol_type|type|entity)\s*[:=]\s*"
    r"(?P<value>[a-z() ]+)",
    re.IGNORECASE,
)
"""A key as written by NCBI ([moltype=mRNA]), the PDB (mol:protein) and people (molecule: dna)."""

_UNIPROT = re.compile(r"^(?:sp|tr)\|[A-Z0-9]+(?:-\d+)?\||^UniRef\d+_", re.IGNORECASE)

_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("protein", "peptide", "polypeptide", "proteins", "peptides"), "protein"),
    **dict.fromkeys(("dna", "ssdna", "dsdna", "cdna", "gdna", "oligodeoxynucleotide"), "dna"),
    **dict.fromkeys(
        ("rna", "mrna", "trna", "rrna", "sirna", "mirna", "lncrna", "ssrna", "ribozyme"), "rna"
    ),
}

_ENZYME = re.compile(
    r"(?:polymer|helic|lig|nucle|synthet|transfer|transcript|isomer|gyr|prim|integr|telomer|kin"
    r"|methyl|glycosyl|edit|recombin|photoly)ase$"
)
"""Names of enzymes that act on DNA or RNA, and whose names may contain either word."""

_SUFFIXES: Mapping[str, str] = {
    ".faa": "protein",
    ".fna": "dna",
    ".ffn": "dna",
    ".frn": "rna",
}
"""NCBI's file suffixes -> molecule type. The DNA suffixes mean RNA if there is U and no T."""


@dataclass(frozen=True)
class MoleculeType:
    """The molecule type of a record.

    Attributes
    ----------
    kind
        A key of :data:`MOLECULE_NAMES`.
    is_stated
        Whether the type is stated explicitly, so that no other source may contradict it.
    notice
        How the type was inferred; empty if a reader need not know.
    """

    kind: str
    is_stated: bool = False
    notice: str = ""

    def matches(self, residues: str) -> bool:
        """Return whether ``residues`` can be of this type.

        A long sequence of exactly the four bases is not a protein, whatever gene it encodes.
        """
        letters = frozenset(residues)
        if self.kind in ("dna", "rna"):
            return letters <= _CODES
        return not (letters in (_DNA, _RNA) and len(residues) >= _SURELY_BASES)


def type_from_header(header: str) -> MoleculeType | None:
    """Find the type in a header: stated by a field or a key, else inferred from its words.

    Returns
    -------
    MoleculeType or None
        None if the header contains no hint.
    """
    fields = [field.strip().lower() for field in header.split("|")]
    # Boltz writes the type second, after the chain's name, and Chai first.
    for field in (*fields[1:2], *fields[:1], *fields[2:]):
        if field in _FIELDS and len(fields) > 1:
            return MoleculeType(_FIELDS[field], is_stated=True)
    named = _KEY.search(header)
    if named:
        value = named["value"].strip().lower()
        first = value.split(" ")[0]
        kind = _FIELDS.get(value) or _FIELDS.get(first)
        if kind is not None:
            return MoleculeType(kind, is_stated=True)
    if _UNIPROT.match(header):
        return MoleculeType("protein", is_stated=True)
    # The last word counts: a DNA-binding protein is a protein.
    words = [_word(word) for word in re.findall(r"[A-Za-z]+", header)]
    kinds = [kind for kind in words if kind is not None]
    if not kinds:
        return None
    return MoleculeType(
        kinds[-1], notice=f"read as {MOLECULE_NAMES[kinds[-1]]} because of its header"
    )


def type_from_suffix(suffix: str, residues: str) -> MoleculeType | None:
    """Infer the type from the file's suffix; None if the suffix implies none."""
    kind = _SUFFIXES.get(suffix)
    if kind is None:
        return None
    if kind == "dna" and "U" in residues and "T" not in residues:
        kind = "rna"
    return MoleculeType(
        kind, notice=f"read as {MOLECULE_NAMES[kind]} because of the suffix {suffix}"
    )


def guess_from_residues(residues: str) -> MoleculeType:
    """Guess the type: nucleotide codes, most of them plain bases, are DNA or RNA."""
    letters = frozenset(residues)
    bases = sum(residues.count(base) for base in "ACGTU")
    nucleic = letters <= _CODES and not {"T", "U"} <= letters
    nucleic &= bases >= _FEWEST_BASES * len(residues)
    kind = "protein"
    if nucleic and bases:
        kind = "rna" if "U" in letters else "dna"
    return MoleculeType(
        kind, notice=f"guessed to be {MOLECULE_NAMES[kind]} by its letters: {_HOW_TO_STATE}"
    )


def _word(word: str) -> str | None:
    """Return the type that a word implies; enzymes of nucleic acids are proteins."""
    return "protein" if _ENZYME.search(word.lower()) else _WORDS.get(word.lower())
