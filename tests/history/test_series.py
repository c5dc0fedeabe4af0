"""Series of benchmarks over commits: their levels, and which changes are regressions."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from perfkit.history.asv_results import read_results
from perfkit.history.series import Series, series_of_results
from perfkit.history.snapshot import Kind
from perfkit.report.figures.history import history_figure, history_info
from perfkit.report.history.page import history_page

type WriteResult = Callable[..., Path]

type MakeSeries = Callable[..., Series]

COMMITS = "abcdef"


@pytest.fixture
def make_series(write_result: WriteResult, results_folder: Path) -> MakeSeries:
    """Write the values of one benchmark at six commits and read them as a series."""

    def write(name: str, values: Sequence[float | None], **versions: str) -> Series:
        for day, (commit, value) in enumerate(zip(COMMITS, values, strict=True)):
            version = {name: versions.get(commit, "1")}
            write_result(commit, {name: value}, day=day + 1, versions=version)
        (series,) = series_of_results(read_results(results_folder).results)
        return series

    return write


def test_a_slowdown_is_one_jump_between_the_two_commits(make_series: MakeSeries) -> None:
    series = make_series("toy.track_peakmem", [1.0, 1.01, 1.0, 1.5, 1.51, 1.5])
    (jump,) = series.jumps
    assert (jump.before[0], jump.after[0]) == ("c", "d")
    assert (jump.old, jump.new) == pytest.approx((1.0, 1.5))
    assert [(step.first, step.last) for step in series.steps] == [(0, 2), (3, 5)]


def test_level_and_improving_series_have_no_jump(make_series: MakeSeries) -> None:
    assert make_series("toy.track_peakmem", [1.0, 1.01, 0.99, 1.0, 1.01, 1.0]).jumps == ()
    assert make_series("toy.track_peakmem", [2.0, 2.0, 2.0, 1.0, 1.0, 1.0]).jumps == ()


def test_an_answer_that_moves_in_either_direction_is_a_jump(make_series: MakeSeries) -> None:
    further = make_series("toy.track_agreement_distance", [1e-7, 1e-7, 1e-7, 1e-3, 1e-3, 1e-3])
    assert further.kind is Kind.ANSWER
    assert [jump.after[0] for jump in further.jumps] == ["d"]
    closer = make_series("toy.track_agreement_distance", [1e-3, 1e-3, 1e-3, 1e-5, 1e-5, 1e-5])
    assert [jump.after[0] for jump in closer.jumps] == ["d"]


def test_a_missing_value_is_not_a_step(make_series: MakeSeries) -> None:
    series = make_series("toy.track_peakmem", [1.0, None, 1.0, 1.0, None, 1.0])
    assert series.jumps == ()
    assert [point.value for point in series.points] == [1.0, None, 1.0, 1.0, None, 1.0]


@pytest.mark.parametrize("end", [None, math.nan])
def test_an_answer_is_lost_at_the_first_commit_without_a_number(
    make_series: MakeSeries, end: float | None
) -> None:
    name = "toy.track_agreement_distance"
    (jump,) = make_series(name, [1e-6, 1e-6, 1e-6, 1e-6, end, end]).jumps
    assert (jump.before[0], jump.after[0], jump.old, jump.new) == ("d", "e", 1e-6, None)


def test_a_loss_is_drawn_at_the_current_version_of_the_benchmark(
    write_result: WriteResult, results_folder: Path
) -> None:
    name = "toy.track_agreement_distance"
    for day, (commit, value, version) in enumerate(
        [("a", 1e-6, "1"), ("b", None, "1"), ("c", None, "2")], start=1
    ):
        write_result(commit, {name: value}, day=day, versions={name: version})
    (series,) = series_of_results(read_results(results_folder).results)
    assert [(jump.before[0], jump.after[0]) for jump in series.jumps] == [("a", "c")]
    (line,) = history_info([series]).lines
    assert line.jumps == ((0, 1e-6, "1e-06 to no number"),)


def test_the_page_reports_a_lost_answer_and_a_skipped_file(
    write_result: WriteResult, results_folder: Path
) -> None:
    write_result("a", {"toy.track_agreement_distance": 1e-6}, day=1)
    path = write_result("b", {"toy.track_agreement_distance": math.nan}, day=2)
    (path.parent / "torn.json").write_text("{")
    reading = read_results(results_folder)
    page = history_page(reading.results, reading.skipped)
    assert "Found: 1 x lost measurement." in page
    assert (
        "the answer is lost: toy.track_agreement_distance on box (virtualenv-py3.12): "
        "1e-06 to no number between aaaaaaaa and bbbbbbbb" in page
    )
    assert "1 file could not be read and is left out" in page
    assert "torn.json cannot be read as a result file of asv" in page


def test_a_missing_benchmark_is_lost_and_a_removed_one_is_not(
    write_result: WriteResult, results_folder: Path
) -> None:
    write_result("a", {"toy.track_peakmem": 1e9, "toy.track_agreement_distance": 1e-6}, day=1)
    write_result("b", {"toy.track_peakmem": 1e9}, day=2)
    answer, _ = series_of_results(read_results(results_folder).results)
    assert [(jump.after[0], jump.new) for jump in answer.jumps] == [("b", None)]
    described = {"version": 2, "toy.track_peakmem": {"unit": "bytes"}}
    (results_folder / "benchmarks.json").write_text(json.dumps(described))
    assert not any(
        series.jumps for series in series_of_results(read_results(results_folder).results)
    )


def test_names_of_benchmarks_are_escaped(write_result: WriteResult, results_folder: Path) -> None:
    evil = "<script>alert(1)</script>"
    path = write_result("a", {"toy.track_peakmem": 1e9})
    text = path.read_text().replace("toy.track_peakmem", evil).replace("3.12", evil)
    path.write_text(text)
    described = {"version": 2, evil: {"unit": evil}}
    (results_folder / "benchmarks.json").write_text(json.dumps(described))
    page = history_page(read_results(results_folder).results)
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page


def test_points_of_an_older_version_of_the_benchmark_are_left_out(make_series: MakeSeries) -> None:
    series = make_series("toy.track_peakmem", [9.0, 9.0, 1.0, 1.0, 1.0, 1.0], a="0", b="0")
    assert [point.commit[0] for point in series.points] == list("cdef")


def test_the_figure_marks_the_jump_and_draws_both_levels(make_series: MakeSeries) -> None:
    info = history_info([make_series("toy.track_peakmem", [1e9, 1e9, 1e9, 2e9, 2e9, 2e9])])
    assert info.unit == "GB"
    (line,) = info.lines
    assert line.values == (1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
    assert line.levels == ((0, 2, 1.0), (3, 5, 2.0))
    assert line.jumps == ((3, 2.0, "1.0 GB to 2.0 GB, 2x"),)
    rings = [t for t in history_figure(info).data if t.marker.symbol == "circle-open"]
    assert [list(trace.x) for trace in rings] == [[3]]


def test_the_page_lists_a_numerical_change_before_a_slowdown(
    results_folder: Path, write_result: WriteResult
) -> None:
    slow, apart = [[1.0, 1.01]] * 2, [[2.0, 2.01]] * 2
    for day, commit in enumerate(COMMITS):
        late = day >= 3
        write_result(
            commit,
            {
                "toy.time_steady": apart if late else slow,
                "toy.track_agreement_distance": 1e-3 if late else 1e-7,
            },
            day=day + 1,
        )
    page = history_page(read_results(results_folder).results)
    assert "Found: 1 x numerical change, 2 x slowdown." in page
    assert (
        "the answer changed: toy.track_agreement_distance on box (virtualenv-py3.12): "
        "1e-07 to 0.001, 1e+04x between cccccccc and dddddddd" in page
    )
    assert "toy.time_steady (1, stock) on box (virtualenv-py3.12): 1.00 s to 2.00 s" in page
    assert page.index("the answer changed") < page.index("toy.time_steady (1, stock) on")
