"""Figures of a search, worked out by hand from a small study."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfkit.records.schema import Outcome, Record
from perfkit.report.figures.search.importance import (
    ImportanceRow,
    importance_figure,
    importance_info,
)
from perfkit.report.figures.search.looked import (
    LookedInfo,
    looked_figure,
    looked_info,
    looked_sentence,
)
from perfkit.report.figures.search.screening import (
    SHALLOW,
    SHARED,
    screening_figure,
    screening_info,
)
from perfkit.report.selection import predictions
from perfkit.report.status import Status
from perfkit.report.study.search_section import SearchNotes, search_section
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.importance import KnobImportance
from perfkit.tuning.choice.recommend import recommend


def test_configurations_are_counted_once_in_every_step(
    study: list[Record], screening: list[Record]
) -> None:
    records = [*screening, *study]
    info = looked_info(records, recommend(records))
    # On the whole network: the best one, the wrong one and the refused one.
    assert info == LookedInfo(5, 3, 3, 1, {Outcome.DISAGREES: 1, Outcome.REJECTED: 1})
    assert looked_sentence(info) == (
        "5 configurations were looked at: 3 on a shallow network, 3 on the whole network, "
        "1 confirmed in fresh processes."
    )


def test_the_figure_has_a_bar_per_step_and_names_the_failures(
    study: list[Record], screening: list[Record]
) -> None:
    records = [*screening, *study]
    (bars,) = looked_figure(looked_info(records, recommend(records))).data
    assert list(bars.x) == [3, 3, 1, 2]
    assert bars.text[-1] == "2 (disagrees 1, rejected 1)"


def test_a_search_of_stock_alone_looked_at_nothing(failures: Callable[[int], list[Record]]) -> None:
    records = failures(1)
    assert looked_sentence(looked_info(records, recommend(records))) == ""


def test_screening_shows_gains_over_stock_largest_first(
    study: list[Record], screening: list[Record]
) -> None:
    info = screening_info(screening, recommend([*screening, *study]))
    assert info is not None
    assert info.where == SHALLOW
    assert [(row.label, row.rounds, row.status) for row in info.rows] == [
        ("allocator=jemalloc bucket=exact", 3, Status.RECOMMENDED),
        ("bucket=exact", 6, Status.AGREES),
        ("msa_rows=needed", 3, Status.AGREES),
    ]
    assert [row.gain for row in info.rows] == pytest.approx([2.0, 1.6, 0.8])
    assert screening_figure(info).layout.xaxis.title.text == (
        "times as fast as stock (shallow network)"
    )


def test_screening_leaves_out_the_smallest_gains(screening: list[Record]) -> None:
    info = screening_info(screening, recommend(screening), most=2)
    assert info is not None
    assert [row.label for row in info.rows] == ["allocator=jemalloc bucket=exact", "bucket=exact"]
    assert info.left_out == 1


def test_screening_of_the_whole_network_is_named_by_its_process(screening: list[Record]) -> None:
    whole = [
        record.model_copy(update={"workload": record.workload.model_copy(update={"depth": "full"})})
        for record in screening
    ]
    info = screening_info(whole, recommend(whole))
    assert info is not None
    assert info.where == SHARED


def test_a_study_without_screening_has_no_figure_of_it(study: list[Record]) -> None:
    assert screening_info([], recommend(study)) is None


KNOBS = (
    KnobImportance("msa_rows", 0.2, "needed", 1.05, None, 2, "ped-anova"),
    KnobImportance("bucket", 0.8, "exact", 1.6, (1.5, 1.7), 12, "ped-anova"),
)


def test_knobs_are_shown_by_importance_with_the_gain_of_their_best_value() -> None:
    info = importance_info(KNOBS)
    assert info is not None
    assert info.rows == (
        ImportanceRow("bucket", 0.8, "exact", Interval(1.6, 1.5, 1.7, 12)),
        ImportanceRow("msa_rows", 0.2, "needed", Interval(1.05, None, None, 2)),
    )
    figure = importance_figure(info)
    bucket, rows = (note.text for note in figure.layout.annotations)
    assert bucket.startswith("bucket<br>")
    assert "<b>80 %</b>, 1.60x [1.50, 1.70]<br>best: exact" in bucket
    assert "<b>20 %</b>, 1.05x<br>best: needed" in rows
    (dots,) = figure.data
    assert list(dots.error_x.array) == pytest.approx([0.1, 0.0])
    assert list(dots.error_x.arrayminus) == pytest.approx([0.1, 0.0])


def test_without_comparisons_no_knob_has_an_importance() -> None:
    assert importance_info([]) is None


def test_the_section_lists_what_was_not_tried_and_what_is_not_installed(
    study: list[Record], screening: list[Record]
) -> None:
    (found,) = predictions([*screening, *study])
    notes = SearchNotes(("cpus=1 was not tried: no time",), ("jemalloc is not installed",))
    section = search_section(found, recommend(found.ranked), notes)
    assert [figure.heading for figure in section.figures] == [
        "Configurations looked at",
        "Screening (shallow network)",
    ]
    assert [table.heading for table in section.plain] == [
        "2 configurations that screening did not choose",
        "Not tried",
        "Not installed",
    ]
    assert [(table.heading, table.rows) for table in section.plain[1:]] == [
        ("Not tried", (("cpus=1 was not tried: no time",),)),
        ("Not installed", (("jemalloc is not installed",),)),
    ]
