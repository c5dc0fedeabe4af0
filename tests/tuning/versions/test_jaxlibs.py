"""Versions of jaxlib, compared: which is right, and which of those is fastest."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from perfkit.records.schema import Outcome, Record
from perfkit.report.study.jaxlib_tables import jaxlib_table
from perfkit.tuning.versions.jaxlibs import (
    JaxlibComparison,
    KnownAnswers,
    compare_jaxlibs,
    confidence_among,
    reference_version,
)
from tests.support.replay import Fields, record

RUNNING, OTHER = "8.0", "7.10"
RIGHT, WRONG = KnownAnswers(13, 13), KnownAnswers(12, 13, ("arctan",))
PRECISION = {"precision": "bfloat16"}


def _record(
    version: str,
    seconds: float,
    block: int,
    settings: Mapping[str, str] | None = None,
    outcome: Outcome = Outcome.OK,
) -> Record:
    """A process of two passes; the running version is no setting."""
    own = dict(settings or {}) | ({} if version == RUNNING else {"jaxlib": version})
    agreement = "none" if outcome is Outcome.DISAGREES else "float32"
    fields: Fields = {"role": "confirm", "block": str(block), "outcome": outcome}
    fields["agreement"] = agreement
    made = record(own, times={0: seconds, 1: seconds}, **fields)
    return made.model_copy(update={"versions": {"jaxlib": version}})


def _blocks(seconds: Mapping[str, float], count: int) -> list[Record]:
    """Blocks of stock, with the seconds of a pass by version."""
    return [_record(version, s, block) for block in range(count) for version, s in seconds.items()]


def _compared(
    records: list[Record], known: Mapping[str, KnownAnswers] | None = None
) -> JaxlibComparison:
    comparison = compare_jaxlibs(records, known)
    assert comparison is not None
    return comparison


def test_the_running_version_is_the_base_and_the_faster_one_is_named() -> None:
    known = {RUNNING: RIGHT, OTHER: RIGHT}
    found = _compared(_blocks({RUNNING: 10.0, OTHER: 8.0}, 6), known)
    assert found.base == RUNNING
    assert [(row.configuration, row.jaxlib) for row in found.rows] == [
        ("stock", OTHER),
        ("stock", RUNNING),
    ]
    ratio = found.rows[0].ratio
    assert ratio is not None
    assert ratio.median == pytest.approx(1.25)
    assert ratio.count == 6
    assert found.sentence == (
        "jaxlib 7.10 is right and fastest here: 8.00 s [8.00, 8.00] with stock, "
        "1.25x [1.25, 1.25] as fast as 8.0."
    )


def test_a_version_with_a_wrong_answer_is_not_recommended_however_fast() -> None:
    known = {RUNNING: RIGHT, OTHER: WRONG}
    found = _compared(_blocks({RUNNING: 10.0, OTHER: 1.0}, 6), known)
    assert found.sentence == (
        "jaxlib 7.10 gives 1 known answer of 13 wrong on this CPU. jaxlib 8.0 is the only version "
        "that is right here: 10.0 s [10.0, 10.0] with stock."
    )
    table = jaxlib_table(found)
    assert [row[2] for row in table.rows] == ["1 of 13 WRONG: arctan", "all 13 right"]
    assert [row[5] for row in table.rows] == ["10.00x [10.00, 10.00]", "-"]


def test_too_few_blocks_tell_nothing_apart() -> None:
    found = _compared(_blocks({RUNNING: 10.0, OTHER: 9.0}, 2))
    assert found.sentence.endswith(
        "Its time cannot be told apart from that of 8.0 with these runs."
    )
    assert [row[2] for row in jaxlib_table(found).rows] == ["-", "-"]


def test_versions_are_compared_at_their_own_best_configuration() -> None:
    records = [
        made
        for block in range(6)
        for made in (
            _record(RUNNING, 10.0, block),
            _record(OTHER, 12.0, block),
            _record(RUNNING, 6.0, block, PRECISION),
            _record(OTHER, 3.0, block, PRECISION),
        )
    ]
    found = _compared(records, {RUNNING: RIGHT, OTHER: RIGHT})
    assert [(row.configuration, row.jaxlib) for row in found.rows] == [
        ("stock", OTHER),
        ("stock", RUNNING),
        ("precision=bfloat16", OTHER),
        ("precision=bfloat16", RUNNING),
    ]
    ratios = [row.ratio.median for row in found.rows if row.ratio is not None]
    assert ratios == pytest.approx([10 / 12, 1.0, 2.0, 1.0])
    assert "3.00 s [3.00, 3.00] with precision=bfloat16, 2.00x [2.00, 2.00] as fast" in (
        found.sentence
    )


def test_a_prediction_that_is_wrong_under_one_version_only_counts_against_it() -> None:
    right = _blocks({RUNNING: 10.0}, 6)
    wrong = [_record(OTHER, 8.0, block, outcome=Outcome.DISAGREES) for block in range(6)]
    found = _compared([*right, *wrong], {RUNNING: RIGHT, OTHER: RIGHT})
    assert found.sentence.startswith("jaxlib 7.10 gives a wrong prediction with stock. jaxlib 8.0 ")
    # A setting that is wrong under both says nothing about the versions.
    both = [
        _record(version, 5.0, block, PRECISION, Outcome.DISAGREES)
        for block in range(6)
        for version in (RUNNING, OTHER)
    ]
    found = _compared([*_blocks({RUNNING: 10.0, OTHER: 8.0}, 6), *both])
    assert found.sentence.startswith("jaxlib 7.10 is right and fastest here: 8.00 s")


def test_one_version_is_no_comparison() -> None:
    assert compare_jaxlibs(_blocks({RUNNING: 10.0}, 6)) is None
    assert compare_jaxlibs([]) is None


def test_versions_are_in_the_order_of_their_numbers() -> None:
    found = _compared(_blocks({"7.9": 1.0, "7.10": 1.0, "7.10.1": 1.0}, 1))
    assert [row.jaxlib for row in found.rows] == ["7.9", "7.10", "7.10.1"]
    # None of them runs here.
    assert found.base == "7.9"


def test_the_error_is_divided_among_the_comparisons() -> None:
    assert confidence_among(2) == pytest.approx(0.95)
    assert confidence_among(3) == pytest.approx(0.975)


def test_answers_are_compared_with_those_of_a_version_that_is_right() -> None:
    versions = [OTHER, RUNNING]
    assert reference_version(RUNNING, versions, {RUNNING: RIGHT, OTHER: RIGHT}) == RUNNING
    assert reference_version(RUNNING, versions, {RUNNING: WRONG, OTHER: RIGHT}) == OTHER
    assert reference_version(RUNNING, versions, {RUNNING: WRONG, OTHER: WRONG}) == RUNNING
    # The running version is not compared here.
    assert reference_version("6.0", versions, {RUNNING: RIGHT, OTHER: WRONG}) == RUNNING
