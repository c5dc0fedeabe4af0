"""Times and memory of a shallow network or a shared process are never those of a prediction."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.api.reporting import page_of_records, render_report
from perfkit.errors import UserError
from perfkit.records.schema import Record
from perfkit.records.store import Store
from perfkit.report.figures import figure
from perfkit.report.figures.memory import memory_info
from perfkit.report.figures.speedup import speedup_info
from perfkit.report.figures.time_memory import time_memory_info
from perfkit.report.selection import predictions
from perfkit.report.tables import configuration_table, screened_table
from perfkit.tuning.choice.notes import StoredGoal, StudyNotes, read_notes, write_notes
from perfkit.tuning.choice.recommend import recommend
from perfkit.tuning.goals.goal import Goal, make_goal
from tests.support.records_factory import make_record, make_workload


def test_a_shallow_network_belongs_to_the_prediction_that_it_screens_for(
    study: list[Record], screening: list[Record]
) -> None:
    (found,) = predictions([*study, *screening])
    assert found.workload.depth == "full"
    assert len(found.ranked) == len(study) + len(screening)
    assert {record.id for record in found.full} == {record.id for record in study}
    assert {record.id for record in found.screened} == {record.id for record in screening}


def test_the_whole_network_in_a_shared_process_is_screening_too() -> None:
    shared = make_record().model_copy(update={"shared_process": True})
    (found,) = predictions([shared, make_record(role="confirm")])
    assert [record.role for record in found.full] == ["confirm"]
    assert [record.role for record in found.screened] == ["screen"]


def test_predictions_differ_by_size_input_and_fidelity() -> None:
    workloads = [
        make_workload(size=128),
        make_workload(size=64),
        make_workload(size=64, name="other"),
        make_workload(size=64, fidelity={"recycles": 3}),
    ]
    found = predictions([make_record(workload=workload) for workload in workloads])
    assert [one.workload.size for one in found] == [64, 64, 64, 128]


def test_a_study_that_has_only_screened_yet_has_a_workload(screening: list[Record]) -> None:
    (found,) = predictions(screening)
    assert found.workload.depth == "shallow"
    assert found.full == ()


@pytest.mark.parametrize("name", ["passes", "stages", "timeline"])
def test_a_figure_of_a_prediction_is_the_same_with_and_without_screening(
    name: str, study: list[Record], screening: list[Record]
) -> None:
    alone, mixed = (figure(name, records) for records in (study, [*screening, *study]))
    assert mixed.to_dict()["data"] == alone.to_dict()["data"]


def test_a_sweep_is_drawn_without_shallow_networks(screening: list[Record]) -> None:
    sizes = [
        make_record(workload=make_workload(size=size), steady_s=[seconds])
        for size, seconds in ((76, 4.0), (128, 8.0))
    ]
    (line,) = figure("scaling", [*screening, *sizes]).data
    assert (list(line.x), list(line.y)) == ([76, 128], [4.0, 8.0])


def test_a_tuning_with_shallow_networks_is_no_sweep(
    study: list[Record], screening: list[Record]
) -> None:
    page = page_of_records([*screening, *study], None)
    assert "ubiquitin (76 tokens) with af3" in page
    assert "2.00 times as fast as stock (95 % interval 2.00 to 2.00, 6 pairs" in page
    assert "sweep with af3" not in page


def test_the_page_of_a_folder_has_the_goal_and_the_notes_of_its_tuning(
    tmp_path: Path, study: list[Record]
) -> None:
    store = Store(tmp_path)
    for record in study:
        store.append(record.model_copy(update={"study": "0123abcd"}))
    goal = make_goal("memory", slack="200%")
    notes = StudyNotes(goal=StoredGoal.of(goal), not_tried=("cpus=1 was not tried: no time",))
    write_notes(tmp_path, "0123abcd", notes)
    page = render_report(tmp_path).page.read_text()
    # Stock takes twice the time with 3.0 instead of 3.5 GB.
    assert "Smallest memory within 200 % of the fastest time: 3.0 GB" in page
    assert "cpus=1 was not tried: no time" in page


@pytest.mark.parametrize(
    "goal",
    [
        Goal(),
        make_goal("throughput", memory_exchange=0.05, pareto=True),
        make_goal("memory", slack=0.3, memory_bytes=8 * 10**9),
        make_goal("cost", price="cpu=0.04,memory=0.005", preload=False),
    ],
)
def test_a_goal_is_read_as_it_was_written(tmp_path: Path, goal: Goal) -> None:
    write_notes(tmp_path, "0123abcd", StudyNotes(goal=StoredGoal.of(goal)))
    notes = read_notes(tmp_path, "0123abcd")
    assert notes is not None
    assert notes.goal.goal() == goal


def test_damaged_notes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "study-0123abcd.json").write_text('{"version": 1, "goal": {"objective": 3}}')
    with pytest.raises(UserError, match="holds no notes of a study"):
        read_notes(tmp_path, "0123abcd")


def test_times_memory_and_utilisation_of_configurations_are_those_of_the_whole_network(
    study: list[Record], screening: list[Record]
) -> None:
    ranking = recommend([*screening, *study])
    points = {point.label: point for point in time_memory_info(ranking).points}
    stock = points["stock"]
    assert (stock.time_s, stock.peak_rss_bytes) == (4.0, 3_000_000_000)
    assert stock.utilisation == pytest.approx(0.9)
    assert memory_info(ranking).rows == memory_info(recommend(study)).rows
    assert max(row.peak_rss_bytes for row in memory_info(ranking).rows) == 3_500_000_000


def test_configurations_of_the_shallow_network_have_no_row_among_the_speedups(
    study: list[Record], screening: list[Record]
) -> None:
    ranking = recommend([*screening, *study])
    assert speedup_info(ranking) == speedup_info(recommend(study))
    table = {row.configuration: row for row in configuration_table(ranking)}
    assert "bucket=exact" not in table
    assert screened_table(ranking) == (
        ("bucket=exact", "1.60x", "float32 (0.0012)"),
        ("msa_rows=needed", "0.80x", "float32 (0.0012)"),
    )
