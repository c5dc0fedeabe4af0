"""Jobs: rows become predictions, bad rows are rejected with their number."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from perfkit.capacity.queue.jobs import (
    call_count,
    job_features,
    read_jobs,
    run_counts,
    sized_jobs,
    without_repeats,
)
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
    assert run_counts(job) == {"trunk_pass": 11, "diffusion_step": 200, "confidence": 1, "rest": 1}


def test_seeds_samples_and_recycles_are_taken(tmp_path: Path) -> None:
    text = "name, tokens, seeds, samples, recycles\na, 120, 3, 2, 4\n"
    ((job,), _) = read_jobs(_csv(tmp_path, text))
    assert job.fidelity == {"recycles": 4, "steps": 200, "samples": 2, "seeds": 3}
    assert run_counts(job)["trunk_pass"] == 15
    assert call_count(job) == 3


def test_a_row_with_a_grid_is_a_forecast(tmp_path: Path) -> None:
    """2 degrees: 91 latitudes, 180 longitudes; 15 days are 30 steps of 12 hours."""
    text = "name,grid,members,days,region\nw,2,50,15,global\n"
    ((job,), _) = read_jobs(_csv(tmp_path, text))
    assert (job.model, job.size) == ("gencast", 91 * 180)
    # 10 * 4**3 + 2 nodes of the mesh with three refinements.
    assert job_features(job, {})["m"] == 642.0
    assert job.fidelity == {"levels": 20, "steps": 30, "members": 50}
    assert call_count(job) == 1500
    assert run_counts(job)["denoiser_call"] == 39 * 1500


def test_the_default_grid_is_one_degree(tmp_path: Path) -> None:
    ((job,), _) = read_jobs(_csv(tmp_path, "name,model\nw,gencast\n"))
    assert (job.size, job_features(job, {})["m"]) == (181 * 360, 2562.0)


def test_an_input_file_in_place_of_the_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is JSON: give a CSV file of jobs, or the folder"):
        read_jobs(_csv(tmp_path, '{\n  "name": "gb1",\n  "sequences": []\n}\n'))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "are empty: the first line names the columns"),
        ("name,tokens\n", "hold no row beneath the columns"),
        ("name,token\na,1\n", "column 'token' is unknown; the nearest is 'tokens'"),
        ("name,tokens,tokens\na,1,1\n", "the column 'tokens' occurs twice"),
        ('name,tokens\na,1\n"b,2\nc,3\n', "row 4: unexpected end of data (is a quote"),
        ("name,id,tokens\na,b,1\n", "the column 'name' occurs twice"),
        (",,\n,,\n", "are empty: the first line names the columns"),
        ("PK\x03\x04", "are a workbook, not CSV: save the sheet as CSV"),
        ("name,tokens\na\0,1\n", "are not a text file"),
    ],
)
def test_an_unreadable_table_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(UserError) as refused:
        read_jobs(_csv(tmp_path, text))
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("a,-5,,,", "row 3: tokens is '-5': input should be greater than or equal to 1"),
        ("a,100001,,,", "tokens is '100001': input should be less than or equal to 100000"),
        ("a,,,0.001,", "grid is '0.001': input should be greater than or equal to 0.01"),
        ("a,5,,,,,x", "row 3: more values than columns: 'x' is number 7"),
        ("a,many,,,", "row 3: tokens is 'many': input should be a valid integer"),
        ("a,1.5,,,", "tokens is '1.5'"),
        (",5,,,", "row 3: name field required"),
        ("first,5,,,", "row 3: the name 'first' is taken by"),
        ("a,,,,", "it needs an input: tokens or file or sequence (af3), or grid (gencast)"),
        ("a,5,no.json,,", "it needs either tokens or file or sequence, but has tokens and file"),
        ("a,,no.json,,", "no.json cannot be read"),
        ("a,5,,2,", "tokens is a column of af3 and grid of gencast: keep one"),
        ("a,,,-1,", "grid is '-1'"),
        ("a,,,0.7,", "a resolution of 0.7 degrees does not divide the sphere"),
        ("a,,,2,europe", "GenCast predicts the whole globe"),
        ("a,nan,,,", "tokens is 'nan'"),
        ("a,,,inf,", "grid is 'inf'"),
        ("a,,,nan,", "grid is 'nan'"),
    ],
)
def test_a_bad_row_is_rejected_and_the_others_are_kept(
    tmp_path: Path, row: str, expected: str
) -> None:
    path = _csv(tmp_path, f"name,tokens,file,grid,region\nfirst,10,,,\n{row}\nlast,20,,,\n")
    jobs, (reject,) = read_jobs(path)
    assert [job.name for job in jobs] == ["first", "last"]
    assert expected in reject.sentence
    assert str(path) in reject.sentence


@pytest.mark.parametrize(
    "raw",
    [
        b"name,tokens\na b,24\nc,30\n",
        b"\xef\xbb\xbfname,tokens\r\na b,24\r\nc,30\r\n",
        b"name;tokens\r\na b;24\r\nc;30\r\n",
        b"sep=;\r\nname;tokens\r\na b;24\r\nc;30\r\n",
        b"name\ttokens\na b\t24\nc\t30\n",
        "name\ttokens\r\na b\t24\r\nc\t30\r\n".encode("utf-16"),
        b"name,tokens,\na b,24,\nc,30,\n",
        b"name,tokens,,\na b,24\n,,,\n,\n\nc,30,,,,\n,,\n",
        b'"name","tokens"\n"a b","24"\n"c","30"\n',
        b"Name , TOKENS\n a b , 24\n c , 30\n",
        b"\r\n,,\nname,tokens\na b,24\nc,30",
        b"name,tokens\ra b,24\rc,30\r",
        b"id,tokens\na b,24\nc,30\n",
    ],
)
def test_a_table_is_read_as_spreadsheets_write_it(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "jobs.csv"
    path.write_bytes(raw)
    jobs, rejects = read_jobs(path)
    assert rejects == []
    assert [(job.name, job.size) for job in jobs] == [("a b", 24), ("c", 30)]


def test_a_table_in_the_encoding_of_windows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_bytes("name;tokens\nMüller €;24\n".encode("cp1252"))
    ((job,), _) = read_jobs(path)
    assert job.name == "Müller €"


def test_a_quoted_cell_keeps_its_separators_and_lines(tmp_path: Path) -> None:
    text = 'name,tokens\n"a,b;c\nd ""e""",24\nlast,30\n'
    jobs, _ = read_jobs(_csv(tmp_path, text))
    assert [(job.name, job.origin.rpartition(", ")[2]) for job in jobs] == [
        ('a,b;c\nd "e"', "row 3"),
        ("last", "row 4"),
    ]


def test_a_value_without_a_column_is_not_dropped(tmp_path: Path) -> None:
    jobs, (reject,) = read_jobs(_csv(tmp_path, "name,,tokens\na,x,24\nb,,30\n"))
    assert [job.name for job in jobs] == ["b"]
    assert "row 2: 'x' is in a column without a name" in reject.sentence


@pytest.mark.parametrize("days", ["15", "15,0", "15 days", "360h", "15-00:00:00", "360:00:00"])
def test_days_are_a_number_or_a_duration(tmp_path: Path, days: str) -> None:
    ((job,), rejects) = read_jobs(_csv(tmp_path, f"name;grid;days\nw;2;{days}\n"))
    assert rejects == []
    assert job.fidelity["steps"] == 30


@pytest.mark.parametrize(("days", "notices"), [("7.5", 0), ("36h", 0), ("7.3", 1), ("40h", 1)])
def test_days_that_are_not_whole_steps_are_reported(
    tmp_path: Path, days: str, notices: int
) -> None:
    ((job,), _) = read_jobs(_csv(tmp_path, f"name,grid,days\nw,2,{days}\n"))
    assert len(job.notices) == notices
    assert all("not a whole number of steps of 12 hours" in notice for notice in job.notices)


@pytest.mark.parametrize("days", ["-1", "nan", "0", "soon", "1e9"])
def test_impossible_days_are_rejected(tmp_path: Path, days: str) -> None:
    _, (reject,) = read_jobs(_csv(tmp_path, f"name,grid,days\nw,2,{days}\n"))
    assert f"row 2: days is '{days}': " in reject.sentence


def test_a_decimal_comma_is_read(tmp_path: Path) -> None:
    ((job,), _) = read_jobs(_csv(tmp_path, "name;grid\nw;0,25\n"))
    assert job.size == 721 * 1440


def test_a_table_of_colabfold_is_read(tmp_path: Path) -> None:
    """Two chains of 6 and 5 residues."""
    pytest.importorskip("alphafold3", reason="sequences are checked by the af3 extra")
    jobs, (reject,) = read_jobs(_csv(tmp_path, "id,sequence\na,GSAKLV:PVLSC\nb,mk\nbad,GS:\n"))
    assert [(job.name, job.size) for job in jobs] == [("a", 11), ("b", 2)]
    assert [
        each["protein"]["sequence"]
        for each in json.loads(str(jobs[0].details["document"]))["sequences"]
    ] == [
        "GSAKLV",
        "PVLSC",
    ]
    assert "row 4: the sequence has an empty chain" in reject.sentence


def test_a_bad_sequence_names_the_row_and_no_temporary_file(tmp_path: Path) -> None:
    pytest.importorskip("alphafold3", reason="sequences are checked by the af3 extra")
    path = _csv(tmp_path, "id,sequence\na,MK1\n")
    _, (reject,) = read_jobs(path)
    assert reject.sentence.startswith(f"{path}, row 2: ")
    assert "'1'" in reject.sentence
    assert "perfkit-" not in reject.sentence


@pytest.mark.parametrize("name", ["x" * 5000, "no\nsuch", "$(no)"])
def test_a_file_that_cannot_exist_is_rejected(tmp_path: Path, name: str) -> None:
    jobs, (reject,) = read_jobs(_csv(tmp_path, f'name,file\na,"{name}.json"\n'))
    assert jobs == []
    assert "cannot be read" in reject.sentence


def test_unpaired_surrogates_in_names_are_escaped() -> None:
    job = sized_jobs("af3", "64")[0]
    (kept,), _ = without_repeats([dataclasses.replace(job, name="a\udcffb")], [])
    assert kept.name == "a\\udcffb"


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_jobs(tmp_path / "none.csv")


def test_sizes_alone_are_jobs() -> None:
    assert [job.size for job in sized_jobs("af3", "64, 128")] == [64, 128]
    assert [job.size for job in sized_jobs("gencast", "10")] == [19 * 36]
    with pytest.raises(UserError, match="--size: tokens is '0'"):
        sized_jobs("af3", "0")
