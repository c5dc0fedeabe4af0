"""What is checked before the first of several predictions starts, and where each of them goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import perfkit
from perfkit.api.predictions import PlannedRun, RunArguments, planned_runs
from perfkit.api.subject import make_subject
from perfkit.errors import UserError
from tests.support.fold_documents import document

pytest.importorskip("alphafold3", reason="the inputs need the af3 extra")


def _planned(folder: Path, *names: str, **arguments: Any) -> list[PlannedRun]:
    """The predictions of inputs of these names, whatever memory is free."""
    inputs = folder / "inputs"
    inputs.mkdir()
    for number, name in enumerate(names):
        (inputs / f"{number}.json").write_text(json.dumps(document(name=name)))
    common = RunArguments(model="af3", out=folder / "out", force=True, **arguments)
    return planned_runs(common, {"input_dir": inputs})


@pytest.mark.parametrize("forced", [False, True])
def test_every_prediction_goes_to_a_folder_of_its_own_directly_in_the_output_folder(
    tmp_path: Path, forced: bool
) -> None:
    names = ("A/B complex", "../../escape", "..", "<b>bold</b>", "x" * 400, "plain")
    planned = _planned(tmp_path, *names, force_output_dir=forced)
    assert [each.subject.workload.name for each in planned] == list(names)
    assert {each.folder.parent for each in planned} == {tmp_path / "out"}
    assert planned[0].folder.name == "AB_complex"
    assert planned[3].folder.name == "bboldb"
    assert planned[5].folder.name == "plain"
    assert len({each.folder for each in planned}) == len(names)
    assert not (tmp_path / "out").exists()


def test_inputs_that_would_replace_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the inputs 'A/B' and 'AB' share the folder") as refused:
        _planned(tmp_path, "A/B", "AB", force_output_dir=True)
    assert "leave out --force-output-dir" in str(refused.value)


def test_one_bad_input_is_refused_before_the_others_run(tmp_path: Path) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    (inputs / "good.json").write_text(json.dumps(document()))
    (inputs / "worse.json").write_text("{")
    with pytest.raises(UserError, match=r"worse\.json is not valid JSON"):
        perfkit.run_each(model="af3", input_dir=inputs, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_call_that_returns_one_result_refuses_several_inputs(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(document(name=name)))
    with pytest.raises(UserError, match=r"names? 2 inputs: perfkit\.run_each takes the same"):
        perfkit.run(model="af3", input_dir=tmp_path, force=True)


@pytest.mark.parametrize("option", ["input_dir", "save_embeddings", "compress_large_output_files"])
def test_options_of_predictions_are_refused_where_none_is_written(option: str) -> None:
    value = "inputs" if option == "input_dir" else True
    with pytest.raises(UserError, match="is for predictions, which only perfkit run writes"):
        make_subject("af3", {"size": 8, option: value})
