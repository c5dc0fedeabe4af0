"""The shape of a fold-input JSON: what is checked, and filled in, before upstream parses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from perfkit.errors import UserError

type Json = dict[str, Any]
"""A JSON object, as :func:`json.loads` gives it."""

_KINDS = {"protein": "protein", "rna": "RNA", "dna": "DNA", "ligand": "ligand"}
"""Key of a member of ``sequences`` -> what its chains are called."""

_ALIGNMENTS = {
    "protein": {
        "unpairedMsa": "unpaired MSA",
        "pairedMsa": "paired MSA",
        "templates": "templates",
    },
    "rna": {"unpairedMsa": "unpaired MSA"},
}
"""What upstream's search would find for a kind of chain: key -> what it holds."""

_PLAIN_WORDS = {
    "missing": "is missing",
    "string_too_short": "is empty",
    "too_short": "is empty or too short",
    "too_long": "is too long",
}
"""Pydantic's commonest errors in fewer words."""

type _Atom = tuple[str, int, str]
"""Chain, number of the residue from 1, name of the atom."""

type _Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    """Keys that are not named here are left for upstream's parser to judge."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)


class _Template(_Part):
    mmcif: str | None = None
    mmcif_path: str | None = None
    query_indices: list[int]
    template_indices: list[int]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not (self.mmcif or self.mmcif_path):
            raise ValueError("a template needs either mmcif or mmcifPath")
        if len(self.query_indices) != len(self.template_indices):
            raise ValueError("queryIndices and templateIndices differ in length")
        return self


class _ProteinModification(_Part):
    ptm_type: _Text
    ptm_position: int


class _NucleotideModification(_Part):
    modification_type: _Text
    base_position: int


class _Chain(_Part):
    id: str | list[str]


class _Polymer(_Chain):
    letters: ClassVar[str]
    unknown: ClassVar[str]

    sequence: _Text

    @model_validator(mode="after")
    def _letters_are_residues(self) -> Self:
        for position, letter in enumerate(self.sequence, 1):
            if letter not in self.letters + self.unknown:
                raise ValueError(
                    f"unknown residue letter {letter!r} at position {position} of the sequence; "
                    f"allowed are {self.letters}, and {self.unknown} for a residue that is "
                    "unknown or given under modifications"
                )
        return self


class _Protein(_Polymer):
    letters = "ACDEFGHIKLMNPQRSTVWY"
    unknown = "X"

    modifications: list[_ProteinModification] = []
    unpaired_msa: str | None = None
    unpaired_msa_path: str | None = None
    paired_msa: str | None = None
    paired_msa_path: str | None = None
    templates: list[_Template] | None = None


class _Rna(_Polymer):
    letters = "ACGU"
    unknown = "N"

    modifications: list[_NucleotideModification] = []
    unpaired_msa: str | None = None
    unpaired_msa_path: str | None = None


class _Dna(_Polymer):
    letters = "ACGT"
    unknown = "N"

    modifications: list[_NucleotideModification] = []


class _Ligand(_Chain):
    ccd_codes: Annotated[list[_Text], Field(min_length=1)] | None = None
    smiles: _Text | None = None

    @model_validator(mode="after")
    def _defined(self) -> Self:
        if self.ccd_codes is None and self.smiles is None:
            raise ValueError("a ligand needs either ccdCodes or smiles")
        return self


class _Entry(_Part):
    protein: _Protein | None = None
    rna: _Rna | None = None
    dna: _Dna | None = None
    ligand: _Ligand | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in _KINDS) != 1:
            raise ValueError(f"an entry holds exactly one of {', '.join(_KINDS)}")
        return self


class _Document(_Part):
    name: str
    model_seeds: list[int] = []
    sequences: list[_Entry]
    bonded_atom_pairs: list[tuple[_Atom, _Atom]] | None = None
    user_ccd: Annotated[_Text | None, Field(alias="userCCD")] = None
    user_ccd_path: Annotated[str | None, Field(alias="userCCDPath")] = None

    @model_validator(mode="after")
    def _has_chains(self) -> Self:
        if not self.sequences:
            raise ValueError("there are no chains: sequences is empty")
        return self


def check_document(raw: Json, path: Path) -> None:
    """Checks the types and residue letters of an input, and that its files exist.

    Parameters
    ----------
    raw
        An input in the ``alphafold3`` dialect.
    path
        The JSON file: relative paths in it start from its folder.

    Raises
    ------
    UserError
        A required key is missing, a value has the wrong type, a sequence is empty or has an
        unknown letter, there are no chains, or a file does not exist.
    """
    try:
        _Document.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(f"{path}: {_sentence(first)}") from error
    for key, named in _paths(raw):
        if not (path.parent / named).is_file():
            raise UserError(f"{path}: {key} names {named}, which is not an existing file")


def fill_missing(raw: Json) -> tuple[str, ...]:
    """Gives chains without MSA or templates empty ones, in place.

    Parameters
    ----------
    raw
        An input that :func:`check_document` accepts.

    Returns
    -------
    tuple of str
        One sentence for each kind of chain and set of things that were missing.
    """
    filled: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for kind, chain in _chains(raw):
        missing = {
            key: name
            for key, name in _ALIGNMENTS.get(kind, {}).items()
            if chain.get(key) is None and chain.get(f"{key}Path") is None
        }
        chain.update({key: [] if key == "templates" else "" for key in missing})
        if missing:
            ids = [chain["id"]] if isinstance(chain["id"], str) else chain["id"]
            filled.setdefault((kind, tuple(missing.values())), []).extend(ids)
    return tuple(_notice(_KINDS[kind], ids, names) for (kind, names), ids in filled.items())


def _notice(kind: str, ids: list[str], names: tuple[str, ...]) -> str:
    *head, last = names
    missing = f"{', '.join(head)} or {last}" if head else last
    consequence = ", predicted from the single sequence" if "unpaired MSA" in names else ""
    return f"{kind} chain{'s' * (len(ids) > 1)} {', '.join(ids)}: no {missing}{consequence}"


def _chains(raw: Json) -> Iterator[tuple[str, Json]]:
    for entry in raw["sequences"]:
        for kind in _KINDS:
            if entry.get(kind) is not None:
                yield kind, entry[kind]


def _paths(raw: Json) -> Iterator[tuple[str, str]]:
    """Key and value of every path in an input."""
    holders = [raw]
    for _, chain in _chains(raw):
        holders += [chain, *(chain.get("templates") or [])]
    for holder in holders:
        for key, named in holder.items():
            if key.endswith("Path") and isinstance(named, str):
                yield key, named


def _sentence(error: ErrorDetails) -> str:
    """Where in the JSON something is wrong, and what."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"])
    place = "".join(steps).lstrip(".")
    plain = _PLAIN_WORDS.get(error["type"])
    if plain:
        return f"{place} {plain}"
    reason = error["msg"].removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    return f"{place}: {reason}" if place else reason
