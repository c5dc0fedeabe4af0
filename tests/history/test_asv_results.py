"""asv results are read as snapshots, and commits are found by hash or by name."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.history.asv_results import (
    AsvResult,
    jaxlib_number,
    jaxlib_version,
    read_result,
    read_results,
    results_of_commit,
)
from perfkit.history.snapshot import Kind

type WriteResult = Callable[..., Path]

STEADY = [[1.0, 2.0, 6.0], [4.0]]


def only(path: Path) -> AsvResult:
    (result,) = read_result(path).results
    return result


def test_raw_samples_are_named_by_benchmark_and_parameters(write_result: WriteResult) -> None:
    snapshot = only(write_result("a", {"toy.time_steady": STEADY})).snapshot
    entry = snapshot.entries["toy.time_steady(1, stock)"]
    assert entry.kind is Kind.TIME
    assert entry.groups == ((1.0,), (2.0,), (6.0,))
    assert entry.value == 2.0
    assert snapshot.entries["toy.time_steady(2, stock)"].groups == ((4.0,),)


def test_many_samples_become_sixteen_groups_of_neighbours(write_result: WriteResult) -> None:
    samples = [float(number) for number in range(1, 33)]
    snapshot = only(write_result("a", {"toy.time_steady": [samples, [4.0]]})).snapshot
    groups = snapshot.entries["toy.time_steady(1, stock)"].groups
    assert groups[:2] == ((1.0, 2.0), (3.0, 4.0))
    assert len(groups) == 16


def test_without_samples_the_median_of_asv_is_used(write_result: WriteResult) -> None:
    path = write_result("a", {"toy.time_steady": STEADY}, record_samples=False)
    entry = only(path).snapshot.entries["toy.time_steady(1, stock)"]
    assert (entry.value, entry.groups) == (2.0, ())


def test_a_failed_benchmark_has_no_value_and_a_reason(write_result: WriteResult) -> None:
    path = write_result("a", {"toy.time_steady": [[1.0], None], "toy.track_peakmem": 5.0})
    entries = only(path).snapshot.entries
    assert entries["toy.time_steady(2, stock)"].value is None
    assert entries["toy.time_steady(2, stock)"].reason == "the benchmark failed"
    assert entries["toy.track_peakmem"].kind is Kind.MEMORY


def test_the_metadata_names_machine_and_jaxlib(write_result: WriteResult) -> None:
    snapshot = only(write_result("a", {"itself.Setting.track_jaxlib": 12.0001})).snapshot
    assert snapshot.metadata["machine"] == "box"
    assert snapshot.metadata["jaxlib"] == "0.12.0.1"


@pytest.mark.parametrize(
    ("version", "number"), [("0.12.0.1", 12.0001), ("0.9.2", 9.02), ("1.4.10", 1004.1)]
)
def test_a_version_of_jaxlib_is_encoded_as_a_number_and_decoded(
    version: str, number: float
) -> None:
    assert jaxlib_number(version) == pytest.approx(number)
    assert jaxlib_version(jaxlib_number(version)) == version


def test_results_are_sorted_by_the_date_of_their_commits(
    write_result: WriteResult, results_folder: Path
) -> None:
    for commit, day in (("c", 3), ("a", 1), ("b", 2)):
        write_result(commit, {"toy.track_peakmem": 1.0}, day=day)
    assert [one.commit[0] for one in read_results(results_folder).results] == ["a", "b", "c"]


def test_a_commit_is_found_by_the_beginning_of_its_hash(
    write_result: WriteResult, results_folder: Path
) -> None:
    write_result("a", {"toy.track_peakmem": 1.0})
    write_result("b", {"toy.track_peakmem": 1.0})
    (found,) = results_of_commit(results_folder, "aaaa").results
    assert found.commit == "a" * 40


@pytest.mark.parametrize("name", ["ffff", "no-such-branch"])
def test_a_commit_without_results_is_refused_and_the_others_are_listed(
    name: str, write_result: WriteResult, results_folder: Path
) -> None:
    write_result("a", {"toy.track_peakmem": 1.0})
    with pytest.raises(
        UserError, match=r"nor a commit with results .*the commits with results are aaaaaaaa"
    ):
        results_of_commit(results_folder, name)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 99}'])
def test_a_file_that_is_not_a_result_is_refused(
    text: str, write_result: WriteResult, results_folder: Path
) -> None:
    write_result("a", {"toy.track_peakmem": 1.0})
    path = results_folder / "box" / "broken.json"
    path.write_text(text)
    with pytest.raises(UserError, match="cannot be read as a result file of asv"):
        read_result(path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("samples", [[1.0]], "1 values for 2 combinations"),
        ("samples", [1, -(10**30)], "samples.0: Input should be a valid list"),
        ("samples", [["<script>", 1.0], None], "samples.0.0"),
        ("params", [[0, "2"], ["'stock'"]], "params.0.0: Input should be a valid string"),
        ("params", None, "params: Input should be a valid list"),
        ("params", [["1"] * 1000] * 3, "1000000000 combinations of parameters"),
        ("result", ["x", 1.0], "result.0"),
        ("stats_ci_99_b", [1.0] * 3, "3 values for 2 combinations"),
    ],
)
def test_a_damaged_column_is_named(
    column: str, value: object, message: str, write_result: WriteResult
) -> None:
    path = write_result("a", {"toy.time_steady": STEADY})
    data = json.loads(path.read_text())
    data["results"]["toy.time_steady"][data["result_columns"].index(column)] = value
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=f"results.toy.time_steady.*{re.escape(message)}"):
        read_result(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("date", {"a": None}),
        ("date", "../../x"),
        ("date", 10**18),
        ("commit_hash", "../../x"),
        ("params", {"cpu": "no machine"}),
        ("params", {"machine": "box", "python": {"a": None}}),
        ("result_columns", None),
        ("results", {"toy.time_steady": None}),
        ("version", 3),
    ],
)
def test_a_damaged_file_is_skipped_and_other_files_are_read(
    name: str, value: object, write_result: WriteResult, results_folder: Path
) -> None:
    good = write_result("a", {"toy.track_peakmem": 1.0})
    data = json.loads(good.read_text())
    (good.parent / "damaged.json").write_text(json.dumps(data | {name: value}))
    reading = read_results(results_folder)
    assert [one.commit[0] for one in reading.results] == ["a"]
    (sentence,) = reading.skipped
    assert "damaged.json cannot be read as a result file of asv: " in sentence
    assert name in sentence or "machine" in sentence


def test_a_benchmark_whose_unit_cannot_be_read_is_named_and_not_judged(
    write_result: WriteResult, results_folder: Path
) -> None:
    path = write_result("a", {"toy.track_peakmem": 1.0, "toy.track_agreement_distance": 1e-6})
    described = {
        "version": 2,
        "toy.track_peakmem": {"unit": [None]},
        "toy.track_agreement_distance": {"unit": "relative distance"},
        "x": "y",
    }
    (results_folder / "benchmarks.json").write_text(json.dumps(described))
    reading = read_result(path)
    assert [one.partition("benchmarks.json, ")[2].partition(":")[0] for one in reading.skipped] == [
        "toy.track_peakmem",
        "x",
    ]
    entries = reading.results[0].snapshot.entries
    assert entries["toy.track_peakmem"].kind is Kind.OTHER
    assert entries["toy.track_agreement_distance"].kind is Kind.ANSWER


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, None])
def test_without_descriptions_results_can_be_shown_but_not_compared(
    text: str | None, write_result: WriteResult, results_folder: Path
) -> None:
    path = write_result("a", {"toy.track_peakmem": 1.0})
    described = results_folder / "benchmarks.json"
    described.unlink() if text is None else described.write_text(text)
    reading = read_results(results_folder)
    assert len(reading.results) == 1
    assert "the units of all benchmarks are unknown" in reading.skipped[0]
    with pytest.raises(UserError, match="the units of all benchmarks are unknown"):
        read_result(path)
    with pytest.raises(UserError, match="the units of all benchmarks are unknown"):
        results_of_commit(results_folder, "aaaa")


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="create it with 'asv run'"):
        read_results(tmp_path / "missing")
    with pytest.raises(UserError, match="holds no asv results yet; create some"):
        read_results(tmp_path)
