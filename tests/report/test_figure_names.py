"""Figures are drawn by name from records alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfkit.errors import UserError
from perfkit.records.schema import Record
from perfkit.report.figures import FIGURES, figure
from tests.support.records_factory import make_record, make_workload

OF_A_STUDY = ("speedup", "passes", "memory", "time_memory", "stages", "timeline")


@pytest.mark.parametrize("name", OF_A_STUDY)
def test_a_figure_of_a_study_is_drawn_by_name(name: str, study: list[Record]) -> None:
    assert len(figure(name, study).data) > 0


def test_a_sweep_is_drawn_as_scaling() -> None:
    records = [
        make_record(workload=make_workload(size=size), steady_s=[size / 32]) for size in (64, 32)
    ]
    (line,) = figure("scaling", records).data
    assert (list(line.x), list(line.y)) == ([32, 64], [1.0, 2.0])


def test_the_names_of_all_figures_are_documented() -> None:
    assert set(FIGURES) == {
        *OF_A_STUDY,
        "scaling",
        "looked_at",
        "screening",
        "importance",
        "instances",
        "modules",
        "operations",
        "roofline",
        "cpu_use",
        "busy_cpus",
        "memory_over_time",
        "memory_peaks",
    }
    assert all(draw.__doc__ for draw in FIGURES.values())


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown figure 'speedups'; the nearest is 'speedup'"):
        figure("speedups", [make_record()])


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("scaling", "several sizes or numbers of CPUs"),
        ("screening", "screened on a shallow network"),
        ("importance", "compared with stock"),
        ("instances", "measured side by side"),
        ("roofline", "a trace of XLA"),
        ("modules", "a trace of XLA"),
        ("cpu_use", "findings of the CPU observer"),
        ("memory_over_time", "findings of the memory observer"),
        ("timeline", "samples of stock"),
    ],
)
def test_missing_data_is_named(name: str, needed: str) -> None:
    with pytest.raises(UserError, match=needed):
        figure(name, [make_record()])


@pytest.mark.parametrize("name", list(FIGURES))
def test_no_records_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="it needs at least one record"):
        figure(name, [])


def test_records_of_several_workloads_have_no_speedup(study: list[Record]) -> None:
    other = make_record(workload=make_workload(size=128))
    with pytest.raises(UserError, match="the records are of 2: select those of one workload"):
        figure("speedup", [*study, other])


def test_a_study_of_failures_has_a_figure_of_speedups(
    failures: Callable[[int], list[Record]],
) -> None:
    assert len(figure("speedup", failures(2)).data) == 0
