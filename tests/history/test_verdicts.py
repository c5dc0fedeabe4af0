"""Rules of comparisons: losses are regressions, and swapped sides give opposite verdicts."""

import itertools
import math

import pytest

from perfkit.history.snapshot import Entry, Kind, Snapshot, entry_of_samples
from perfkit.history.verdicts import (
    REGRESSIONS,
    Verdict,
    judge,
    judge_levels,
    missing_from_new,
)

NAN, INFINITY = math.nan, math.inf

OPPOSITE = {
    Verdict.WORSE: Verdict.BETTER,
    Verdict.ANSWER_CHANGED: Verdict.ANSWER_CLOSER,
    Verdict.LOST: Verdict.FOUND,
    Verdict.FAILED: Verdict.FIXED,
}
BOTH_WAYS = OPPOSITE | {later: earlier for earlier, later in OPPOSITE.items()}


def entry(
    value: float | None,
    kind: Kind = Kind.ANSWER,
    *,
    low: float | None = None,
    high: float | None = None,
    version: str = "",
    subject: str = "",
    required: bool = False,
    hardware: str = "",
) -> Entry:
    return Entry(
        "x",
        kind,
        "",
        value,
        low=low,
        high=high,
        version=version,
        subject=subject,
        required=required,
        hardware=hardware,
    )


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1e-6, NAN, Verdict.LOST),
        (1e-6, INFINITY, Verdict.LOST),
        (1e-6, None, Verdict.FAILED),
        (NAN, None, Verdict.FAILED),
        (NAN, 1e-6, Verdict.FOUND),
        (None, 1e-6, Verdict.FIXED),
        (NAN, NAN, Verdict.SAME),
        (None, None, Verdict.SAME),
    ],
)
def test_a_lost_number_is_a_regression_for_every_kind_of_quantity(
    kind: Kind, old: float | None, new: float | None, expected: Verdict
) -> None:
    verdict = judge(entry(old, kind), entry(new, kind)).verdict
    assert verdict is expected
    assert (verdict in REGRESSIONS) == (expected in (Verdict.LOST, Verdict.FAILED))


def test_a_failure_of_a_changed_benchmark_is_a_failure() -> None:
    old, new = entry(1.0, Kind.TIME, version="1"), entry(None, Kind.TIME, version="2")
    assert judge(old, new).verdict is Verdict.FAILED
    assert judge(old, entry(1.0, Kind.TIME, version="2")).verdict is Verdict.INCOMPARABLE


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (0.0, 2.0, Verdict.WORSE),
        (2.0, 0.0, Verdict.BETTER),
        (0.0, 0.0, Verdict.SAME),
        (-1.0, -1.0, Verdict.SAME),
    ],
)
def test_without_a_ratio_the_direction_decides(old: float, new: float, expected: Verdict) -> None:
    assert judge(entry(old, Kind.TIME), entry(new, Kind.TIME)).verdict is expected


def test_times_on_other_hardware_are_shown_and_not_judged() -> None:
    old, new = entry(1.0, Kind.TIME, hardware="fast"), entry(3.0, Kind.TIME, hardware="slow")
    judgement = judge(old, new)
    assert judgement.verdict is Verdict.INCOMPARABLE
    assert judgement.ratio is not None
    assert judgement.ratio.median == 3.0


def test_answers_on_other_hardware_are_judged() -> None:
    old, new = entry(1e-6, hardware="fast"), entry(1e-2, hardware="slow")
    assert judge(old, new).verdict is Verdict.ANSWER_CHANGED


def test_swapped_sides_give_the_opposite_verdict() -> None:
    timed = [
        entry_of_samples("x", Kind.TIME, "seconds", groups)
        for groups in ([[1.0, 1.1, 1.2]], [[2.0, 2.1]], [[1.0], [1.6]], [[1.05, 1.15, 1.3]])
    ]
    summed = [
        entry(1.0, Kind.TIME, low=0.9, high=1.1),
        entry(2.0, Kind.TIME, low=-INFINITY, high=9),
    ]
    plain = [entry(value, kind) for kind in Kind for value in (None, NAN, 0.0, 1e-3, 1.0, 1.3, 7.0)]
    for old, new in itertools.product([*timed, *summed, *plain], repeat=2):
        if old.kind is new.kind:
            there, back = judge(old, new), judge(new, old)
            assert back.verdict is BOTH_WAYS.get(there.verdict, there.verdict)
            if there.ratio is not None and back.ratio is not None:
                assert there.ratio.median * back.ratio.median == pytest.approx(1.0)


@pytest.mark.parametrize("samples", [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
def test_samples_of_zero_seconds_are_compared(samples: list[float]) -> None:
    old = entry_of_samples("x", Kind.TIME, "seconds", [samples])
    new = entry_of_samples("x", Kind.TIME, "seconds", [[5.0, 5.0]])
    assert judge(old, new).verdict is Verdict.WORSE


def test_a_missing_entry_is_lost_only_if_its_subject_was_completed() -> None:
    old = entry(1.0, required=True, subject="protein")
    assert missing_from_new(old, Snapshot("b", completed=frozenset(["protein"]))) is Verdict.LOST
    assert missing_from_new(old, Snapshot("b")) is Verdict.GONE
    optional = entry(1.0, subject="protein")
    completed = Snapshot("b", completed=frozenset(["protein"]))
    assert missing_from_new(optional, completed) is Verdict.GONE


@pytest.mark.parametrize(
    ("old", "new", "kind", "expected"),
    [
        (1.0, 1.2, Kind.TIME, Verdict.WORSE),
        (1.0, 1.04, Kind.TIME, Verdict.SAME),
        (1e-7, 1e-3, Kind.ANSWER, Verdict.ANSWER_CHANGED),
        (1.0, 9.0, Kind.OTHER, Verdict.SAME),
        (0.0, 9.0, Kind.MEMORY, Verdict.WORSE),
    ],
)
def test_levels_of_a_series_are_judged_by_the_same_rules(
    old: float, new: float, kind: Kind, expected: Verdict
) -> None:
    assert judge_levels(old, new, kind) is expected
