"""Which molecule a FASTA record is: by its header, by the file's suffix, or by its letters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

KINDS = ("protein", "dna", "rna")
"""What ``--molecule`` takes."""

NAMES = {
    "protein": "protein",
    "dna": "DNA",
    "rna": "RNA",
    "smiles": "a SMILES string",
    "ccd": "a CCD code",
}

_DNA, _RNA = frozenset("ACGT"), frozenset("ACGU")

_SURELY_BASES = 30
"""Residues from which on a sequence of the four bases alone is taken for no protein: by the
composition of Swiss-Prot one in 10^20 proteins is made of A, C, G and T (0.22 of its residues)."""

_FEWEST_BASES = 0.7
"""Share of plain bases from which on nucleotide codes are guessed to be DNA or RNA: many a peptide
is made of letters that are such codes too (GSAK)."""

_CODES = frozenset("ACGTURYSWKMBDHVN")
"""The nucleotide codes of IUPAC-IUB (Cornish-Bowden 1985, NAR 13, 3021)."""

_HOW_TO_SAY = "say which it is in its header (>name|protein, >name|dna, >name|rna) or by --molecule"

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
    # Chai's FASTA gives ligands as SMILES strings.
    "ligand": "smiles",
}
"""A field between bars (Boltz, Chai, ColabFold), or the value of a key."""

_KEY = re.compile(
    r"(?:^|[\s\[|;,])(?:mol|molecule|molecule[ _]type|moltype|mol_type|type|entity)\s*[:=]\s*"
    r"(?P<value>[a-z() ]+)",
    re.IGNORECASE,
)
"""A key as NCBI ([moltype=mRNA]), the PDB (mol:protein) and people write it (molecule: dna)."""

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
"""Enzymes that are named after the DNA or RNA that they work on."""

_SUFFIXES: Mapping[str, str] = {
    ".faa": "protein",
    ".fna": "dna",
    ".ffn": "dna",
    ".frn": "rna",
}
"""What NCBI's suffixes stand for; the nucleic ones hold RNA where there is U and no T."""


@dataclass(frozen=True)
class Said:
    """Which molecule a record is.

    Parameters
    ----------
    kind
        A key of :data:`NAMES`.
    certain
        Whether it was said in so many words, so that nothing may contradict it.
    notice
        How it was found out, where a person should know.
    """

    kind: str
    certain: bool = False
    notice: str = ""

    def fits(self, residues: str) -> bool:
        """Whether the residues can be of this molecule.

        A long sequence of nothing but all four bases is no protein, whatever gene it encodes.
        """
        letters = frozenset(residues)
        if self.kind in ("dna", "rna"):
            return letters <= _CODES
        return not (letters in (_DNA, _RNA) and len(residues) >= _SURELY_BASES)


def from_header(header: str) -> Said | None:
    """What a header says: in a field or by a key with certainty, else by the words in it."""
    fields = [field.strip().lower() for field in header.split("|")]
    # Boltz has the molecule second, after the chain's name, and Chai first.
    for field in (*fields[1:2], *fields[:1], *fields[2:]):
        if field in _FIELDS and len(fields) > 1:
            return Said(_FIELDS[field], certain=True)
    named = _KEY.search(header)
    if named:
        value = named["value"].strip().lower()
        first = value.split(" ")[0]
        kind = _FIELDS.get(value) or _FIELDS.get(first)
        if kind is not None:
            return Said(kind, certain=True)
    if _UNIPROT.match(header):
        return Said("protein", certain=True)
    # The last word counts: a DNA-binding protein is a protein.
    words = [_word(word) for word in re.findall(r"[A-Za-z]+", header)]
    kinds = [kind for kind in words if kind is not None]
    if not kinds:
        return None
    return Said(kinds[-1], notice=f"taken for {NAMES[kinds[-1]]} because of its header")


def from_suffix(suffix: str, residues: str) -> Said | None:
    """What the file's suffix says."""
    kind = _SUFFIXES.get(suffix)
    if kind is None:
        return None
    if kind == "dna" and "U" in residues and "T" not in residues:
        kind = "rna"
    return Said(kind, notice=f"taken for {NAMES[kind]}, as the file's suffix {suffix} says")


def from_letters(residues: str) -> Said:
    """A guess: nucleotide codes most of which name one base are DNA or RNA."""
    letters = frozenset(residues)
    bases = sum(residues.count(base) for base in "ACGTU")
    nucleic = letters <= _CODES and not {"T", "U"} <= letters
    nucleic &= bases >= _FEWEST_BASES * len(residues)
    kind = "protein"
    if nucleic and bases:
        kind = "rna" if "U" in letters else "dna"
    return Said(kind, notice=f"guessed to be {NAMES[kind]} by its letters: {_HOW_TO_SAY}")


def _word(word: str) -> str | None:
    """The molecule that a word of free text stands for; enzymes of nucleic acids are proteins."""
    return "protein" if _ENZYME.search(word.lower()) else _WORDS.get(word.lower())
