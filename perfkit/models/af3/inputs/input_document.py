"""The shape of a fold-input JSON: what is checked, and filled in, before upstream parses it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from perfkit.errors import UserError
from perfkit.models.af3.inputs.document_errors import first_error

type Json = dict[str, Any]
"""A JSON object, as :func:`json.loads` gives it."""

_LONGEST_PATH = 200
"""Characters of a path that are shown."""

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

type _Atom = tuple[str, StrictInt, str]
"""Chain, number of the residue from 1, name of the atom."""

type _Text = Annotated[str, Field(min_length=1)]

type _Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


class _Part(BaseModel):
    """Keys that are not named here are left for upstream's parser to judge."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)


class _Template(_Part):
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


class _ProteinModification(_Part):
    ptm_type: _Text
    ptm_position: StrictInt


class _NucleotideModification(_Part):
    modification_type: _Text
    base_position: StrictInt


class _Chain(_Part):
    id: str | list[str]


class _Polymer(_Chain):
    """Any letter is a residue to upstream; those that it does not know become unknown ones."""

    sequence: _Text

    @model_validator(mode="after")
    def _is_letters(self) -> Self:
        for position, character in enumerate(self.sequence, 1):
            if not character.isalpha():
                raise ValueError(
                    f"{character!r} at position {position} of the sequence is no letter, "
                    "and a residue is one letter"
                )
        return self


class _Protein(_Polymer):
    modifications: list[_ProteinModification] = []
    unpaired_msa: str | None = None
    unpaired_msa_path: str | None = None
    paired_msa: str | None = None
    paired_msa_path: str | None = None
    templates: list[_Template] | None = None


class _Rna(_Polymer):
    modifications: list[_NucleotideModification] = []
    unpaired_msa: str | None = None
    unpaired_msa_path: str | None = None


class _Dna(_Polymer):
    modifications: list[_NucleotideModification] = []


class _Ligand(_Chain):
    ccd_codes: Annotated[list[_Text], Field(min_length=1)] | None = None
    smiles: str | None = None

    @model_validator(mode="after")
    def _defined(self) -> Self:
        if not (self.ccd_codes or self.smiles):
            raise ValueError("a ligand needs either ccdCodes or smiles")
        return self


class _Entry(_Part):
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


class _Document(_Part):
    name: str
    model_seeds: list[_Seed] = []
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
    """Checks the types of an input and the indices of its templates, and that its files exist.

    Parameters
    ----------
    raw
        An input in the ``alphafold3`` dialect.
    path
        The JSON file: relative paths in it start from its folder.

    Raises
    ------
    UserError
        A required key is missing, a value has the wrong type or is out of range, a sequence is
        empty or holds something but letters, there are no chains, a template index is negative,
        or a file does not exist.
    """
    try:
        _Document.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error)}") from error
    for place, key, index in _template_indices(raw):
        if index < 0:
            raise UserError(
                f"{path}: {place}: {key} holds {index}, and residues are counted from 0"
            )
    for key, named in _paths(raw):
        if not _is_file(path.parent / named):
            shown = textwrap.shorten(named, _LONGEST_PATH, placeholder="...")
            raise UserError(f"{path}: {key} names {shown}, which is not an existing file")


def settle_repeats(raw: Json) -> tuple[str, ...]:
    """Drops what is empty or named again, in place, and notes what upstream drops of repeats.

    Parameters
    ----------
    raw
        An input that :func:`check_document` accepts.

    Returns
    -------
    tuple of str
        One sentence for each thing that is named twice.
    """
    if not raw.get("userCCD"):
        raw.pop("userCCD", None)
    seeds = [int(seed) for seed in raw.get("modelSeeds") or ()]
    notices = [
        f"model seed {seed} is named {count} times and computed once"
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
            f"{_KINDS[kind]} {_chain_words(chain)}: residue {position} is modified {count} times, "
            "of which AlphaFold 3 takes the last"
            for position, count in named.items()
            if count > 1
        ]
        for number, template in enumerate(chain.get("templates") or (), 1):
            repeated = [
                index for index, count in Counter(template["queryIndices"]).items() if count > 1
            ]
            if repeated:
                notices.append(
                    f"template {number} of {_chain_words(chain)}: queryIndices names "
                    f"{', '.join(map(str, repeated))} more than once, "
                    "of which AlphaFold 3 takes the last"
                )
    return tuple(notices)


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


def _chain_words(chain: Json) -> str:
    """E.g. ``chains A, B``."""
    ids = _ids(chain)
    return f"chain{'s' * (len(ids) > 1)} {', '.join(ids)}"


def _template_indices(raw: Json) -> Iterator[tuple[str, str, int]]:
    """Where each index of a template stands, its key, and the index."""
    for _, chain in _chains(raw):
        for number, template in enumerate(chain.get("templates") or (), 1):
            for key in ("queryIndices", "templateIndices"):
                for index in template[key]:
                    yield f"template {number} of {_chain_words(chain)}", key, index


def _paths(raw: Json) -> Iterator[tuple[str, str]]:
    """Key and value of every path in an input; an empty one stands for none."""
    holders = [raw]
    for _, chain in _chains(raw):
        holders += [chain, *(chain.get("templates") or [])]
    for holder in holders:
        for key, named in holder.items():
            if key.endswith("Path") and isinstance(named, str) and named:
                yield key, named


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
