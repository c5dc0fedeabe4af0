"""Fold inputs as small documents, written and loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfkit.errors import UserError
from perfkit.models.af3.inputs.fold_input import load_fold_input

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

type Json = dict[str, Any]

SEQUENCE = "MKTAYIAK"


def document(*chains: Json, **changes: Any) -> Json:
    """An input of some chains, or of the eight residues of :data:`SEQUENCE`."""
    return {
        "dialect": "alphafold3",
        "version": 4,
        "name": "test",
        "modelSeeds": [1],
        "sequences": list(chains) or [protein()],
        **changes,
    }


def protein(chain: str = "A", **changes: Any) -> Json:
    """A chain without an alignment, about which nothing is to be said."""
    alone = {"unpairedMsa": "", "pairedMsa": "", "templates": []}
    return {"protein": {"id": chain, "sequence": SEQUENCE, **alone, **changes}}


def ligand(chain: str, *codes: str) -> Json:
    """A ligand of components."""
    return {"ligand": {"id": chain, "ccdCodes": list(codes)}}


def load(content: object, folder: Path, name: str = "input.json") -> tuple[Input, tuple[str, ...]]:
    """A document or text, written to a file and loaded."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_fold_input(path)


def notices(content: object, folder: Path, name: str = "input.json") -> tuple[str, ...]:
    """What is said about an input."""
    return load(content, folder, name)[1]


def refusal(content: object, folder: Path, name: str = "input.json") -> str:
    """The one sentence with which an input is refused."""
    with pytest.raises(UserError) as refused:
        load(content, folder, name)
    message = str(refused.value)
    assert "\n" not in message
    return message


def write_input(path: Path, *chains: Json, seeds: Sequence[int] = (1,)) -> Path:
    """Write an input that is named like its file."""
    named = {"version": 1, "name": path.stem, "modelSeeds": list(seeds)}
    path.write_text(json.dumps(document(*chains, **named)))
    return path
