"""Makes small fold-input documents, writes them to files and loads them."""

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
    """Make an input of some chains; by default a protein with the sequence :data:`SEQUENCE`."""
    return {
        "dialect": "alphafold3",
        "version": 4,
        "name": "test",
        "modelSeeds": [1],
        "sequences": list(chains) or [protein()],
        **changes,
    }


def protein(chain: str | list[str] = "A", **changes: Any) -> Json:
    """Make a protein chain with empty MSAs and templates, which causes no notice."""
    empty = {"unpairedMsa": "", "pairedMsa": "", "templates": []}
    return {"protein": {"id": chain, "sequence": SEQUENCE, **empty, **changes}}


def ligand(chain: str, *codes: str) -> Json:
    """Make a ligand of components."""
    return {"ligand": {"id": chain, "ccdCodes": list(codes)}}


def load(content: object, folder: Path, name: str = "input.json") -> tuple[Input, tuple[str, ...]]:
    """Write a document or text to a file and load it."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_fold_input(path)


def notices(content: object, folder: Path, name: str = "input.json") -> tuple[str, ...]:
    """Load an input and return its notices."""
    return load(content, folder, name)[1]


def refusal(content: object, folder: Path, name: str = "input.json") -> str:
    """Load an input that must be refused, and return the message, which must be one line."""
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
