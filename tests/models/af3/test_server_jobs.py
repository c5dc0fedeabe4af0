"""Files of the AlphaFold Server: a single job, several jobs, and invalid ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfkit.errors import UserError
from perfkit.models.af3.inputs.fold_input import jobs_in, load_fold_input
from tests.support.fold_documents import load, refusal

pytestmark = pytest.mark.usefixtures("component_cache")


def _job(name: str, *entries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    chains = list(entries) or [{"proteinChain": {"sequence": "MKTAYIAK"}}]
    return {"name": name, "modelSeeds": ["5"], "sequences": chains, **changes}


def test_a_server_job_is_loaded(tmp_path: Path) -> None:
    job = _job(
        "server job",
        {"proteinChain": {"sequence": "MKTAYIAK", "count": 2}},
        {"ion": {"ion": "MG", "count": 1}},
        modelSeeds=[],
    )
    fold_input, notices = load([job], tmp_path)
    assert [chain.id for chain in fold_input.chains] == ["A", "B", "C"]
    assert fold_input.ligands[0].ccd_ids == ("MG",)
    assert fold_input.rng_seeds == (1,)
    assert notices[0] == "no model seed is given; 1 is used"


def test_a_job_is_chosen_by_name_or_number(tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps([_job("Job One"), _job("2nd"), _job("1")]))
    assert jobs_in(path) == 3
    for job, name in (("Job One", "Job One"), ("2", "2nd"), ("2nd", "2nd"), ("1", "1")):
        fold_input, _ = load_fold_input(path, job=job)
        assert (fold_input.name, fold_input.rng_seeds) == (name, (5,))
    with pytest.raises(UserError, match=r"\(1 'Job One', 2 '2nd', 3 '1'\): choose one with --job"):
        load_fold_input(path)
    for job in ("Job Two", "0", "4", "-1", "x" * 10):
        with pytest.raises(UserError, match=f"holds no job '{job}'; its jobs are 1 'Job One', 2"):
            load_fold_input(path, job=job)


def test_a_name_of_two_jobs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps([_job("same"), _job("same")]))
    with pytest.raises(UserError, match="holds 2 jobs 'same'; its jobs are 1 'same', 2 'same'"):
        load_fold_input(path, job="same")


def test_a_message_lists_five_jobs_at_most(tmp_path: Path) -> None:
    message = refusal([_job(str(number)) for number in range(50)], tmp_path)
    assert "5 '4' and 45 more): choose one" in message


def test_options_for_other_files_are_refused_for_a_single_input(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text("{}")
    with pytest.raises(UserError, match="--job selects an AlphaFold Server job"):
        load_fold_input(path, job="1")
    with pytest.raises(UserError, match="--molecule gives the type of FASTA records"):
        load_fold_input(path, molecule="dna")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"proteinChain": {"sequence": "MK", "count": 0}}, "count: input should be greater"),
        ({"proteinChain": {"sequence": "MK", "count": 10**15}}, "count: input should be less"),
        ({"proteinChain": {"sequence": "MK", "count": 1.5}}, "count: input should be a valid int"),
        ({"proteinChain": {"sequence": 5}}, "sequence: input should be a valid string"),
        ({"proteinChain": {}}, "sequences[0].proteinChain.sequence is missing"),
        (
            {"dnaSequence": {"sequence": "GA", "modifications": [{"modificationType": "5CM"}]}},
            "modifications[0].basePosition is missing",
        ),
        ({"ion": {"ion": "XQZ9"}}, "unknown chemical component 'XQZ9'"),
        ({"lipid": {}}, "Unknown sequence type"),
        ({"proteinChain": {"sequence": "MK", "glycans": []}}, "glycans"),
    ],
)
def test_a_bad_job_is_refused_in_one_sentence(
    entry: dict[str, Any], words: str, tmp_path: Path
) -> None:
    assert words in refusal([_job("bad", entry)], tmp_path)


def test_an_unknown_version_is_refused(tmp_path: Path) -> None:
    job = _job("new", dialect="alphafoldserver", version=9)
    assert "unsupported version: 9" in refusal([job], tmp_path)
