"""Decisions of the strategies over the whole space, from evidence made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from perfkit.errors import MissingDependencyError, UserError
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome
from perfkit.tuning.search.coordinate_ascent import climb_of
from perfkit.tuning.search.enumerations import Grid, RandomSearch
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.gaussian_process import (
    GaussianProcess,
    encoded,
    expected_improvement,
)
from perfkit.tuning.search.known import known_configurations
from perfkit.tuning.search.packages import require_package
from perfkit.tuning.search.processes import Process
from perfkit.tuning.search.registry import STRATEGIES, make_strategy
from perfkit.tuning.search.screen_tpe import ScreenTpe
from perfkit.tuning.search.strategy import (
    Budget,
    Confirm,
    Decision,
    Screen,
    SearchSpace,
    Stop,
)
from tests.support.coverage_of_space import coverage_text
from tests.support.hand_made_evidence import AMPLE, FixedCosts, screened
from tests.support.partners import CATALOGUE, CHANGES, OVER_THE_SPACE, SPACE

SINGLES = [
    process
    for number, change in enumerate(CHANGES)
    for process in screened(number, dict(change), 0.99)
]
"""Every single change was measured, and none is faster."""


@pytest.mark.parametrize("name", OVER_THE_SPACE)
def test_the_same_evidence_gives_the_same_decision_in_any_order(name: str) -> None:
    def decide(processes: Sequence[Process]) -> Decision:
        return make_strategy(name).decide(Evidence(processes), SPACE, AMPLE)

    first = decide(SINGLES)
    assert isinstance(first, Screen)
    assert decide(SINGLES) == first
    assert decide(list(reversed(SINGLES))) == first


@pytest.mark.parametrize("name", ["screen+tpe", "gp"])
def test_every_single_change_comes_before_the_first_combination(name: str) -> None:
    strategy, asked, processes = make_strategy(name), list[Configuration](), list[Process]()
    for _ in range(3):
        decision = strategy.decide(Evidence(processes), SPACE, AMPLE)
        assert isinstance(decision, Screen)
        for candidate in decision.candidates:
            asked.append(candidate)
            processes += screened(len(asked), candidate.as_dict(), 0.99)
    assert [one.settings for one in asked[:5]] == list(CHANGES)
    assert all(len(one.settings) > 1 for one in asked[5:])


@pytest.mark.parametrize("name", OVER_THE_SPACE)
def test_where_processes_are_shared_a_screening_has_four_candidates(name: str) -> None:
    decision = make_strategy(name).decide(Evidence([]), SPACE, replace(AMPLE, shared=True))
    assert isinstance(decision, Screen)
    assert len(set(decision.candidates)) == 4
    assert STOCK not in decision.candidates


@pytest.mark.parametrize("name", OVER_THE_SPACE)
def test_a_configuration_that_failed_is_not_proposed_again(name: str) -> None:
    failed = [
        Process(one.digest, Role.SCREEN, None, {}, Outcome.REJECTED, one.settings)
        for one in known_configurations(Evidence([]), SPACE).combinations()
        if one != STOCK and one.as_dict() != {"bucket": "exact"}
    ]
    strategy = make_strategy(name)
    decision = strategy.decide(Evidence(failed), SPACE, AMPLE)
    assert isinstance(decision, Screen)
    assert [one.as_dict() for one in decision.candidates] == [{"bucket": "exact"}]
    measured = [*failed, *screened(0, {"bucket": "exact"}, 0.9)]
    assert strategy.decide(Evidence(measured), SPACE, AMPLE) == Stop()


def test_the_search_ends_when_the_incumbent_has_withstood_enough_combinations() -> None:
    pairs = [
        {"bucket": "exact", "xla_cpu_use_onednn": "true"},
        {"bucket": "exact", "allocator": "glibc-keep"},
        {"xla_cpu_use_onednn": "true", "allocator": "glibc-keep"},
    ]
    processes = [
        *SINGLES,
        *(one for at, own in enumerate(pairs) for one in screened(10 + at, own, 0.9)),
    ]
    assert ScreenTpe(patience=3).decide(Evidence(processes), SPACE, AMPLE) == Stop()
    assert isinstance(ScreenTpe(patience=4).decide(Evidence(processes), SPACE, AMPLE), Screen)


def test_changes_that_are_screened_with_the_next_incumbent_do_not_challenge_it() -> None:
    ratios = {"bucket": ("exact", 2.0), "xla_cpu_use_onednn": ("true", 0.9)}
    both = {name: value for name, (value, _) in ratios.items()}
    rounds = range(6)
    stock = Process(STOCK.digest, Role.BASE, "first", dict.fromkeys(rounds, 10.0), Outcome.OK)
    together = [
        replace(screened(0, {name: value}, ratio)[1], block="first")
        for name, (value, ratio) in ratios.items()
    ]
    known = known_configurations(Evidence([stock, *together]), SPACE)
    assert known.best.as_dict() == {"bucket": "exact"}
    assert known.challengers() == 0
    # Both changes are a single change of the incumbent; a third one makes a combination of them.
    incumbent = replace(together[0], role=Role.BASE, block="second")
    challengers = [
        replace(screened(0, settings, 1.5)[1], block="second")
        for settings in (both, both | {"allocator": "glibc-keep"})
    ]
    known = known_configurations(Evidence([stock, *together, incumbent, *challengers]), SPACE)
    assert known.best.as_dict() == {"bucket": "exact"}
    assert known.challengers() == 1


def test_a_candidate_that_won_one_pair_of_processes_is_repeated_first() -> None:
    processes = [*SINGLES, *screened(10, {"bucket": "exact", "xla_cpu_use_onednn": "true"}, 1.05)]
    decision = ScreenTpe().decide(Evidence(processes), SPACE, AMPLE)
    assert isinstance(decision, Screen)
    assert decision.fresh
    assert [one.as_dict() for one in decision.candidates] == [
        {"bucket": "exact", "xla_cpu_use_onednn": "true"}
    ]


def _confirmed(settings: dict[str, str], ratio: float) -> list[Process]:
    """Six confirmation blocks."""
    blocks = [screened(100 + number, settings, ratio) for number in range(6)]
    return [replace(one, role=Role.CONFIRM) for block in blocks for one in block]


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_rest_of_a_budget_is_spent_on_an_untried_change(name: str) -> None:
    """Three rounds of one candidate take 11 s; six blocks of a confirmation take 42 s and more."""
    exact = {"bucket": "exact"}
    evidence = Evidence([*screened(0, exact, 2.0), *_confirmed(exact, 2.0)])
    decision = make_strategy(name).decide(evidence, SPACE, Budget(12.0, FixedCosts()))
    assert isinstance(decision, Screen)
    assert len(decision.candidates) == 1
    assert decision.base.as_dict() == exact
    stop = make_strategy(name).decide(evidence, SPACE, Budget(5.0, FixedCosts()))
    assert isinstance(stop, Stop)
    assert "because the budget is too short" in stop.reasons[0]


@pytest.mark.parametrize("name", STRATEGIES)
def test_half_of_a_budget_without_an_interval_goes_to_screening(name: str) -> None:
    """Six confirmation blocks of one pass take 42 s, one screening at least 13 s."""
    evidence = Evidence([*screened(0, {"bucket": "exact"}, 2.0)])
    screening = make_strategy(name).decide(evidence, SPACE, Budget(40.0, FixedCosts()))
    assert isinstance(screening, Screen)
    confirmation = make_strategy(name).decide(evidence, SPACE, Budget(24.0, FixedCosts()))
    assert isinstance(confirmation, Confirm)


@pytest.mark.parametrize("name", STRATEGIES)
def test_candidates_that_crashed_together_arescreened_alone(name: str) -> None:
    shared = Budget(1e6, FixedCosts(), shared=True)
    first = make_strategy(name).decide(Evidence([]), SPACE, shared)
    assert isinstance(first, Screen)
    members = [STOCK, *first.candidates]
    assert len(members) > 2
    crashed = [
        Process(
            one.digest,
            Role.BASE if one == STOCK else Role.SCREEN,
            "x",
            {},
            Outcome.CRASHED,
            one.settings,
            "shallow",
            shared=True,
        )
        for one in members
    ]
    # Stock is not given up after two such crashes.
    evidence = Evidence([*crashed, crashed[0]])
    again = make_strategy(name).decide(evidence, SPACE, shared)
    assert isinstance(again, Screen)
    assert len(again.candidates) == 1 or not set(again.candidates) & set(first.candidates)


def test_configurations_outside_the_space_play_no_part() -> None:
    elsewhere = screened(0, {"xla_cpu_use_xnnpack": "false"}, 2.0)
    decision = Grid().decide(Evidence(elsewhere), SPACE, AMPLE)
    assert isinstance(decision, Screen)
    assert decision.base == STOCK
    assert coverage_text(Evidence(elsewhere), SPACE) == "looked at 0 of 23 configurations"


def test_changes_that_gained_on_an_earlier_base_are_combined_with_the_incumbent() -> None:
    evidence = Evidence(
        [
            *screened(0, {"bucket": "exact"}, 2.0),
            *screened(1, {"xla_cpu_use_onednn": "true"}, 1.05),
            *screened(2, {"allocator": "glibc-hugepages"}, 1.1),
            *screened(3, {"allocator": "glibc-keep"}, 1.2),
            *screened(4, {"parameters": "constants"}, 0.9),
        ]
    )
    exact, onednn = {"bucket": "exact"}, {"xla_cpu_use_onednn": "true"}
    keep, huge = {"allocator": "glibc-keep"}, {"allocator": "glibc-hugepages"}
    known = known_configurations(evidence, SPACE)
    assert known.best.as_dict() == exact
    assert [one.as_dict() for one in known.combined] == [
        exact | keep | onednn,
        exact | keep,
        exact | huge,
        exact | onednn,
    ]
    decision = ScreenTpe().decide(evidence, SPACE, replace(AMPLE, shared=True))
    assert isinstance(decision, Screen)
    assert decision.candidates == known.combined


def test_the_neighbours_of_the_incumbent_differ_in_one_knob_or_two() -> None:
    known = known_configurations(Evidence(screened(0, {"bucket": "exact"}, 2.0)), SPACE)
    assert known.best.as_dict() == {"bucket": "exact"}
    found = [one.as_dict() for one in known.neighbours()]
    differing = [
        sum(one.get(name) != known.best.as_dict().get(name) for name in SPACE.values)
        for one in found
    ]
    assert set(differing) == {1, 2}
    # One knob other than bucket: 1 + 2 + 1. Two of them: 1*2 + 1*1 + 2*1. One of them and bucket:
    # 1 + 2 + 1. Bucket alone gives stock, which is not new.
    assert len({frozenset(one.items()) for one in found}) == 4 + 5 + 4


def test_the_tpe_writes_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert isinstance(ScreenTpe().decide(Evidence(SINGLES), SPACE, AMPLE), Screen)
    assert capfd.readouterr() == ("", "")


def test_random_orders_differ_by_seed_and_cover_the_space() -> None:
    known = known_configurations(Evidence([]), SPACE)
    orders = [tuple(known.shuffled(seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    # Stock is known without a measurement.
    assert len(set(orders[0])) == len(orders[0]) == 23


def test_a_space_too_large_to_be_listed_is_sampled_without_repetition() -> None:
    numbers = tuple(
        ((f"xla_cpu_{name}", str(value)),)
        for name in ("prefer_vector_width", "parallel_codegen_split_count")
        for value in range(64, 64 + 200)
    )
    space = SearchSpace(CATALOGUE, numbers)
    # Both defaults are among the listed values or next to them: 201 values or 200.
    assert space.size > 20_000
    first = RandomSearch().decide(Evidence([]), space, replace(AMPLE, shared=True))
    assert isinstance(first, Screen)
    assert len(set(first.candidates)) == 4


def test_a_grid_that_is_too_large_is_refused() -> None:
    values = [(("xla_cpu_prefer_vector_width", str(width)),) for width in range(300, 1300)]
    Grid().check(SearchSpace(CATALOGUE, tuple(values[:-1])))
    with pytest.raises(UserError, match="of which this space has 1,001, and takes at most 1,000"):
        Grid().check(SearchSpace(CATALOGUE, tuple(values)))


def test_a_missing_package_is_named() -> None:
    message = "strategy 'gp' needs the package scikit-learn: pip install scikit-learn"
    with pytest.raises(MissingDependencyError, match=message):
        require_package("gp", "sklearn", installed=lambda module: False)


def test_knobs_with_numbers_are_encoded_by_rank_and_others_one_hot() -> None:
    values = {"level": ("3", "1", "2"), "allocator": ("a", "b", "c"), "flag": ("false", "true")}
    points = encoded(
        [
            Configuration(()),
            Configuration((("allocator", "c"), ("level", "1"))),
            Configuration((("flag", "true"), ("level", "2"))),
        ],
        values,
    )
    assert points.tolist() == [[1.0, 0, 0, 0], [0.0, 0, 1, 0], [0.5, 0, 0, 1]]


def test_the_expected_improvement_of_a_normal_quantity() -> None:
    found = expected_improvement(np.array([0.0, 1.0, -9.0]), np.array([1.0, 0.0, 1.0]), 0.0)
    # phi(0) = 0.39894; a certain excess of 1; nothing to hope for nine deviations below.
    assert found == pytest.approx([1 / math.sqrt(2 * math.pi), 1.0, 0.0], abs=1e-9)


def test_the_key_of_a_strategy_holds_its_parameters() -> None:
    assert ScreenTpe().key == "screen+tpe seed=0 patience=24"
    assert ScreenTpe(seed=1).key != ScreenTpe().key
    assert {name: make_strategy(name).key.split()[0] for name in STRATEGIES} == {
        name: name for name in STRATEGIES
    }
    assert GaussianProcess(patience=3).key == "gp seed=0 patience=3"


@pytest.mark.parametrize(("ratio", "wins"), [(1.03, False), (1.05, True)])
def test_a_change_that_costs_memory_has_to_gain_more(ratio: float, wins: bool) -> None:
    """Parameters as constants need 2.7 times the memory: 1.03 ** log2(2.7) = 1.043."""
    constants = {"parameters": "constants"}
    evidence = Evidence([*screened(0, constants, ratio), *screened(1, constants, ratio)])
    assert (climb_of(evidence, SPACE).best.as_dict() == constants) == wins
    found = known_configurations(evidence, SPACE)
    assert (found.best.as_dict() == constants) == wins
    candidate = CATALOGUE.configuration(constants)
    assert bool(make_strategy("random").winners(evidence, SPACE, STOCK, [candidate])) == wins
    # With another rate of exchange, 1.01 ** log2(2.7) = 1.014, both gains suffice.
    cheap = replace(SPACE, memory_exchange=0.01)
    assert climb_of(evidence, cheap).best.as_dict() == constants
