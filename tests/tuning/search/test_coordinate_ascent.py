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
