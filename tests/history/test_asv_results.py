"""Results that asv wrote are read as snapshots, and commits are found by any of their names."""

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


def test_raw_samples_are_kept_under_benchmark_and_parameters(write_result: WriteResult) -> None:
    snapshot = only(write_result("a", {"toy.time_steady": STEADY})).snapshot
    entry = snapshot.entries["toy.time_steady(1, stock)"]
    assert entry.kind is Kind.TIME
    assert entry.groups == ((1.0, 2.0, 6.0),)
    assert entry.value == 2.0
    assert snapshot.entries["toy.time_steady(2, stock)"].groups == ((4.0,),)


def test_without_samples_the_median_of_asv_is_kept(write_result: WriteResult) -> None:
    path = write_result("a", {"toy.time_steady": STEADY}, record_samples=False)
    entry = only(path).snapshot.entries["toy.time_steady(1, stock)"]
    assert (entry.value, entry.groups) == (2.0, ())


def test_a_failed_benchmark_has_no_value_and_says_so(write_result: WriteResult) -> None:
    path = write_result("a", {"toy.time_steady": [[1.0], None], "toy.track_peakmem": 5.0})
    entries = only(path).snapshot.entries
    assert entries["toy.time_steady(2, stock)"].value is None
    assert entries["toy.time_steady(2, stock)"].reason == "the benchmark failed"
    assert entries["toy.track_peakmem"].kind is Kind.MEMORY


def test_the_setting_tells_machine_and_jaxlib(write_result: WriteResult) -> None:
    snapshot = only(write_result("a", {"itself.Setting.track_jaxlib": 12.0001})).snapshot
    assert snapshot.setting["machine"] == "box"
    assert snapshot.setting["jaxlib"] == "0.12.0.1"


@pytest.mark.parametrize(
    ("version", "number"), [("0.12.0.1", 12.0001), ("0.9.2", 9.02), ("1.4.10", 1004.1)]
)
def test_a_version_of_jaxlib_becomes_a_number_and_back(version: str, number: float) -> None:
    assert jaxlib_number(version) == pytest.approx(number)
    assert jaxlib_version(jaxlib_number(version)) == version


def test_results_come_by_the_date_of_their_commits(
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
def test_a_commit_without_results_is_refused_with_those_that_have_some(
    name: str, write_result: WriteResult, results_folder: Path
) -> None:
    write_result("a", {"toy.track_peakmem": 1.0})
    with pytest.raises(UserError, match=r"nor a commit with results .*aaaaaaaa"):
        results_of_commit(results_folder, name)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 99}'])
def test_a_file_that_is_no_result_is_refused(
    text: str, write_result: WriteResult, results_folder: Path
) -> None:
    write_result("a", {"toy.track_peakmem": 1.0})
    path = results_folder / "box" / "broken.json"
    path.write_text(text)
    with pytest.raises(UserError, match="no result of asv"):
        read_result(path)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'asv run' makes them"):
        read_results(tmp_path / "missing")
    with pytest.raises(UserError, match="holds no asv results yet"):
        read_results(tmp_path)
