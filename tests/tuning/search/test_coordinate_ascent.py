"""Which changes the coordinate ascent tries again."""

from __future__ import annotations

from dataclasses import replace

from perfkit.tuning.search.coordinate_ascent import climb_of
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.processes import Process
from perfkit.tuning.search.registry import make_strategy
from perfkit.tuning.search.strategy import Screen
from tests.support.hand_made_evidence import AMPLE, screened
from tests.support.partners import CATALOGUE, CHANGES, SPACE


def _on_exact(number: int, settings: dict[str, str], ratio: float) -> list[Process]:
    """A candidate that was measured in turns with ``bucket=exact``, which takes 5 s."""
    base, candidate = screened(number, {"bucket": "exact"} | settings, 2.0 * ratio)
    exact = CATALOGUE.configuration({"bucket": "exact"})
    of_base = replace(
        base, digest=exact.digest, settings=exact.settings, times_s=dict.fromkeys(range(6), 5.0)
    )
    return [of_base, candidate]


def test_a_change_that_lost_on_a_much_slower_incumbent_is_tried_again() -> None:
    library = {"xla_cpu_use_onednn": "true"}
    others = [dict(change) for change in CHANGES[2:]]
    lost = [
        process
        for number, settings in enumerate(others)
        for process in _on_exact(number, settings, 0.9)
    ]
    before = [*screened(10, {"bucket": "exact"}, 2.0), *screened(11, library, 0.9)]
    climb = climb_of(Evidence([*before, *lost]), SPACE)
    assert climb.best.as_dict() == {"bucket": "exact"}
    assert (climb.untried, climb.undecided) == ((), ())
    assert climb.outdated == (CHANGES[1],)
    decision = make_strategy("coordinate-ascent").decide(Evidence([*before, *lost]), SPACE, AMPLE)
    assert isinstance(decision, Screen)
    assert [one.as_dict() for one in decision.candidates] == [{"bucket": "exact"} | library]
    # What it did on the slower incumbent does not count any more.
    won = climb_of(Evidence([*before, *lost, *_on_exact(12, library, 1.5)]), SPACE)
    assert won.best.as_dict() == {"bucket": "exact"} | library
    again = climb_of(Evidence([*before, *lost, *_on_exact(12, library, 0.9)]), SPACE)
    assert again.outdated == ()


def test_a_change_that_lost_is_not_tried_again_on_an_incumbent_that_is_about_as_fast() -> None:
    library = {"xla_cpu_use_onednn": "true"}
    small = [
        process for number in range(3) for process in screened(number, {"bucket": "exact"}, 1.05)
    ]
    climb = climb_of(Evidence([*small, *screened(11, library, 0.9)]), SPACE)
    assert climb.best.as_dict() == {"bucket": "exact"}
    assert climb.outdated == ()


SMALL = {"bucket": "exact", "xla_cpu_use_onednn": "true"}
"""Two settings that gain 2 % each, which the screenings cannot show."""


def _scattered(number: int, settings: dict[str, str], ratio: float) -> list[Process]:
    """A candidate whose passes scatter by 5 %: six rounds show no gain below that."""
    base, candidate = screened(number, settings, ratio)
    scatter = (0.95, 1.05, 0.95, 1.05, 1.0, 1.0)
    times_s = {
        at: seconds * factor
        for (at, seconds), factor in zip(candidate.times_s.items(), scatter, strict=True)
    }
    return [base, replace(candidate, times_s=times_s)]


SMALL_GAINS = [
    process
    for number, change in enumerate(CHANGES)
    for process in (
        _scattered(number, dict(change), 1.02)
        if change[0][0] in SMALL
        else screened(number, dict(change), 0.9)
    )
]


def _next_candidates(processes: list[Process]) -> list[dict[str, str]]:
    decision = make_strategy("coordinate-ascent").decide(Evidence(processes), SPACE, AMPLE)
    assert isinstance(decision, Screen)
    return [one.as_dict() for one in decision.candidates]


def test_small_gains_are_tried_together() -> None:
    assert _next_candidates(SMALL_GAINS) == [SMALL]
    # One pair of processes does not establish a gain of 4 %, but two do.
    once = [*SMALL_GAINS, *screened(10, SMALL, 1.04)]
    assert _next_candidates(once) == [SMALL]
    twice = climb_of(Evidence([*once, *screened(11, SMALL, 1.04)]), SPACE)
    assert twice.best.as_dict() == SMALL


def test_a_combination_that_loses_leaves_its_members_to_be_tried_again() -> None:
    lost = [*SMALL_GAINS, *screened(10, SMALL, 0.9)]
    assert climb_of(Evidence(lost), SPACE).combination == ()
    assert _next_candidates(lost) == [{name: value} for name, value in SMALL.items()]


def test_small_gains_wait_for_what_may_gain_more() -> None:
    untried = SMALL_GAINS[:-2]
    assert climb_of(Evidence(untried), SPACE).combination == ()
    assert _next_candidates(untried) == [dict(CHANGES[-1])]
    # A large gain would carry them along: it becomes part of the incumbent alone.
    promising = [*untried, *screened(10, dict(CHANGES[-1]), 1.2)]
    assert _next_candidates(promising) == [dict(CHANGES[-1])]


def test_of_two_values_of_a_knob_the_faster_one_is_combined() -> None:
    gains = {"glibc-keep": 1.03, "glibc-hugepages": 1.02}
    values = [dict(change) for change in CHANGES]
    processes = [
        process
        for number, own in enumerate(values)
        for process in _scattered(number, own, gains.get(own.get("allocator", ""), 1.02))
    ]
    (combined,) = _next_candidates(processes)
    assert combined["allocator"] == "glibc-keep"
