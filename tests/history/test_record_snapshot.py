"""Folders of records: only comparable trials are compared."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from perfkit.errors import UserError
from perfkit.history.comparison import Comparison, compare_snapshots
from perfkit.history.record_snapshot import snapshots_of_records
from perfkit.history.verdicts import Verdict
from perfkit.records.findings import GuardRecord
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Reading
from tests.support.records_factory import (
    MACHINE,
    make_agreement,
    make_record,
    make_stage,
    make_stages,
    make_workload,
)


def compared(old: Sequence[Record], new: Sequence[Record]) -> Comparison:
    return compare_snapshots(
        *snapshots_of_records(("old", Reading(tuple(old), ())), ("new", Reading(tuple(new), ())))
    )


def verdicts(comparison: Comparison) -> dict[str, Verdict]:
    """Verdicts other than SAME, by the end of the entry's name."""
    return {
        row.name.partition("CPUs ")[2] or row.name: row.verdict
        for row in comparison.rows
        if row.verdict is not Verdict.SAME
    }


def study() -> list[Record]:
    """A reference, a baseline, a candidate, the parts of a longer run, and a failure."""
    longer = make_workload(fidelity={"recycles": 1, "diffusion_steps": 20})
    return [
        make_record(role="reference", block=None, steady_s=[9.0]),
        make_record(role="screen", steady_s=[4.0, 4.1, 4.0]),
        make_record({"bucket": "exact"}, role="screen", steady_s=[2.0, 2.1, 2.0]),
        make_record(role="confirm", steady_s=[4.6, 4.7, 4.6], identifier="again"),
        make_record(role="parts", workload=longer, steady_s=[40.0]),
        make_record({"a": "b"}, steady_s=[], outcome=Outcome.CRASHED, reason="SIGSEGV"),
    ]


def test_a_folder_equals_itself() -> None:
    comparison = compared(study(), study())
    assert {row.verdict for row in comparison.rows} == {Verdict.SAME}
    assert len(comparison.rows) > 20


@pytest.mark.parametrize("seed", range(8))
def test_a_folder_equals_every_part_of_itself(seed: int) -> None:
    records = [
        *study(),
        make_record(role="screen", steady_s=[6.0, 6.1, 6.0], identifier="slower twin"),
        make_record(role="screen", agreement=make_agreement("bfloat16", 0.02), identifier="looser"),
    ]
    part = random.Random(seed).sample(records, random.Random(seed).randint(1, len(records)))
    part.sort(key=records.index)
    there, back = compared(records, part), compared(part, records)
    assert {row.verdict for row in there.rows} <= {Verdict.SAME, Verdict.GONE}
    assert {row.verdict for row in back.rows} <= {Verdict.SAME, Verdict.ADDED}
    assert not there.regressed


def test_missing_part_trials_are_listed_and_nothing_else_changes() -> None:
    whole = study()
    comparison = compared(whole, [one for one in whole if one.role != "parts"])
    (name,) = comparison.without_counterpart(Verdict.GONE)
    assert name == "af3 ubiquitin (76; recycles 1 diffusion_steps 20) [stock] parts on 2 CPUs"
    assert comparison.sentence() == "nothing has changed beyond the spread of the measurements"


def test_roles_are_not_pooled() -> None:
    fast, slow = make_record(role="screen", steady_s=[1.0] * 3), make_record(role="confirm")
    comparison = compared([fast], [slow])
    assert comparison.common == []
    assert len(comparison.without_counterpart(Verdict.ADDED)) == 1


@pytest.mark.parametrize(
    "other",
    [
        make_record(workload=make_workload(fidelity={"recycles": 3, "diffusion_steps": 2})),
        make_record(workload=make_workload(name="lysozyme")),
        make_record({"bucket": "exact"}),
        make_record(allowed_cpus=1),
        make_record().model_copy(update={"guard": GuardRecord(mode="lift", lifted=0, zeroed=0)}),
        make_record().model_copy(
            update={"workload": make_workload().model_copy(update={"source": {"engine": "other"}})}
        ),
        make_record().model_copy(
            update={"workload": make_workload().model_copy(update={"digest": "another input"})}
        ),
        make_record().model_copy(
            update={"workload": make_workload().model_copy(update={"depth": "shallow"})}
        ),
    ],
    ids=["fidelity", "input", "configuration", "CPUs", "guard", "engine", "content", "depth"],
)
def test_trials_of_different_subjects_are_not_compared(other: Record) -> None:
    assert compared([make_record()], [other]).common == []


def test_versions_within_a_folder_are_not_pooled() -> None:
    old, new = ({"jaxlib": version, "python": "3.12.0"} for version in ("0.11.0", "0.12.0"))
    before = make_record(versions=old, steady_s=[4.0] * 3)
    after = make_record(versions=new, steady_s=[8.0] * 3)
    comparison = compared([before, after], [after])
    assert {row.verdict for row in comparison.common} == {Verdict.SAME}
    (removed,) = comparison.without_counterpart(Verdict.GONE)
    assert removed.endswith("under python 3.12.0, jaxlib 0.11.0")


def test_an_upgrade_between_two_folders_is_judged_and_reported() -> None:
    before = make_record(versions={"jaxlib": "0.11.0"}, steady_s=[4.0, 4.01, 3.99])
    after = make_record(versions={"jaxlib": "0.12.0"}, steady_s=[8.0, 8.01, 7.99])
    comparison = compared([before], [after])
    assert verdicts(comparison) == {"steady": Verdict.WORSE}
    assert comparison.differences == ("jaxlib: 0.11.0 before, 0.12.0 now",)


def test_on_other_hardware_times_are_not_judged_but_answers_are() -> None:
    there = make_record(machine={**MACHINE, "cpu": "Slow CPU"}, steady_s=[9.0] * 3)
    far = there.model_copy(
        update={"agreement": make_record(agreement=make_agreement("none", 0.3)).agreement}
    )
    changed = verdicts(compared([make_record()], [far]))
    assert changed["steady"] is Verdict.INCOMPARABLE
    assert changed["distance of positions"] is Verdict.ANSWER_CHANGED


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (
            make_record(agreement=make_agreement("bfloat16", 0.0012)),
            {"agreement": Verdict.ANSWER_CHANGED},
        ),
        (
            make_record(agreement=make_agreement("float32", None)),
            {"distance of positions": Verdict.LOST},
        ),
        (
            make_record().model_copy(update={"agreement": None}),
            {"agreement": Verdict.LOST, "distance of positions": Verdict.LOST},
        ),
        (
            make_record(agreement=make_agreement().model_copy(update={"quantities": []})),
            {"distance of positions": Verdict.LOST},
        ),
    ],
    ids=["looser class", "distance without number", "no agreement", "no quantity"],
)
def test_a_lost_or_looser_answer_is_a_regression(new: Record, expected: dict[str, Verdict]) -> None:
    comparison = compared([make_record()], [new])
    assert verdicts(comparison) == expected
    assert comparison.regressed
    assert not compared([new], [make_record()]).regressed


@pytest.mark.parametrize(
    "outcome", [Outcome.NONFINITE, Outcome.DISAGREES, Outcome.CRASHED, Outcome.TIMEOUT]
)
def test_a_subject_that_no_longer_succeeds_has_failed(outcome: Outcome) -> None:
    bad = make_record(outcome=outcome, reason="NaN in pae", steady_s=[])
    comparison = compared([make_record()], [bad])
    (failed,) = comparison.having(Verdict.FAILED)
    assert failed.name.endswith("outcome")
    assert failed.entry.reason == f"{outcome}: NaN in pae"
    # The other entries of the subject are missing for the same reason.
    assert comparison.having(Verdict.LOST) == []
    assert comparison.without_counterpart(Verdict.GONE) == {}
    assert verdicts(compared([bad], [make_record()]))["outcome"] is Verdict.FIXED


def test_one_wrong_answer_among_good_ones_is_a_failure() -> None:
    bad = make_record(outcome=Outcome.NONFINITE, reason="NaN", steady_s=[], identifier="bad")
    good = make_record(identifier="good", steady_s=[4.0, 4.0])
    assert compared([make_record()], [bad, good]).having(Verdict.FAILED)


def test_a_crash_followed_by_a_success_is_not_a_failure() -> None:
    bad = make_record(outcome=Outcome.CRASHED, reason="killed", steady_s=[], identifier="bad")
    good = make_record(identifier="good", steady_s=[4.0, 4.0])
    assert not compared([make_record()], [bad, good]).regressed


def guarded(lifted: int) -> Record:
    return make_record().model_copy(
        update={"guard": GuardRecord(mode="lift", lifted=lifted, zeroed=0)}
    )


def test_new_guard_events_are_a_changed_answer() -> None:
    comparison = compared([guarded(0)], [guarded(3)])
    assert list(verdicts(comparison).values()) == [Verdict.ANSWER_CHANGED]
    assert comparison.having(Verdict.ANSWER_CHANGED)[0].name.endswith("guard lifts")


def test_compile_times_with_and_without_a_cache_hit_are_not_compared() -> None:
    def compiled(cache: str, seconds: float) -> Record:
        made = {
            "cache": cache,
            "parts": {},
            **dict.fromkeys(("temporary_bytes", "argument_bytes", "output_bytes"), 1),
            **dict.fromkeys(("code_bytes", "flops", "bytes_accessed"), 1),
        }
        stages = [make_stage("compile", 0.0, seconds), *make_stages([4.0, 4.0])[-3:]]
        return Record.model_validate(
            make_record(stages=stages).model_dump() | {"compilation": made}
        )

    comparison = compared([compiled("off", 10.0)], [compiled("hit", 0.5)])
    assert not [row for row in comparison.common if "compile" in row.name]


def test_start_times_of_trials_started_together_are_not_compared() -> None:
    together = make_record().model_copy(update={"shared_start": True})
    names = [row.name for row in compared([make_record()], [together]).common]
    assert any(name.endswith("steady") for name in names)
    assert not any("compile" in name for name in names)


def test_memory_and_times_of_a_shared_process_are_not_those_of_a_single_trial() -> None:
    shared = make_record().model_copy(update={"shared_process": True})
    alone = compared([make_record()], [make_record()])
    mixed = compared([make_record()], [shared])
    both = compared([shared], [shared])
    names = {
        kind: {row.name for row in found.common}
        for kind, found in (("alone", alone), ("mixed", mixed), ("both", both))
    }
    assert any(name.endswith("peak memory") for name in names["alone"])
    assert not any(name.endswith(("peak memory", "steady")) for name in names["mixed"])
    assert not any(name.endswith("peak memory") for name in names["both"])
    assert any(name.endswith("steady (shared process)") for name in names["both"])


def test_a_folder_of_interrupted_trials_is_refused() -> None:
    stopped = make_record(outcome=Outcome.INTERRUPTED, steady_s=[])
    with pytest.raises(UserError, match="old holds no finished trials"):
        compared([stopped], [make_record()])


def test_swapped_folders_give_opposite_verdicts() -> None:
    slow: dict[str, Any] = {"steady_s": [8.0, 8.1, 8.0], "peak_rss_bytes": 9_000_000_000}
    old, new = study(), [*study()[:1], make_record(**slow), *study()[2:]]
    there, back = verdicts(compared(old, new)), verdicts(compared(new, old))
    assert there == {"steady": Verdict.WORSE, "peak memory": Verdict.WORSE}
    assert back == {"steady": Verdict.BETTER, "peak memory": Verdict.BETTER}
