"""Pairs of records become rows with verdicts; expected numbers are worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from perfkit.answers.agreement import AgreementClass, Tolerance
from perfkit.history.verdicts import Verdict
from perfkit.records.schema import Observation, Outcome, Record
from perfkit.upgrade.answers import compare_answers
from perfkit.upgrade.comparison import compare_pairs
from perfkit.upgrade.measuring import Pair
from perfkit.upgrade.module_times import TracedOperation, TracedPass
from perfkit.upgrade.rows import Row
from tests.support.records_factory import make_record

JITTER = (1.0, 1.01, 0.99, 1.02, 0.98, 1.005)
"""Six factors, each closer to 1 than any change that is tested."""


def record(
    side: str,
    steady_s: float,
    modules: Mapping[str, float],
    operations: Sequence[TracedOperation] = (),
) -> Record:
    traced = TracedPass(
        pass_s=sum(modules.values()), modules=dict(modules), operations=list(operations)
    )
    data = {**traced.model_dump(mode="json"), "side": side}
    made = make_record(steady_s=[steady_s])
    return made.model_copy(update={"observations": {"upgrade": Observation(data=data)}})


def pairs(old_s: float, new_s: float, modules: Sequence[Mapping[str, float]]) -> list[Pair]:
    """Six pairs; ``modules`` are shares of a pass by the old and by the new side."""
    return [
        Pair(
            record("old", old_s * jitter, modules[0]),
            record("new", new_s * again, modules[1]),
        )
        for jitter, again in zip(JITTER, reversed(JITTER), strict=True)
    ]


def row_of(rows: Sequence[Row], name: str) -> Row:
    return next(row for row in rows if row.name == name)


EQUAL = ({"trunk": 3.0, "head": 1.0}, {"trunk": 3.0, "head": 1.0})
SLOW_TRUNK = ({"trunk": 3.0, "head": 1.0}, {"trunk": 7.0, "head": 1.0})


def test_a_pass_that_takes_twice_as_long_is_worse_and_names_the_module() -> None:
    found = compare_pairs(pairs(4.0, 8.0, SLOW_TRUNK), None)
    whole = row_of(found.rows, "pass")
    assert (whole.old, whole.new) == pytest.approx((4.01, 8.02))
    assert whole.ratio is not None
    assert whole.ratio.median == pytest.approx(2.0, rel=0.01)
    assert whole.verdict is Verdict.WORSE
    # Of 8 s, seven parts of eight are the trunk's: 7 s after 3 s.
    trunk = row_of(found.modules, "trunk")
    assert trunk.ratio is not None
    assert trunk.ratio.median == pytest.approx(7 / 3, rel=0.01)
    assert found.slower_modules == ("trunk",)
    assert found.modules[0] is trunk
    assert found.regressed


def test_equal_sides_show_no_change() -> None:
    found = compare_pairs(pairs(4.0, 4.0, EQUAL), None)
    assert {row.verdict for row in (*found.rows, *found.modules)} == {Verdict.SAME}
    assert not found.regressed


def test_too_few_pairs_are_unsure() -> None:
    found = compare_pairs(pairs(4.0, 8.0, SLOW_TRUNK)[:5], None)
    assert row_of(found.rows, "pass").verdict is Verdict.UNSURE
    assert found.slower_modules == ()
    assert not found.regressed


def test_a_slower_module_of_an_equal_pass_needs_more_than_six_pairs() -> None:
    # Each of two modules has half of the error of 5 %; six pairs of one sign reach 2 / 64 = 3.1 %.
    moved = ({"trunk": 3.0, "head": 1.0}, {"trunk": 2.5, "head": 1.5})
    six = pairs(4.0, 4.0, moved)
    assert row_of(compare_pairs(six, None).modules, "head").verdict is Verdict.UNSURE
    # At the second look, nine pairs of one sign reach 2 / 512.
    assert compare_pairs([*six, *six], None).slower_modules == ("head",)


def test_the_operations_of_a_slower_module_are_those_of_both_compilers() -> None:
    def operation(name: str, seconds: float) -> TracedOperation:
        return TracedOperation(
            name=name,
            module="trunk",
            op_name="jit(f)/trunk/dot_general",
            description="fusion -> f32[8,8]",
            seconds=seconds,
            runs=1,
        )

    blocks = [
        Pair(
            record("old", 4.0, SLOW_TRUNK[0], [operation("ynn_fusion.1", 2.0)]),
            record("new", 8.0, SLOW_TRUNK[1], [operation("dot.7", 5.0)]),
        )
        for _ in JITTER
    ]
    (change,) = compare_pairs(blocks, None).operations
    assert change.op_name == "jit(f)/trunk/dot_general"
    assert (change.old_s, change.new_s) == (2.0, 5.0)
    assert change.old_hlo == ("ynn_fusion.1 (fusion -> f32[8,8])",)
    assert change.new_hlo == ("dot.7 (fusion -> f32[8,8])",)


def test_a_new_side_that_fails_regresses() -> None:
    crashed = make_record(outcome=Outcome.CRASHED, reason="killed by SIGSEGV", steady_s=[])
    found = compare_pairs([Pair(record("old", 4.0, EQUAL[0]), crashed)], None)
    assert found.rows == ()
    assert found.regressed
    assert found.one_breaks
    assert found.failures[0].endswith("outcome crashed: killed by SIGSEGV")


TOLERANCES = {"heat": Tolerance(1e-3, 1e-1)}
PLATE = np.ones(100)


def test_an_answer_outside_the_declared_class_has_changed() -> None:
    # 2 % of every element: beyond float32's 0.1 %, within bfloat16's 10 %.
    old, new = {"heat": PLATE}, {"heat": PLATE * 1.02}
    strict = compare_answers([old], [new], TOLERANCES, AgreementClass.FLOAT32)
    assert strict is not None
    assert strict.changed
    assert strict.agreement.quantities[0].distance == pytest.approx(0.02)
    lax = compare_answers([old], [new], TOLERANCES, AgreementClass.BFLOAT16)
    assert lax is not None
    assert not lax.changed
    assert not lax.identical


def test_an_answer_that_differs_as_runs_of_one_side_do_has_not_changed() -> None:
    old, new = {"heat": PLATE}, {"heat": PLATE * 1.02}
    noisy = compare_answers(
        [old, {"heat": PLATE * 1.015}], [new], TOLERANCES, AgreementClass.FLOAT32
    )
    assert noisy is not None
    # Two runs of the old side differ by 1.5 %, of which 2 % is less than twice as much.
    assert noisy.repeated == {"heat": pytest.approx(0.015)}
    assert not noisy.changed


def test_without_an_answer_of_a_side_there_is_nothing_to_compare() -> None:
    assert compare_answers([], [{"heat": PLATE}], TOLERANCES, AgreementClass.FLOAT32) is None


def test_a_change_within_the_noise_is_unsure() -> None:
    # The ratios of the six pairs are 1.5 and 1 in turns: their interval contains 1.
    blocks = [
        Pair(record("old", 4.0, EQUAL[0]), record("new", new_s, EQUAL[1]))
        for new_s in (6.0, 4.0, 6.0, 4.0, 6.0, 4.0)
    ]
    whole = row_of(compare_pairs(blocks, None).rows, "pass")
    assert whole.ratio is not None
    assert whole.ratio.ends == pytest.approx((1.0, 1.5))
    assert whole.verdict is Verdict.UNSURE
