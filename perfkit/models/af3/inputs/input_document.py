"""Checks and completes a fold-input JSON document before upstream parses it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StrictInt, ValidationError, model_validator

from perfkit.errors import UserError
from perfkit.models.af3.inputs.json_schema import DocumentPart, Json, first_error
from perfkit.models.af3.inputs.unpacked import MOST_BYTES, unpacked_bytes
from perfkit.units import bytes_text

_LONGEST_PATH = 200
"""Most characters of a path that a message shows."""

_KINDS = {"protein": "protein", "rna": "RNA", "dna": "DNA", "ligand": "ligand"}
"""Key of an entry of ``sequences`` -> name of its type of chain in messages."""

_ALIGNMENTS = {
    "protein": {
        "unpairedMsa": "unpaired MSA",
        "pairedMsa": "paired MSA",
        "templates": "templates",
    },
    "rna": {"unpairedMsa": "unpaired MSA"},
}
"""Type of chain -> keys that upstream's database search would fill, with their names."""

type _Atom = tuple[str, StrictInt, str]
"""Chain identifier, number of the residue from 1, name of the atom."""

type _Text = Annotated[str, Field(min_length=1)]

type _Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


class _Template(DocumentPart):
    mmcif: str | None = None
    mmcif_path: str | None = None
    query_indices: list[StrictInt]
    template_indices: list[StrictInt]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not (self.mmcif or self.mmcif_path):
            raise ValueError("a template needs either mmcif or mmcifPath")
        if len(self.query_indices) != len(self.template_indices):
            raise ValueError("queryIndices and templateIndices differ in length")
        return self


class _ProteinModification(DocumentPart):
    ptm_type: _Text
    ptm_position: StrictInt


class _NucleotideModification(DocumentPart):
    modification_type: _Text
    base_position: StrictInt


class _Chain(DocumentPart):
    id: str | list[str]


class _Polymer(_Chain):
    """A sequence of letters. Upstream turns letters that it does not know into unknown residues."""

    sequence: _Text

    @model_validator(mode="after")
    def _is_letters(self) -> Self:
        for position, character in enumerate(self.sequence, 1):
            if not character.isalpha():
                raise ValueError(
                    f"{character!r} at position {position} of the sequence is not a letter; "
                    "each residue is one letter"
                )
        return self


class _Protein(_Polymer):
    modifications: list[_ProteinModification] = Field(default_factory=list)
    unpaired_msa: str | None = None
    unpaired_msa_path: str | None = None
    paired_msa: str | None = None
    paired_msa_path: str | None = None
    templates: list[_Template] | None = None


class _Rna(_Polymer):
    modifications: list[_NucleotideModification] = Field(default_factory=list)
    unpaired_msa: str | None = None
    unpaired_msa_path: str | None = None


class _Dna(_Polymer):
    modifications: list[_NucleotideModification] = Field(default_factory=list)


class _Ligand(_Chain):
    ccd_codes: Annotated[list[_Text], Field(min_length=1)] | None = None
    smiles: str | None = None

    @model_validator(mode="after")
    def _defined(self) -> Self:
        if not (self.ccd_codes or self.smiles):
            raise ValueError("a ligand needs either ccdCodes or smiles")
        return self


class _Entry(DocumentPart):
    protein: _Protein | None = None
    rna: _Rna | None = None
    dna: _Dna | None = None
    ligand: _Ligand | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = self.model_fields_set & set(_KINDS)
        if len(given) != 1 or any(getattr(self, kind) is None for kind in given):
            raise ValueError(f"an entry holds exactly one of {', '.join(_KINDS)}")
        return self


class _Document(DocumentPart):
    name: str
    model_seeds: list[_Seed] = Field(default_factory=list)
    sequences: list[_Entry]
    bonded_atom_pairs: list[tuple[_Atom, _Atom]] | None = None
    user_ccd: Annotated[str | None, Field(alias="userCCD")] = None
    user_ccd_path: Annotated[str | None, Field(alias="userCCDPath")] = None

    @model_validator(mode="after")
    def _has_chains(self) -> Self:
        if not self.sequences:
            raise ValueError("there are no chains: sequences is empty")
        return self


def check_document(raw: Json, path: Path) -> None:
    """Check the types of an input, the indices of its templates and the existence of its files.

    Parameters
    ----------
    raw
        An input in the ``alphafold3`` dialect.
    path
        The JSON file. Relative paths in it start from its folder.

    Raises
    ------
    UserError
        A required key is missing, a value has the wrong type or is out of range, a sequence is
        empty or contains something other than letters, there are no chains, a template index is
        negative, or a file does not exist or is too large.
    """
    try:
        _Document.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error)}") from error
    for place, key, index in _template_indices(raw):
        if index < 0:
            raise UserError(
                f"{path}: {place}: {key} contains {index}, but residues are counted from 0"
            )
    for key, named in _paths(raw):
        if not _is_file(path.parent / named):
            shown = textwrap.shorten(named, _LONGEST_PATH, placeholder="...")
            raise UserError(f"{path}: {key} is {shown}, but there is no such file")
        _refuse_large(path, key, path.parent / named)


def remove_repeats(raw: Json) -> tuple[str, ...]:
    """Remove repeated seeds and an empty ``userCCD``, in place.

    The input must have passed :func:`check_document`. Returns one notice for each seed, modified
    residue or template index that is given more than once.
    """
    if not raw.get("userCCD"):
        raw.pop("userCCD", None)
    seeds = [int(seed) for seed in raw.get("modelSeeds") or ()]
    notices = [
        f"model seed {seed} is given {count} times and computed once"
        for seed, count in Counter(seeds).items()
        if count > 1
    ]
    raw["modelSeeds"] = list(dict.fromkeys(seeds))
    for kind, chain in _chains(raw):
        named = Counter(
            change.get("ptmPosition", change.get("basePosition"))
            for change in chain.get("modifications", ())
        )
        notices += [
            f"{_KINDS[kind]} {_chain_label(chain)}: residue {position} is modified {count} times; "
            "AlphaFold 3 uses the last modification"
            for position, count in named.items()
            if count > 1
        ]
        for number, template in enumerate(chain.get("templates") or (), 1):
            repeated = [
                index for index, count in Counter(template["queryIndices"]).items() if count > 1
            ]
            if repeated:
                notices.append(
                    f"template {number} of {_chain_label(chain)}: queryIndices contains "
                    f"{', '.join(map(str, repeated))} more than once; "
                    "AlphaFold 3 uses the last occurrence"
                )
    return tuple(notices)


def fill_missing(raw: Json) -> tuple[str, ...]:
    """Add empty MSAs and templates to chains that have none, in place.

    The input must have passed :func:`check_document`. Returns one notice for each type of chain
    and set of missing keys.
    """
    filled: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for kind, chain in _chains(raw):
        missing = {
            key: name
            for key, name in _ALIGNMENTS.get(kind, {}).items()
            if chain.get(key) is None and not chain.get(f"{key}Path")
        }
        chain.update({key: [] if key == "templates" else "" for key in missing})
        if missing:
            filled.setdefault((kind, tuple(missing.values())), []).extend(_ids(chain))
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


def _ids(chain: Json) -> list[str]:
    return [chain["id"]] if isinstance(chain["id"], str) else list(chain["id"])


def _chain_label(chain: Json) -> str:
    """Name the chains of an entry, e.g. ``chains A, B``."""
    ids = _ids(chain)
    return f"chain{'s' * (len(ids) > 1)} {', '.join(ids)}"


def _template_indices(raw: Json) -> Iterator[tuple[str, str, int]]:
    """Yield every template index with a description of its template and its key."""
    for _, chain in _chains(raw):
        for number, template in enumerate(chain.get("templates") or (), 1):
            for key in ("queryIndices", "templateIndices"):
                for index in template[key]:
                    yield f"template {number} of {_chain_label(chain)}", key, index


def _paths(raw: Json) -> Iterator[tuple[str, str]]:
    """Yield the key and value of every path in an input; an empty value means no path."""
    holders = [raw]
    for _, chain in _chains(raw):
        holders += [chain, *(chain.get("templates") or [])]
    for holder in holders:
        for key, named in holder.items():
            if key.endswith("Path") and isinstance(named, str) and named:
                yield key, named


def _refuse_large(path: Path, key: str, named: Path) -> None:
    """Refuse a file that is or unpacks to more text than the memory of a machine should hold."""
    try:
        large = unpacked_bytes(named) > MOST_BYTES
    except OSError as error:
        raise UserError(f"{path}: {key}: {named} cannot be read ({error.strerror})") from error
    if large:
        raise UserError(f"{path}: {key}: {named} holds more than {bytes_text(MOST_BYTES)} of text")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
