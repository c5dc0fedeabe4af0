"""Mutated fold inputs and FASTA files are loaded, or refused in one sentence.

Mutations are seeded, so a failure is reproducible. perfkit counts the tokens of every loaded
input. A few inputs are also featurised, which raises an error if upstream's count differs.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.biotite_dictionary import refuse_unknown
from perfkit.models.af3.chemistry.components import DictionaryFor, ccd_for, components_needed
from perfkit.models.af3.chemistry.tokens import count_tokens
from perfkit.models.af3.featurise import featurise
from perfkit.models.af3.inputs.fold_input import load_fold_input

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input
    from alphafold3.constants.chemical_components import Ccd

type Place = tuple[str | int, ...]

DATA = Path(__file__).parents[2] / "data" / "af3"

_MUTANTS = 300
_FEATURISED = 4
_LONGEST_SENTENCE = 1000
_FEWEST_TOKENS = 5
"""Upstream's layout of atoms needs five tokens without padding."""

_ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2, 1.5, 2.0, 10**18, 10**30, "", "A", "B", "a", "é", "\x00", "😀"),
    *("HEM", "MG", "UNK", "UNL", "XQZ9", "[H][H]", "*", "C1CC", "x" * 400, "MKTAYIAK", "m.a3m"),
    *([], {}, [1], ["A"], ["A", "A"], [[]], ">q\nMKTAYIAK\n>h\nMk-TAYIAK\n", "NNNN", "MK*", "../x"),
)
"""Values of every type, in and out of range, and texts that are valid in other places."""

_LETTERS = "XUBZ*-. 1aé0\n>:|;\r\t"


def _paths(value: Any, before: Place = ()) -> Iterator[Place]:
    if before:
        yield before
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield from _paths(inner, (*before, key))


def _mutated(document: Any, generator: random.Random) -> Any:
    document = copy.deepcopy(document)
    *parents, key = generator.choice(list(_paths(document)))
    parent = document
    for step in parents:
        parent = parent[step]
    value = parent[key]
    match generator.randrange(5):
        case 0 if isinstance(value, str):
            place = generator.randrange(len(value) + 1)
            parent[key] = value[:place] + generator.choice(_LETTERS) + value[place + 1 :]
        case 1 if isinstance(value, int):
            parent[key] = value + generator.choice((-5, -1, 1, 100))
        case 2:
            del parent[key]
        case 3 if isinstance(parent, list):
            parent.append(copy.deepcopy(value))
        case _:
            parent[key] = generator.choice(_ODD)
    return document


def _check(path: Path, dictionary_for: DictionaryFor, featurised: int) -> tuple[bool, int]:
    """Return whether an input is loaded, and how many inputs have been featurised so far."""
    sentence = ""
    try:
        fold_input, notices = load_fold_input(path, dictionary_for=dictionary_for)
    except UserError as error:
        sentence = str(error)
    if sentence:
        assert "\n" not in sentence
        assert len(sentence) < _LONGEST_SENTENCE
        return False, featurised
    assert all("\n" not in notice for notice in notices)
    tokens = count_tokens(fold_input, dictionary_for)
    if tokens >= _FEWEST_TOKENS and featurised < _FEATURISED:
        (batch, *_) = featurise(fold_input, dictionary_for=dictionary_for)
        assert batch.numeric["seq_mask"].sum() == tokens
        featurised += 1
    return True, featurised


@pytest.fixture(scope="module")
def dictionary_for(component_cache: Path) -> DictionaryFor:
    """Return one dictionary for all mutants: building one per mutant would dominate the run."""
    ccd = ccd_for(load_fold_input(DATA / "holo.json")[0])

    def shared(fold_input: Input) -> Ccd:
        refuse_unknown(components_needed(fold_input), ccd)
        return ccd

    return shared


def test_mutated_fold_inputs_are_loaded_or_refused_in_one_sentence(
    dictionary_for: DictionaryFor, data: Path, tmp_path: Path
) -> None:
    generator = random.Random(13)
    originals = [
        json.loads((data / f"{name}.json").read_text())
        for name in ("holo", "homodimer", "nucleoprotein")
    ]
    originals.append(
        [
            {
                "name": "job",
                "modelSeeds": ["1"],
                "sequences": [
                    {"proteinChain": {"sequence": "MKTAYIAK", "count": 2}},
                    {"ion": {"ion": "MG", "count": 1}},
                ],
                "dialect": "alphafoldserver",
                "version": 1,
            }
        ]
    )
    path, read, featurised = tmp_path / "input.json", 0, 0
    for _ in range(_MUTANTS):
        path.write_text(json.dumps(_mutated(generator.choice(originals), generator)))
        is_read, featurised = _check(path, dictionary_for, featurised)
        read += is_read
    assert 0 < read < _MUTANTS
    assert featurised == _FEATURISED


def test_mutated_fasta_files_are_loaded_or_refused_in_one_sentence(
    dictionary_for: DictionaryFor, tmp_path: Path
) -> None:
    generator = random.Random(13)
    originals = (
        ">A|protein\nMKTAYIAK\n>B|dna\nGATTACA\n",
        ">dimer\nGSAKLVEE:PVLSCGEW\n",
        "\ufeff>strand, RNA\r\nGAUUACA\r\n",
    )
    path, read, featurised = tmp_path / "input.fasta", 0, 0
    for _ in range(_MUTANTS):
        text = generator.choice(originals)
        for _ in range(generator.randrange(1, 4)):
            place = generator.randrange(len(text) + 1)
            text = text[:place] + generator.choice(_LETTERS) + text[place + 1 :]
        path.write_bytes(text.encode())
        is_read, featurised = _check(path, dictionary_for, featurised)
        read += is_read
    assert 0 < read < _MUTANTS
    assert featurised == _FEATURISED
