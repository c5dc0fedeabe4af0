"""Evidence from processes: failures, pairs, and intervals of confirmation."""

from __future__ import annotations

import dataclasses
import math

import pytest

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.knobs.xla_flags import KNOWN_FLAGS
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome
from perfkit.tuning.search.evidence import Evidence, confidence_of, gives_up
from perfkit.tuning.search.gains import compared_pairs, log_gains
from perfkit.tuning.search.processes import Process
from perfkit.tuning.search.settings import process_settings
from tests.support.replay import WORKLOAD

FAST = Configuration((("a", "1"),)).digest
OTHER = Configuration((("b", "1"),)).digest


@pytest.mark.parametrize(
    ("outcomes", "out"),
    [
        ([], False),
        ([Outcome.OK], False),
        ([Outcome.CRASHED], False),
        ([Outcome.CRASHED, Outcome.CRASHED], True),
        ([Outcome.CRASHED, Outcome.OK], False),
        ([Outcome.CRASHED, Outcome.OK, Outcome.CRASHED], False),
        ([Outcome.CRASHED, Outcome.OK, Outcome.CRASHED, Outcome.CRASHED], True),
        ([Outcome.OUT_OF_MEMORY, Outcome.TIMEOUT], True),
        ([Outcome.CRASHED, Outcome.INTERRUPTED], False),
        ([Outcome.OK, Outcome.DISAGREES], True),
        ([Outcome.NONFINITE], True),
        ([Outcome.REJECTED], True),
    ],
)
def test_a_crash_is_tried_once_more_and_a_wrong_answer_is_final(
    outcomes: list[Outcome], out: bool
) -> None:
    assert gives_up(outcomes) is out


def _block(
    number: int, ratio: float, role: Role = Role.CONFIRM, digest: str = FAST
) -> list[Process]:
    """A block of two rounds in which the candidate is ``ratio`` times as fast as stock."""
    block = f"{role}-{digest}-{number}"
    return [
        Process(STOCK.digest, role, block, {0: 10.0, 1: 20.0}, Outcome.OK),
        Process(digest, role, block, {0: 10.0 / ratio, 1: 20.0 / ratio}, Outcome.OK),
    ]


def test_each_confirmation_block_counts_once() -> None:
    evidence = Evidence([one for number in range(6) for one in _block(number, 2.0 + number)])
    assert evidence.confirmed(STOCK.digest, FAST) == pytest.approx(
        [math.log(2.0 + number) for number in range(6)]
    )
    found = evidence.confirmation(STOCK.digest, FAST)
    assert found is not None
    # Twelve pairs of passes, but six pairs of processes: the interval is their range.
    assert (found.count, *(found.ends or ())) == pytest.approx((6, 2.0, 7.0))


def test_screening_never_counts_as_confirmation() -> None:
    screened = [one for number in range(9) for one in _block(number, 2.0, Role.SCREEN)]
    evidence = Evidence(screened)
    assert evidence.confirmation(STOCK.digest, FAST) is None
    assert len(evidence.screened(STOCK.digest, FAST)) == 9


def test_processes_of_different_blocks_are_not_paired() -> None:
    stock = Process(STOCK.digest, Role.BASE, "x", {0: 10.0})
    other = Process(FAST, Role.SCREEN, "y", {0: 5.0})
    alone = Process(FAST, Role.SCREEN, None, {0: 5.0})
    assert Evidence([stock, other, alone]).screened(STOCK.digest, FAST) == []


def test_only_rounds_that_both_passed_are_pairs() -> None:
    stock = Process(STOCK.digest, Role.BASE, "x", {0: 10.0, 1: 30.0, 2: 7.0})
    other = Process(FAST, Role.SCREEN, "x", {1: 10.0, 2: 7.0, 9: 1.0})
    evidence = Evidence([stock, other])
    assert evidence.screened(STOCK.digest, FAST) == [[math.log(3.0), 0.0]]
    assert evidence.screened(FAST, STOCK.digest) == [[-math.log(3.0), 0.0]]


def test_each_further_finalist_has_half_the_error() -> None:
    assert [confidence_of(rank) for rank in range(3)] == [0.95, 0.975, 0.9875]
    blocks = [
        *(one for number in range(6) for one in _block(number, 2.0 + number)),
        *(one for number in range(6) for one in _block(number, 2.0 + number, digest=OTHER)),
    ]
    evidence = Evidence(blocks)
    first = evidence.confirmation(STOCK.digest, FAST)
    second = evidence.confirmation(STOCK.digest, OTHER)
    assert first is not None
    assert second is not None
    assert first.known
    # Six pairs cannot give an interval of 97.5 %.
    assert not second.known


def test_times_of_different_depths_are_never_paired() -> None:
    full = Process(STOCK.digest, Role.BASE, "x", {0: 10.0})
    shallow = Process(FAST, Role.SCREEN, "x", {0: 1.0}, depth="shallow")
    evidence = Evidence([full, shallow])
    assert evidence.screened(STOCK.digest, FAST) == []
    assert evidence.round_medians() == {}
    assert evidence.comparisons == ()


def test_a_shallow_block_confirms_nothing() -> None:
    blocks = [one for number in range(6) for one in _block(number, 2.0)]
    evidence = Evidence([dataclasses.replace(one, depth="shallow") for one in blocks])
    assert evidence.confirmation(STOCK.digest, FAST) is None
    assert len(evidence.screened(STOCK.digest, FAST)) == 6


def test_the_depths_of_confirmation_and_of_workloads_are_the_same() -> None:
    assert Process(FAST, Role.CONFIRM, "x").depth == WORKLOAD.depth == "full"


def test_a_success_of_the_shallow_network_does_not_make_up_for_crashes_at_full_depth() -> None:
    full = Process(FAST, Role.CONFIRM, "x", outcome=Outcome.CRASHED)
    shallow = Process(FAST, Role.SCREEN, "y", {0: 1.0}, Outcome.OK, depth="shallow")
    assert Evidence([full, shallow, full]).failed(FAST)
    assert not Evidence([full, shallow]).failed(FAST)


@pytest.mark.parametrize(
    ("settings", "block", "shared", "together"),
    [
        ((("bucket", "exact"),), "x", True, True),
        ((("bucket", "exact"),), "x", False, False),
        ((("bucket", "exact"),), "y", True, False),
        ((("allocator", "jemalloc"),), "x", True, False),
        ((("cpus", "1"),), "x", True, False),
        # A flag of unknown effect may hold for the whole process.
        ((("xla_cpu_enable_fast_dot", "true"),), "x", True, False),
    ],
)
def test_programs_share_a_process_if_its_settings_are_equal(
    settings: tuple[tuple[str, str], ...], block: str, shared: bool, together: bool
) -> None:
    stock = Process(STOCK.digest, Role.BASE, "x", {0: 10.0}, shared=True)
    other = Process(FAST, Role.SCREEN, block, {0: 5.0}, settings=settings, shared=shared)
    assert stock.shares_process(other) is together


def test_flags_of_a_single_compilation_do_not_need_a_process_of_their_own() -> None:
    for knob in KNOWN_FLAGS:
        settings = ((knob.name, knob.values[-1]),)
        assert process_settings(settings) == (() if knob.per_compilation else settings)


def test_a_value_that_only_a_whole_process_can_have_needs_a_process_of_its_own() -> None:
    """Names of fusion types are an option of a compilation; with signs, they change a default."""
    named = (("xla_cpu_experimental_ynn_fusion_type", "dot"),)
    signed = (("xla_cpu_experimental_ynn_fusion_type", "+dot"),)
    assert process_settings(named) == ()
    assert process_settings(signed) == signed


def test_each_candidate_is_compared_with_its_base_and_no_pair_counts_twice() -> None:
    """The second base was a candidate of the first screening and stayed alive."""
    stock = Process(STOCK.digest, Role.BASE, "x", {0: 8.0, 1: 8.0})
    fast = Process(FAST, Role.SCREEN, "x", {0: 4.0, 1: 4.0, 2: 4.0, 3: 4.0})
    slow = Process("slow", Role.SCREEN, "x", {0: 9.0})
    other = Process(OTHER, Role.SCREEN, "x", {2: 2.0, 3: 2.0})
    evidence = Evidence([slow, stock, other, fast])
    found = {(pair.first.digest, pair.second.digest) for pair in evidence.comparisons}
    assert {frozenset(pair) for pair in found} == {
        frozenset([STOCK.digest, FAST]),
        frozenset([STOCK.digest, "slow"]),
        frozenset([FAST, OTHER]),
    }
    # 8 s to 4 s to 2 s, and 8 s to 9 s.
    assert log_gains(compared_pairs(evidence)) == pytest.approx(
        {STOCK.digest: 0.0, FAST: math.log(2), OTHER: math.log(4), "slow": math.log(8 / 9)}
    )


def test_gains_come_from_the_depth_at_which_most_configurations_were_compared() -> None:
    blocks = [
        *_block(0, 2.0),
        *(dataclasses.replace(one, depth="shallow") for one in _block(1, 3.0)),
        *(dataclasses.replace(one, depth="shallow") for one in _block(2, 4.0, digest=OTHER)),
    ]
    gains = log_gains(compared_pairs(Evidence(blocks)))
    assert gains == pytest.approx({STOCK.digest: 0.0, FAST: math.log(3), OTHER: math.log(4)})


def test_a_configuration_that_no_chain_leads_to_has_no_gain() -> None:
    first = Process(FAST, Role.SCREEN, "x", {0: 4.0})
    second = Process(OTHER, Role.SCREEN, "x", {0: 2.0})
    evidence = Evidence([*_block(0, 2.0, digest="third"), first, second])
    assert set(log_gains(compared_pairs(evidence))) == {STOCK.digest, "third"}


def test_stock_is_not_among_the_configurations_that_were_looked_at() -> None:
    failed = Process(OTHER, Role.SCREEN, None, outcome=Outcome.REJECTED, settings=(("b", "1"),))
    parts = Process("parts", Role.PARTS, None, {0: 1.0}, Outcome.OK)
    evidence = Evidence([*_block(0, 2.0), failed, parts])
    assert evidence.looked_at == {FAST: (), OTHER: (("b", "1"),)}


def test_a_base_is_not_blamed_for_the_crash_of_a_shared_process() -> None:
    def crashed(role: Role, *, shared: bool) -> Evidence:
        one = Process(FAST, role, "x", outcome=Outcome.CRASHED, shared=shared)
        return Evidence([one, one])

    assert not crashed(Role.BASE, shared=True).failed(FAST)
    assert crashed(Role.BASE, shared=False).failed(FAST)
    assert crashed(Role.SCREEN, shared=True).failed(FAST)
    assert crashed(Role.SCREEN, shared=True).crashed_with_others(FAST)
    assert not crashed(Role.SCREEN, shared=False).crashed_with_others(FAST)


def test_a_base_that_never_passed_ended_its_shared_process_itself() -> None:
    crash = Process(
        FAST, Role.BASE, "x", outcome=Outcome.CRASHED, depth="shallow", shared=True, ready=False
    )
    assert not Evidence([crash]).failed(FAST)
    assert Evidence([crash, crash]).failed(FAST)


def test_an_interrupted_trial_without_a_pass_looked_at_nothing() -> None:
    interrupted = Process(FAST, Role.SCREEN, "x", outcome=Outcome.INTERRUPTED)
    alive = Process(OTHER, Role.SCREEN, "x")
    assert Evidence([interrupted, alive]).looked_at == {}
