"""The rules of every comparison: what is lost is loud, and the other way round is the opposite."""

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
    Verdict.FAILED: Verdict.MENDED,
}
BOTH_WAYS = OPPOSITE | {later: earlier for earlier, later in OPPOSITE.items()}


def entry(value: float | None, kind: Kind = Kind.ANSWER, **more: object) -> Entry:
    return Entry("x", kind, "", value, **more)  # type: ignore[arg-type]  # fields of any kind


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1e-6, NAN, Verdict.LOST),
        (1e-6, INFINITY, Verdict.LOST),
        (1e-6, None, Verdict.FAILED),
        (NAN, None, Verdict.FAILED),
        (NAN, 1e-6, Verdict.FOUND),
        (None, 1e-6, Verdict.MENDED),
        (NAN, NAN, Verdict.SAME),
        (None, None, Verdict.SAME),
    ],
)
def test_a_number_that_is_no_more_is_a_regression_whatever_it_measured(
    kind: Kind, old: float | None, new: float | None, expected: Verdict
) -> None:
    verdict = judge(entry(old, kind), entry(new, kind)).verdict
    assert verdict is expected
    assert (verdict in REGRESSIONS) == (expected in (Verdict.LOST, Verdict.FAILED))


def test_a_benchmark_that_was_changed_and_fails_has_failed() -> None:
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
def test_a_ratio_to_nothing_is_judged_by_its_direction(
    old: float, new: float, expected: Verdict
) -> None:
    assert judge(entry(old, Kind.TIME), entry(new, Kind.TIME)).verdict is expected


def test_times_of_another_kind_of_machine_are_shown_and_not_judged() -> None:
    old, new = entry(1.0, Kind.TIME, place="fast"), entry(3.0, Kind.TIME, place="slow")
    judgement = judge(old, new)
    assert judgement.verdict is Verdict.INCOMPARABLE
    assert judgement.ratio is not None
    assert judgement.ratio.median == 3.0


def test_an_answer_of_another_kind_of_machine_is_judged() -> None:
    old, new = entry(1e-6, place="fast"), entry(1e-2, place="slow")
    assert judge(old, new).verdict is Verdict.ANSWER_CHANGED


def test_the_other_way_round_the_verdict_is_the_opposite() -> None:
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


def test_what_is_missing_is_lost_only_where_its_subject_was_answered() -> None:
    old = entry(1.0, essential=True, subject="protein")
    assert missing_from_new(old, Snapshot("b", answered=frozenset(["protein"]))) is Verdict.LOST
    assert missing_from_new(old, Snapshot("b")) is Verdict.GONE
    unneeded = entry(1.0, subject="protein")
    answered = Snapshot("b", answered=frozenset(["protein"]))
    assert missing_from_new(unneeded, answered) is Verdict.GONE


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
