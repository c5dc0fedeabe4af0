"""A large study has a page of bounded size, which says what it leaves out."""

from __future__ import annotations

import pytest

from benchmarks.large_study import write_large_study
from perfkit.api.report_sources import stored_study
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import read_folder
from perfkit.report.figures.passes import PassesInfo, PassGroup
from perfkit.report.figures.time_memory import TimeMemoryInfo, TimeMemoryPoint
from perfkit.report.figures.timeline import TimelineInfo, TimelinePanel
from perfkit.report.status import Status
from perfkit.report.thinning import (
    MOST_CONFIGURATIONS,
    extremes,
    latest_trials,
    passes_sentence,
    points_sentence,
    shortlist,
    thinned_passes,
    thinned_points,
    thinned_timeline,
)
from perfkit.tuning.choice.recommend import recommend
from tests.support.records_factory import make_record

TRIALS = 1000


def group(label: str, wall_s: list[float]) -> PassGroup:
    moments = tuple(float(number) for number in range(len(wall_s)))
    return PassGroup(label, label, Status.AGREES, moments, tuple(wall_s))


def test_a_thinned_line_keeps_its_ends_and_every_peak() -> None:
    values = [1.0] * 1000
    values[137], values[642] = 9.0, 0.1
    kept = extremes(values, 20)
    assert {0, 137, 642, 999} <= set(kept)
    assert len(kept) <= 22
    assert kept == sorted(kept)


def test_a_short_line_is_kept_whole() -> None:
    assert extremes([3.0, 1.0, 2.0], 3) == [0, 1, 2]
    assert extremes([], 3) == []


def test_configurations_with_few_passes_keep_all_of_them() -> None:
    info = PassesInfo((group("few", [1.0, 2.0]), group("many", [1.0] * 500 + [5.0] + [1.0] * 500)))
    drawn = thinned_passes(info, 40)
    assert drawn.groups[0] == info.groups[0]
    assert len(drawn.groups[1].wall_s) <= 40
    assert 5.0 in drawn.groups[1].wall_s
    assert drawn.groups[1].elapsed_s[drawn.groups[1].wall_s.index(5.0)] == 500.0
    shown = 2 + len(drawn.groups[1].wall_s)
    assert passes_sentence(info, drawn).startswith(f"{shown} of 1,003 timed passes: ")
    assert thinned_passes(info, 1003) == info
    assert passes_sentence(info, info) == "Every timed pass."


def test_a_timeline_keeps_the_peak_of_its_memory() -> None:
    times = tuple(float(number) for number in range(2000))
    peak = tuple(9 if number == 777 else 1 for number in range(2000))
    panel = TimelinePanel("stock", times, peak, times[1:], tuple([0.5] * 1999), ())
    (drawn,) = thinned_timeline(TimelineInfo((panel,)), 100).panels
    assert len(drawn.time_s) == len(drawn.rss_bytes) <= 102
    assert drawn.rss_bytes[drawn.time_s.index(777.0)] == 9
    assert len(drawn.utilisation) == len(drawn.utilisation_time_s) <= 102


def test_dots_that_lie_on_each_other_are_drawn_once() -> None:
    def point(label: str, time_s: float, gigabytes: int, status: Status) -> TimeMemoryPoint:
        return TimeMemoryPoint(label, time_s, gigabytes * 10**9, 0.9, status)

    points = (
        point("first", 1.0, 1, Status.AGREES),
        point("under", 1.001, 1, Status.AGREES),
        point("failed", 1.001, 1, Status.FAILED),
        point("slow", 100.0, 1, Status.AGREES),
        point("large", 1.0, 9, Status.AGREES),
    )
    whole = TimeMemoryInfo(points, ((1.0, 10**9),))
    drawn = thinned_points(whole, most=4)
    assert [one.label for one in drawn.points] == ["first", "failed", "slow", "large"]
    assert drawn.front == whole.front
    assert points_sentence(whole, drawn) == "4 of 5 dots are drawn: the others lie on them."
    assert thinned_points(whole, most=5) == whole
    assert points_sentence(whole, whole) == ""


def measured(number: int, seconds: float, outcome: Outcome = Outcome.OK) -> list[Record]:
    """Stock and one configuration in turns."""
    return [
        make_record(settings, steady_s=[wall_s], block=f"{number}", identifier=name, outcome=end)
        for settings, wall_s, name, end in (
            ({}, 4.0, f"stock-{number}", Outcome.OK),
            ({"bucket": str(number)}, seconds, f"{number}", outcome),
        )
    ]


def test_the_shortlist_keeps_stock_and_the_fastest() -> None:
    trials = [one for number in range(1, 9) for one in measured(number, float(number))]
    trials += measured(9, 9.0, Outcome.CRASHED)
    shown = shortlist(recommend(trials), most=4)
    labels = [row.label for row in shown.recommendation.rows]
    # Stock takes 4 s, as long as the fourth configuration; the three fastest are in front of it.
    assert labels == ["bucket=1", "bucket=2", "bucket=3", "stock"]
    assert shown.sentence == (
        "4 of 10 configurations are shown: those that the recommendation names, and then the "
        "fastest. 6 are left out, 1 of which failed; 'perfkit report --data' writes all of them."
    )
    kept = {record.configuration.label for record in shown.records(trials)}
    assert kept == set(labels)


def test_a_small_study_is_shown_whole(study: list[Record]) -> None:
    found = recommend(study)
    shown = shortlist(found)
    assert (shown.recommendation, shown.left_out, shown.sentence) == (found, (), "")
    assert latest_trials(study) == study


def test_many_trials_are_shown_by_the_last_of_each_configuration() -> None:
    trials = [one for number in range(5) for one in measured(7, float(number + 1))]
    assert latest_trials(trials, most=9) == trials[-2:]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, ...]:
    folder = tmp_path_factory.mktemp("large")
    write_large_study(folder, TRIALS)
    reading = read_folder(folder)
    assert reading.skipped == ()
    assert len(reading.records) == TRIALS
    return reading.records


def test_the_page_of_a_large_study_is_bounded(large: tuple[Record, ...]) -> None:
    content = stored_study(large)
    assert content.recommendation is not None
    total = len(content.recommendation.rows)
    assert total > 300
    page = content.page(None)
    assert len(page.encode()) < 6_000_000
    assert f"of {total:,} configurations are shown" in page
    # Configurations, those that were only screened, and 200 trials.
    assert page.count("<tr") < 10 * MOST_CONFIGURATIONS
    tables = content.tables()
    assert len(tables["configurations"]) == total
    assert len(tables["trials"]) == TRIALS
