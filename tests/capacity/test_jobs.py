"""Jobs: rows become predictions, bad rows a sentence with their number."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.capacity.jobs import WhatIf, read_jobs, sized_jobs
from perfkit.errors import UserError


def _csv(folder: Path, text: str) -> Path:
    path = folder / "jobs.csv"
    path.write_text(text)
    return path


def test_a_row_of_tokens_is_a_production_prediction(tmp_path: Path) -> None:
    (job,), rejects = read_jobs(_csv(tmp_path, "name,tokens\na,120\n"))
    assert rejects == []
    assert (job.model, job.size, job.options) == ("af3", 120, {"size": "120"})
    assert job.fidelity == {"recycles": 10, "steps": 200, "samples": 5, "seeds": 1}
    assert job.counts() == {"trunk_pass": 11, "diffusion_step": 200, "confidence": 1, "rest": 1}


def test_seeds_samples_and_recycles_are_taken(tmp_path: Path) -> None:
    text = "name, tokens, seeds, samples, recycles\na, 120, 3, 2, 4\n"
    ((job,), _) = read_jobs(_csv(tmp_path, text))
    assert job.fidelity == {"recycles": 4, "steps": 200, "samples": 2, "seeds": 3}
    assert job.counts()["trunk_pass"] == 15
    assert job.calls == 3


def test_a_row_with_a_grid_is_a_forecast(tmp_path: Path) -> None:
    """2 degrees: 91 latitudes, 180 longitudes; 15 days are 30 steps of 12 hours."""
    text = "name,grid,members,days,region\nw,2,50,15,global\n"
    ((job,), _) = read_jobs(_csv(tmp_path, text))
    assert (job.model, job.size, job.mesh) == ("gencast", 91 * 180, 3)
    assert job.fidelity == {"levels": 20, "steps": 30, "members": 50}
    assert job.calls == 1500
    assert job.counts()["denoiser_call"] == 39 * 1500


def test_gencast_is_one_degree_unless_said_otherwise(tmp_path: Path) -> None:
    ((job,), _) = read_jobs(_csv(tmp_path, "name,model\nw,gencast\n"))
    assert (job.size, job.mesh) == (181 * 360, 4)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "are empty: the first line names the columns"),
        ("name,tokens\n", "hold no row beneath the columns"),
        ("name,token\na,1\n", "column 'token' is unknown; the nearest is 'tokens'"),
        ("name,tokens,tokens\na,1,1\n", "the column 'tokens' stands there twice"),
        ("name,tokens\na,1,2\n", "row 2: more values than columns"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UserError) as refused:
        read_jobs(_csv(tmp_path, text))
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a,-5,,,", "row 3: tokens is '-5': input should be greater than or equal to 1"),
        ("a,many,,,", "row 3: tokens is 'many': input should be a valid integer"),
        ("a,1.5,,,", "tokens is '1.5'"),
        (",5,,,", "row 3: name field required"),
        ("first,5,,,", "row 3: the name 'first' is taken by"),
        ("a,,,,", "it needs either tokens or file (AlphaFold 3), or a grid (GenCast)"),
        ("a,5,no.json,,", "it needs either tokens or file"),
        ("a,,no.json,,", "no.json cannot be read"),
        ("a,5,,2,", "tokens is AlphaFold 3's and grid GenCast's: keep one"),
        ("a,,,-1,", "grid is '-1'"),
        ("a,,,0.7,", "a resolution of 0.7 degrees does not divide the sphere"),
        ("a,,,2,europe", "GenCast predicts the whole globe"),
        ("a,nan,,,", "tokens is 'nan'"),
        ("a,,,inf,", "grid is 'inf'"),
    ],
)
def test_a_bad_row_is_a_sentence_and_the_others_stay(tmp_path: Path, row: str, told: str) -> None:
    path = _csv(tmp_path, f"name,tokens,file,grid,region\nfirst,10,,,\n{row}\nlast,20,,,\n")
    jobs, (reject,) = read_jobs(path)
    assert [job.name for job in jobs] == ["first", "last"]
    assert told in reject.sentence
    assert str(path) in reject.sentence


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_jobs(tmp_path / "none.csv")


def test_what_if_changes_what_a_job_has(tmp_path: Path) -> None:
    jobs, _ = read_jobs(_csv(tmp_path, "name,tokens,grid\na,100,\nw,,2\n"))
    fold, forecast = (WhatIf(members=8, seeds=5, size=300).applied(job) for job in jobs)
    assert (fold.size, fold.fidelity["seeds"], fold.options) == (300, 5, {"size": "300"})
    assert (forecast.size, forecast.fidelity["members"]) == (91 * 180, 8)
    assert WhatIf(members=8).text == "members 8"


def test_sizes_alone_are_jobs() -> None:
    assert [job.size for job in sized_jobs("af3", "64, 128")] == [64, 128]
    assert [job.size for job in sized_jobs("gencast", "10")] == [19 * 36]
    with pytest.raises(UserError, match="--size: tokens is '0'"):
        sized_jobs("af3", "0")
