"""The options of ``run_alphafold.py``: several inputs, seeds, and choices of the features."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.tokens import count_tokens
from perfkit.models.af3.featurise import Batch, featurise
from perfkit.models.af3.inputs.fold_input import load_fold_input
from perfkit.models.af3.inputs.several import each_input, with_seeds
from perfkit.models.af3.model import AlphaFold3
from perfkit.models.af3.run_options import UPSTREAM_FEATURES, FeatureOptions, FileOptions
from perfkit.models.costs import Options
from tests.support.fold_documents import document, ligand, protein, write_input

type Load = Callable[[str], tuple[Any, tuple[str, ...]]]

pytestmark = pytest.mark.usefixtures("component_cache")


def _job(name: str) -> dict[str, Any]:
    return {"name": name, "modelSeeds": [], "sequences": [{"proteinChain": {"sequence": "MKTAY"}}]}


def test_a_folder_stands_for_its_json_files_and_all_their_jobs(tmp_path: Path) -> None:
    write_input(tmp_path / "b.json")
    (tmp_path / "a.json").write_text(json.dumps([_job("2"), _job("same"), _job("same")]))
    (tmp_path / "notes.txt").write_text("no input")
    (tmp_path / "folder.json").mkdir()
    found = each_input({"input-dir": str(tmp_path), "save-embeddings": True})
    jobs, alone = str(tmp_path / "a.json"), str(tmp_path / "b.json")
    assert found == [
        {"save-embeddings": True, "input": jobs, "job": "#1"},
        {"save-embeddings": True, "input": jobs, "job": "#2"},
        {"save-embeddings": True, "input": jobs, "job": "#3"},
        {"save-embeddings": True, "input": alone},
    ]
    # The first job is called '2': a number after '#' is no name.
    names = [AlphaFold3().workload(one, {}).name for one in found]
    assert names == ["2", "same", "same", "b"]


def test_a_chosen_job_and_a_synthetic_protein_are_one_input(tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps([_job("one"), _job("two")]))
    assert len(each_input({"input": str(path)})) == 2
    for options in ({"input": str(path), "job": "two"}, {"size": 8}, {}):
        assert each_input(options) == [options]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input-dir": "none"}, "--input-dir takes a folder, and none is none"),
        ({"input-dir": "."}, r"has no input: --input-dir reads the files \*.json in it"),
        ({"input-dir": ".", "size": 8}, "--input-dir and --size exclude each other"),
        ({"input-dir": ".", "job": "1"}, "--input-dir and --job exclude each other"),
    ],
)
def test_options_that_name_no_inputs_are_refused(
    options: dict[str, str | int], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        each_input(options)


def test_seeds_count_up_from_the_only_seed(tmp_path: Path) -> None:
    path = write_input(tmp_path / "five.json", protein(), seeds=[5])
    model = AlphaFold3()
    options: Options = {"input": str(path), "num-seeds": 3}
    assert with_seeds(load_fold_input(path)[0], 3).rng_seeds == (5, 6, 7)
    # Nobody who asks for three seeds wants the first alone, unless it is said.
    assert model.workload(options, {}).fidelity["seeds"] == 3
    assert model.workload(options, {"seeds": 2}).fidelity["seeds"] == 2
    digests = [model.workload(given, {}).input_digest for given in (options, {"input": str(path)})]
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("seeds", "number", "message"),
    [
        ([1], 0, "--num-seeds takes 1 to 100,000 seeds, not 0"),
        ([1], 10**6, "--num-seeds takes 1 to 100,000 seeds, not 1000000"),
        ([1, 2], 2, "counts up from a single seed, but the input 'in' names 2"),
        ([2**32 - 2], 3, "counts up from seed 4294967294 beyond 4294967295"),
    ],
)
def test_a_number_of_seeds_that_cannot_be_is_refused(
    seeds: list[int], number: int, message: str, tmp_path: Path
) -> None:
    path = write_input(tmp_path / "in.json", protein(), seeds=seeds)
    with pytest.raises(UserError, match=message):
        AlphaFold3().workload({"input": str(path), "num-seeds": number}, {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max-template-date": "30.09.2021"}, "takes a date as YYYY-MM-DD, not '30.09.2021'"),
        ({"max-template-date": ""}, "takes a date as YYYY-MM-DD, not ''"),
        ({"conformer-max-iterations": -1}, "takes 0 to 2,147,483,647 iterations, not -1"),
        ({"conformer-max-iterations": 2**31}, "iterations, not 2147483648"),
        ({"input-dir": "inputs"}, "--input-dir names several inputs"),
    ],
)
def test_a_bad_choice_is_refused(options: dict[str, str | int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        AlphaFold3().workload({"size": 8, **options}, {})


def test_a_choice_of_the_features_is_another_input_and_one_of_the_files_is_not() -> None:
    model = AlphaFold3()
    plain = model.workload({"size": 8}, {})
    for same in ({"resolve-msa-overlaps": True}, {"save-distogram": True}):
        assert model.workload({"size": 8, **same}, {}).digest == plain.digest
    for other in (
        {"resolve-msa-overlaps": False},
        {"fix-standalone-glycans": True},
        {"max-template-date": "2022-01-01"},
        {"conformer-max-iterations": 5},
    ):
        workload = model.workload({"size": 8, **other}, {})
        assert workload.digest != plain.digest
        assert workload.source == {"size": 8, **other}


def test_files_are_upstream_s_unless_chosen() -> None:
    assert FileOptions.of({}) == FileOptions(False, False, True, False)
    chosen: Options = {"save-distogram": True, "save-terms-of-use": False, "input": "x"}
    assert FileOptions.of(chosen) == FileOptions(False, True, False, False)


def test_a_package_without_a_choice_is_named_only_where_the_choice_is_made() -> None:
    def old_featurise_input(fold_input: object, *, ref_max_modified_date: object) -> None: ...

    day = datetime.date(2021, 9, 30)
    assert UPSTREAM_FEATURES.arguments_for(old_featurise_input) == {"ref_max_modified_date": day}
    fixed = FeatureOptions(fix_standalone_glycans=True)
    with pytest.raises(UserError, match="does not offer --fix-standalone-glycans"):
        fixed.arguments_for(old_featurise_input)


def test_a_glycan_that_is_bonded_to_nothing_keeps_its_o1_on_request(data: Path) -> None:
    path = data / "glycoprotein.json"
    (plain, before), (fold_input, notices) = (
        load_fold_input(path, fix_standalone_glycans=fix) for fix in (False, True)
    )
    assert plain == fold_input
    # One of the three NAG is bonded to nothing; the others are bonded through other atoms.
    dropped = {notice for notice in before if "predicted without O1" in notice}
    assert dropped == set(before) - set(notices)
    assert all("chain C" in notice for notice in dropped)
    fixed = count_tokens(fold_input, fix_standalone_glycans=True)
    assert fixed == count_tokens(fold_input) + 1
    (batch,) = featurise(fold_input, options=FeatureOptions(fix_standalone_glycans=True))
    assert batch.numeric["seq_mask"].sum() == fixed


def _rows(batch: Batch) -> set[tuple[int, ...]]:
    """The rows of the MSA that are not empty."""
    msa, mask = (np.asarray(batch.numeric[name]) for name in ("msa", "msa_mask"))
    return {tuple(row) for row in msa[mask.any(axis=1)].tolist()}


def test_rows_that_are_also_in_the_paired_msa_stay_on_request(tmp_path: Path) -> None:
    """Two chains are needed: upstream uses no paired MSA of a single one."""
    paired = ">query\nMKTAYIAK\n>tr|A0A0A0A000|A0A0A0A000_HUMAN\nMKTAYIAR\n"
    unpaired = ">query\nMKTAYIAK\n>other\nMKTAYIAR\n"
    first = protein("A", pairedMsa=paired, unpairedMsa=unpaired)
    second = protein(
        "B",
        sequence="GSGSGSGS",
        pairedMsa=">query\nGSGSGSGS\n>tr|B0B0B0B000|B0B0B0B000_HUMAN\nGSGSGSGA\n",
    )
    path = tmp_path / "pair.json"
    path.write_text(json.dumps(document(first, second)))
    fold_input, _ = load_fold_input(path)
    (resolved,) = featurise(fold_input)
    (kept,) = featurise(fold_input, options=FeatureOptions(resolve_msa_overlaps=False))
    # The unpaired row of chain A, with nothing in chain B, is left out where it is paired too.
    assert len(_rows(kept) - _rows(resolved)) == 1
    assert _rows(resolved) < _rows(kept)


def _positions(code: str, options: FeatureOptions, path: Path) -> tuple[Any, tuple[str, ...]]:
    """Reference positions of an input with a ligand, and the notices of upstream."""
    fold_input, _ = load_fold_input(write_input(path, protein(), ligand("B", code)))
    (batch,) = featurise(fold_input, options=options)
    return batch.numeric["ref_pos"], batch.notices


def test_the_search_for_conformers_ends_after_the_given_iterations(tmp_path: Path) -> None:
    """RDKit does not find a conformer of paclitaxel in the first iteration."""
    path = tmp_path / "taxol.json"
    plain, before = _positions("TAX", UPSTREAM_FEATURES, path)
    limited, notices = _positions("TAX", FeatureOptions(conformer_iterations=1), path)
    assert not any("finds no conformer of TAX" in notice for notice in before)
    assert any("finds no conformer of TAX" in notice for notice in notices)
    assert not np.array_equal(plain, limited)


def test_components_that_are_older_than_the_date_take_deposited_coordinates(
    tmp_path: Path,
) -> None:
    """Component 118 has no ideal coordinates and was modified last on 2011-06-04."""
    path = tmp_path / "antimony.json"
    unknown = "no coordinates of 118"
    for day, is_known in (("2011-06-04", False), ("2011-06-05", True)):
        reference = datetime.date.fromisoformat(day)
        positions, notices = _positions("118", FeatureOptions(reference), path)
        assert any(unknown in notice for notice in notices) is not is_known
        # Eight residues precede the atoms. Unknown positions are all zero, and are moved as one.
        assert len(np.unique(positions[8:, 0], axis=0)) == (25 if is_known else 1)
