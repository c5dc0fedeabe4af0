"""How many passes a trial of a fit makes, and which of several trials counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from perfkit.capacity.laws.measure import FitMeasurement, FitPlan, Step
from perfkit.records.schema import Record
from tests.support.planted import record

ROUNDS = 5


class Passes:
    """A session whose passes take given seconds."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self._left: Iterator[float] = iter(seconds)
        self.made: list[float] = []

    def __enter__(self) -> Passes:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def open(self, *_: object) -> bool:
        return True

    def rounds(self, _: object, count: int) -> None:
        self.made += [second for _, second in zip(range(count), self._left, strict=False)]

    def passes_s(self, _: object) -> list[float]:
        return self.made


def measurement(records: Sequence[Record] = (), repeats: int = 1) -> FitMeasurement:
    store = SimpleNamespace(records=lambda: records)
    plan = SimpleNamespace(rounds=ROUNDS, store=store, study=None, repeats=repeats)
    plan.wanted = partial(FitPlan.wanted, plan)
    return FitMeasurement(plan, None, None)  # type: ignore[arg-type]  # no trial is run


@pytest.mark.parametrize(
    ("seconds", "made"),
    [
        ([10.0, 10.1, 9.9, 10.0, 10.2] * 4, 5),
        ([10.0, 13.0] * 20, 20),
        ([10.0, 13.0, 10.0, 13.0, 10.0] + [10.0] * 20, 15),
        ([10.0, 13.0, 10.0], 3),
        ([], 0),
    ],
    ids=["settled", "never settles", "settles later", "ends early", "no pass"],
)
def test_passes_go_on_until_their_median_has_settled(
    monkeypatch: pytest.MonkeyPatch, seconds: list[float], made: int
) -> None:
    session = Passes(seconds)
    monkeypatch.setattr(FitMeasurement, "_session", lambda _: session)
    step: Any = Step(None, None, "parts", traced=False)  # type: ignore[arg-type]  # not looked at
    measurement()._measure(step)
    assert len(session.made) == made


def test_a_trial_with_more_passes_replaces_one_that_had_not_settled() -> None:
    short, other = record(32), record(64)
    long = record(32).model_copy(
        update={"stages": [*short.stages, *short.steady], "id": "the longer one"}
    )
    assert len(long.steady) == 2 * len(short.steady) > 0
    for order in ([short, other, long], [long, short, other]):
        kept = [one.model_copy(update={"study": None}) for one in order]
        found = measurement(kept).records()
        assert sorted(one.workload.size for one in found) == [32, 64]
        assert next(one for one in found if one.workload.size == 32).id == long.id


def test_as_many_trials_as_are_wanted_count() -> None:
    trials = [record(32).model_copy(update={"study": None, "id": f"{n}"}) for n in range(4)]
    assert [one.id for one in measurement(trials, repeats=3).records()] == ["1", "2", "3"]
