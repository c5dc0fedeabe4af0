"""Folders of inputs: tokens are counted as the model counts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfkit.capacity.inputs import fasta_document, read_folder, read_input, with_seeds
from perfkit.errors import UserError

pytest.importorskip("alphafold3", reason="inputs are read by the af3 extra")


def _write(path: Path, *sequences: dict[str, Any], seeds: tuple[int, ...] = (1,)) -> Path:
    document = {
        "dialect": "alphafold3",
        "version": 1,
        "name": path.stem,
        "modelSeeds": list(seeds),
        "sequences": list(sequences),
    }
    path.write_text(json.dumps(document))
    return path


PROTEIN = {"protein": {"id": "A", "sequence": "MKTAYIAKQR"}}


def test_ligands_and_modified_residues_count_by_atom(tmp_path: Path) -> None:
    """10 residues; ATP has 31 heavy atoms; of 10 residues one is phosphoserine, whose 10 heavy
    atoms (without OXT) count one each."""
    ligand = {"ligand": {"id": "L", "ccdCodes": ["ATP"]}}
    modified = {
        "protein": {
            "id": "B",
            "sequence": "MKTSYIAKQR",
            "modifications": [{"ptmType": "SEP", "ptmPosition": 4}],
        }
    }
    assert read_input(_write(tmp_path / "a.json", PROTEIN, ligand)).tokens == 41
    assert read_input(_write(tmp_path / "b.json", modified)).tokens == 19


def test_a_fasta_file_is_one_complex(tmp_path: Path) -> None:
    path = tmp_path / "pair.fasta"
    path.write_text(">one\nMKTA\nYIAK\n>two\nacgu\n>three\nACGT\n")
    document = fasta_document(path)
    assert document["sequences"] == [
        {"protein": {"id": "A", "sequence": "MKTAYIAK"}},
        {"rna": {"id": "B", "sequence": "ACGU"}},
        {"dna": {"id": "C", "sequence": "ACGT"}},
    ]
    assert read_input(path).tokens == 16


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no sequence"),
        ("MKTA\n", "its first line does not begin with >"),
        (">a\n>b\nMK\n", "record 1 has no sequence"),
        (">a\nMK7\n", "unknown residue letter '7'"),
    ],
)
def test_a_bad_fasta_file_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "bad.fa"
    path.write_text(text)
    with pytest.raises(UserError, match=told):
        read_input(path)


def test_a_folder_is_a_queue_and_bad_files_are_rejects(tmp_path: Path) -> None:
    _write(tmp_path / "good.json", PROTEIN, seeds=(1, 2))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "notes.txt").write_text("not an input")
    (tmp_path / "seq.fasta").write_text(">x\nMKTAY\n")
    jobs, (reject,) = read_folder(tmp_path)
    assert [(job.name, job.size, job.fidelity["seeds"]) for job in jobs] == [
        ("good", 10, 2),
        ("seq", 5, 1),
    ]
    assert reject.name == "broken"
    assert "is not valid JSON" in reject.sentence


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no fold input"):
        read_folder(tmp_path)


def test_an_input_can_be_given_more_seeds_than_it_names(tmp_path: Path) -> None:
    path = _write(tmp_path / "one.json", PROTEIN)
    for options in ({"input": str(path)}, {"size": "12"}):
        written = tmp_path / "more.json"
        written.write_text(with_seeds(options, 3))
        given = read_input(written)
        assert given.seeds == 3
        assert given.tokens == (10 if "input" in options else 12)


def test_an_msa_is_told(tmp_path: Path) -> None:
    chain = {"id": "A", "sequence": "MKTAY", "unpairedMsa": ">a\nMKTAY\n>b\nMKTAW\n"}
    chain |= {"pairedMsa": "", "templates": []}
    (notice,) = read_input(_write(tmp_path / "msa.json", {"protein": chain})).notices
    assert notice.startswith("it brings an MSA")
