"""`perfkit compare` compares two folders of records or two asv results and sets its exit code."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.cli.main import main
from perfkit.records.store import Store
from tests.support.records_factory import make_record

type WriteResult = Callable[..., Path]


def asv_compare(old: str, new: str, results: Path, *more: str) -> int:
    return main(["compare", old, new, "--results", str(results), *more])


def test_two_equal_commits_compare_as_unchanged(
    write_result: WriteResult, results_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for commit in "ab":
        write_result(commit, {"toy.time_steady": [[1.0, 1.1], [2.0, 2.1]]})
    assert asv_compare("aaaa", "bbbb", results_folder) == 0
    printed = capsys.readouterr().out
    assert "2 measurements compared: nothing has changed" in printed


def test_a_slower_commit_ends_with_exit_code_1(
    write_result: WriteResult, results_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result("a", {"toy.time_steady": [[1.0, 1.01], [2.0, 2.01]]})
    write_result("b", {"toy.time_steady": [[1.0, 1.01], [4.0, 4.01]]})
    assert asv_compare("aaaa", "bbbb", results_folder) == 1
    printed = capsys.readouterr().out
    assert "toy.time_steady(2, stock)" in printed
    assert "toy.time_steady(1, stock)" not in printed
    assert "WORSE" in printed


def test_a_changed_answer_ends_with_exit_code_1(
    write_result: WriteResult, results_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result("a", {"toy.track_agreement_distance": 1e-7})
    write_result("b", {"toy.track_agreement_distance": 1e-4})
    assert asv_compare("aaaa", "bbbb", results_folder) == 1
    assert "ANSWER CHANGED" in capsys.readouterr().out


def test_a_lost_answer_ends_with_exit_code_1_and_a_regained_one_with_0(
    write_result: WriteResult, results_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result("a", {"toy.track_agreement_distance": 1e-6})
    write_result("b", {"toy.track_agreement_distance": math.nan})
    assert asv_compare("aaaa", "bbbb", results_folder) == 1
    printed = capsys.readouterr().out
    assert "LOST" in printed
    assert "1 measurement compared: 1 lost measurement" in printed
    assert asv_compare("bbbb", "aaaa", results_folder) == 0


def test_a_missing_benchmark_ends_with_exit_code_1(
    write_result: WriteResult, results_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result("a", {"toy.track_agreement_distance": 1e-6, "toy.track_peakmem": 1e9})
    write_result("b", {"toy.track_peakmem": 1e9})
    assert asv_compare("aaaa", "bbbb", results_folder) == 1
    assert "LOST" in capsys.readouterr().out


def test_a_damaged_result_of_another_commit_is_reported_once(
    write_result: WriteResult, results_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for commit in "ab":
        path = write_result(commit, {"toy.track_peakmem": 1e9})
    (path.parent / "torn.json").write_text("{")
    assert asv_compare("aaaa", "bbbb", results_folder) == 0
    assert capsys.readouterr().out.count("torn.json cannot be read as a result file of asv") == 1


def test_folders_with_nothing_in_common_end_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = records(tmp_path / "old", [1.0])
    Store(tmp_path / "new").append(make_record(role="parts"))
    assert main(["compare", old, str(tmp_path / "new")]) == 2
    printed = capsys.readouterr()
    assert "added (only in" in printed.out
    assert "removed (only in" in printed.out
    assert "have no measurement in common" in printed.err


def test_the_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    assert "2  the two cannot be compared" in capsys.readouterr().out


def test_another_version_of_jaxlib_is_reported(
    write_result: WriteResult, results_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for commit, jaxlib in (("a", 11.0), ("b", 12.0001)):
        write_result(commit, {"itself.Setting.track_jaxlib": jaxlib, "toy.track_peakmem": 1e9})
    assert asv_compare("aaaa", "bbbb", results_folder) == 0
    assert "warning: not the same setting, jaxlib: 0.11.0 before, 0.12.0.1 now" in (
        capsys.readouterr().out
    )


def test_results_of_two_machines_are_compared_by_file_with_a_warning(
    write_result: WriteResult, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write_result("a", {"toy.track_peakmem": 1e9})
    new = write_result("a", {"toy.track_peakmem": 1e9}, machine="other")
    assert main(["compare", str(old), str(new)]) == 0
    assert "warning: not the same setting, machine: box before, other now" in (
        capsys.readouterr().out
    )


def records(folder: Path, steady_s: list[float], host: str = "testhost") -> str:
    record = make_record(steady_s=steady_s)
    machine = record.machine.model_copy(update={"host": host})
    Store(folder).append(record.model_copy(update={"machine": machine}))
    return str(folder)


def test_two_folders_of_records_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = records(tmp_path / "old", [1.0, 1.01, 0.99])
    new = records(tmp_path / "new", [2.0, 2.01, 1.99], host="otherhost")
    assert main(["compare", old, new]) == 1
    printed = capsys.readouterr().out
    assert "2.00x" in printed
    assert "host: testhost before, otherhost now" in printed
    assert main(["compare", new, old]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "aaaa", "bbbb"], "nor a commit with results"),
        (["compare", "aaaa", "aaaa", "--factor", "0.5"], "--factor takes 1 or more"),
        (["compare", "aaaa", "aaaa", "--machine", "none"], "has no results of machine 'none'"),
        (["compare", "aaaa", "{results}"], "holds no records; for results of asv, give a commit"),
        (["compare", "{empty}", "{records}"], "empty holds no records"),
        (["compare", "aaaa", "{records}"], "records cannot be compared with asv results"),
        (["compare", "aaaa"], "required"),
    ],
)
def test_arguments_that_cannot_be_compared_are_refused(
    arguments: list[str],
    message: str,
    write_result: WriteResult,
    results_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_result("a", {"toy.track_peakmem": 1e9})
    (tmp_path / "empty").mkdir()
    places = {
        "results": str(results_folder),
        "records": records(tmp_path / "old", [1.0]),
        "empty": str(tmp_path / "empty"),
    }
    filled = [argument.format(**places) for argument in arguments]
    assert main([*filled, "--results", str(results_folder)]) == 2
    assert message in capsys.readouterr().err


def test_report_draws_the_results_folder_of_asv(
    write_result: WriteResult, results_folder: Path
) -> None:
    write_result("a", {"toy.time_steady": [[1.0], [2.0]]})
    assert main(["report", str(results_folder)]) == 0
    page = (results_folder / "report.html").read_text()
    assert "Regression history" in page
    assert "toy.time_steady" in page
