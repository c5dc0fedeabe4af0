"""A comparison reports slowdowns, growth, changed answers and incomparable entries."""

import math

import pytest

from perfkit.history.comparison import Comparison, compare_snapshots
from perfkit.history.snapshot import Entry, Kind, Snapshot, entry_of_samples
from perfkit.history.verdicts import Verdict


def timed(*groups: tuple[float, ...]) -> Entry:
    return entry_of_samples("steady", Kind.TIME, "seconds", groups)


def answer(value: float | None) -> Entry:
    return Entry("distance", Kind.ANSWER, "relative distance", value)


def compared(old: Entry, new: Entry, factor: float = 1.05) -> Comparison:
    return compare_snapshots(
        Snapshot("a", {}, {old.name: old}), Snapshot("b", {}, {new.name: new}), factor
    )


def verdict(old: Entry, new: Entry, factor: float = 1.05) -> Verdict:
    (row,) = compared(old, new, factor).rows
    return row.verdict


def test_a_slowdown_beyond_the_spread_is_a_regression() -> None:
    comparison = compared(
        timed((1.0,), (1.01,), (0.99,), (1.0,)), timed((1.1,), (1.111,), (1.089,), (1.1,))
    )
    (row,) = comparison.rows
    assert row.verdict is Verdict.WORSE
    assert row.ratio is not None
    assert row.ratio.median == pytest.approx(1.1)
    assert comparison.regressed
    assert comparison.sentence() == "1 regression"


def test_a_slowdown_within_the_spread_is_unsure_and_no_regression() -> None:
    comparison = compared(timed((1.0, 2.0, 3.0)), timed((1.5, 2.2, 3.1)))
    (row,) = comparison.rows
    assert row.verdict is Verdict.UNSURE
    assert not comparison.regressed


def test_a_significant_change_below_the_factor_is_the_same() -> None:
    old, new = timed(*[(1.0,)] * 4), timed(*[(1.04,)] * 4)
    assert verdict(old, new) is Verdict.SAME
    assert verdict(old, new, factor=1.03) is Verdict.WORSE


def test_faster_is_better() -> None:
    comparison = compared(timed((1.0, 1.01)), timed((0.5, 0.51)))
    assert [row.verdict for row in comparison.rows] == [Verdict.BETTER]
    assert not comparison.regressed


@pytest.mark.parametrize(("new", "expected"), [(1.4, Verdict.UNSURE), (1.6, Verdict.WORSE)])
def test_single_measurements_must_differ_by_half(new: float, expected: Verdict) -> None:
    assert verdict(timed((1.0,)), timed((new,))) is expected


def test_a_spread_between_processes_widens_the_interval() -> None:
    old, new = timed((1.0, 1.0), (1.3, 1.3)), timed((1.2, 1.2), (1.5, 1.5))
    assert verdict(old, new) is Verdict.UNSURE


def test_more_memory_is_a_regression_without_any_statistics() -> None:
    old, new = (Entry("peak", Kind.MEMORY, "bytes", value) for value in (1e9, 1.1e9))
    assert verdict(old, new) is Verdict.WORSE


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1e-7, 4e-7, Verdict.SAME),
        (1e-7, 1e-4, Verdict.ANSWER_CHANGED),
        (0.025, 0.0251, Verdict.ANSWER_CHANGED),
        (0.025, 0.020, Verdict.ANSWER_CLOSER),
        (0.0, 3.0, Verdict.ANSWER_CHANGED),
    ],
)
def test_an_answer_that_moves_by_more_than_rounding_has_changed(
    old: float, new: float, expected: Verdict
) -> None:
    comparison = compared(answer(old), answer(new))
    (row,) = comparison.rows
    assert row.verdict is expected
    assert comparison.regressed == (expected is Verdict.ANSWER_CHANGED)


def test_numerical_changes_are_listed_before_slowdowns() -> None:
    old = {"steady": timed((1.0, 1.0)), "distance": answer(1e-7)}
    new = {"steady": timed((2.0, 2.0)), "distance": answer(1e-2)}
    comparison = compare_snapshots(Snapshot("a", {}, old), Snapshot("b", {}, new))
    assert [row.name for row in comparison.rows] == ["distance", "steady"]
    assert comparison.sentence() == "1 numerical change, 1 regression"


def test_a_new_failure_is_a_regression_and_a_fixed_one_is_not() -> None:
    assert verdict(answer(0.1), answer(None)) is Verdict.FAILED
    assert compared(answer(0.1), answer(None)).regressed
    assert verdict(answer(None), answer(0.1)) is Verdict.FIXED


def test_no_number_on_either_side_is_not_a_change() -> None:
    assert verdict(answer(math.nan), answer(math.nan)) is Verdict.SAME
    assert verdict(answer(None), answer(None)) is Verdict.SAME


def test_entries_of_another_version_are_not_compared() -> None:
    old = Entry("steady", Kind.TIME, "seconds", 1.0, version="1")
    new = Entry("steady", Kind.TIME, "seconds", 9.0, version="2")
    assert verdict(old, new) is Verdict.INCOMPARABLE


def test_another_machine_or_jaxlib_is_reported() -> None:
    old = Snapshot("a", {"machine": "one", "jaxlib": "0.11.0"})
    new = Snapshot("b", {"machine": "one", "jaxlib": "0.12.0.1", "cpu": "new"})
    assert compare_snapshots(old, new).differences == (
        "jaxlib: 0.11.0 before, 0.12.0.1 now",
        "cpu: unknown before, new now",
    )


def test_a_summary_without_samples_is_judged_by_its_interval() -> None:
    def summary(value: float, low: float, high: float) -> Entry:
        return Entry("steady", Kind.TIME, "seconds", value, low=low, high=high)

    assert verdict(summary(1.0, 0.99, 1.01), summary(1.1, 1.09, 1.11)) is Verdict.WORSE
    assert verdict(summary(1.0, 0.80, 1.20), summary(1.1, 0.90, 1.30)) is Verdict.UNSURE
    assert verdict(summary(1.0, -math.inf, math.inf), summary(9.0, 8.0, 10.0)) is Verdict.UNSURE
