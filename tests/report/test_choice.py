"""The choice among equals, the front of time and memory, and the number of instances."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfkit.records.schema import Record
from perfkit.report.figures.search.instances import (
    InstancesPoint,
    instances_figure,
    instances_info,
)
from perfkit.report.figures.time_memory import time_memory_figure, time_memory_info
from perfkit.report.study.choice import choice_tables, equals_info
from perfkit.report.study.page import study_page
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.recommend import Recommendation, recommend
from perfkit.tuning.side_by_side.instances import Instances

BECAUSE = "it needs less memory"


@pytest.fixture
def ranking(study: list[Record]) -> Recommendation:
    """The recommendation of the study, with an equal of 4 GB and nine settings."""
    found = recommend(study)
    assert found.best is not None
    settings = {f"knob-{number}": "1" for number in range(9)}
    other = replace(
        found.best, label="other", digest="other", settings=settings, peak_rss_bytes=4_000_000_000
    )
    return replace(found, equals=(other,), chosen_because=BECAUSE)


def test_the_recommended_configuration_comes_before_its_equals(ranking: Recommendation) -> None:
    info = equals_info(ranking)
    assert info is not None
    assert info.because == BECAUSE
    assert [(row.label, row.peak_rss_bytes, row.settings, row.chosen) for row in info.rows] == [
        ("allocator=jemalloc bucket=exact", 3_500_000_000, 2, True),
        ("other", 4_000_000_000, 9, False),
    ]
    (table,) = choice_tables(ranking)
    assert table.heading == "Not surely worse: the first is chosen because it needs less memory"
    assert table.rows[1] == (
        "other",
        "2.00x [2.00, 2.00]",
        "float32 (0.0012)",
        "4.0 GB",
        "9 settings",
    )


def test_without_equals_there_is_no_table(study: list[Record]) -> None:
    assert equals_info(recommend(study)) is None
    assert choice_tables(recommend(study)) == ()


def test_the_front_is_a_line_and_a_table(ranking: Recommendation) -> None:
    assert ranking.best is not None
    assert ranking.stock is not None
    with_front = replace(ranking, equals=(), front=(ranking.best, ranking.stock))
    info = time_memory_info(with_front)
    assert info.front == ((2.0, 3_500_000_000), (4.0, 3_000_000_000))
    line = time_memory_figure(info).data[0]
    assert (list(line.x), list(line.y)) == ([2.0, 4.0], [3.5, 3.0])
    (table,) = choice_tables(with_front)
    assert [row[0] for row in table.rows] == ["allocator=jemalloc bucket=exact", "stock"]


def test_a_study_that_asked_for_no_front_has_that_of_its_medians(study: list[Record]) -> None:
    # The configuration with the shortest time gives wrong answers.
    assert time_memory_info(recommend(study)).front == ((2.0, 3_500_000_000), (4.0, 3_000_000_000))


ONE = Instances(1, 2, (100.0,) * 6, 3_000_000_000)
TWO = Instances(2, 1, (110.0, 120.0, 130.0, 110.0, 120.0, 130.0), 2_500_000_000)


def test_throughput_is_shown_by_number_of_instances(ranking: Recommendation) -> None:
    info = instances_info(replace(ranking, instances=(TWO, ONE), chosen_instances=TWO))
    assert info is not None
    one, two = info.points
    assert one == InstancesPoint(
        "1 instance of 2 CPUs", Interval(100.0, 100.0, 100.0, 6), 3_000_000_000, False
    )
    assert (two.text, two.memory_bytes, two.chosen) == ("2 instances of 1 CPU", 5_000_000_000, True)
    (bars,) = instances_figure(info).data
    assert list(bars.y) == [100.0, 120.0]
    # The exact interval of six values is their range.
    assert list(bars.error_y.array) == pytest.approx([0.0, 10.0])


def test_without_instances_there_is_no_throughput(study: list[Record]) -> None:
    assert instances_info(recommend(study)) is None


def test_the_page_shows_equals_front_and_instances(
    study: list[Record], ranking: Recommendation
) -> None:
    assert ranking.best is not None
    assert ranking.stock is not None
    whole = replace(
        ranking,
        front=(ranking.best, ranking.stock),
        instances=(ONE, TWO),
        chosen_instances=TWO,
    )
    page = study_page(study, whole, [], "A study", None)
    for words in (
        "chosen because it needs less memory",
        "Front of time and memory",
        "Throughput by number of instances",
    ):
        assert words in page
