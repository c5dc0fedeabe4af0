"""Agreement against its limits, noise, load and guard counts."""

from __future__ import annotations

import math

import pytest

from perfkit.answers.agreement import Tolerance
from perfkit.records.disturbances import Load
from perfkit.records.findings import GuardRecord
from perfkit.records.schema import Record
from perfkit.report.figures.agreement import FLOOR, agreement_figure, agreement_info
from perfkit.report.status import Status
from perfkit.report.study.trust import guard_table, load_table, noise_table
from perfkit.tuning.choice.recommend import recommend
from tests.support.records_factory import make_agreement, make_record

TOLERANCES = {"positions": Tolerance(1e-3, 0.1, why="the structure")}


def test_distances_are_shares_of_the_limit(study: list[Record]) -> None:
    info = agreement_info(study, recommend(study), TOLERANCES)
    assert info is not None
    (row,) = info.rows
    assert (row.quantity, row.limit, row.why) == ("positions", 0.1, "the structure")
    assert [(point.status, point.distance) for point in row.points] == [
        (Status.STOCK, 0.0012),
        (Status.RECOMMENDED, 0.0012),
    ]
    figure = agreement_figure(info)
    assert [trace.name for trace in figure.data] == ["stock", "recommended"]
    assert list(figure.data[0].x) == pytest.approx([0.012])


def test_a_configuration_that_declares_float32_has_the_stricter_limit(study: list[Record]) -> None:
    exact = make_agreement("bitwise", 0.0).model_copy(update={"declared": "float32"})
    records = [record.model_copy(update={"agreement": exact}) for record in study[:2]]
    info = agreement_info(records, recommend(study), TOLERANCES)
    assert info is not None
    assert info.rows[0].limit == 1e-3
    # Bitwise equal answers are drawn at the left end of the logarithmic axis.
    assert list(agreement_figure(info).data[0].x) == [FLOOR]


def test_without_limits_there_is_no_figure(study: list[Record]) -> None:
    assert agreement_info(study, recommend(study), {}) is None


def test_noise_is_pooled_between_processes_and_between_passes() -> None:
    e = math.exp
    records = [
        make_record(steady_s=[e(0.0), e(0.1)], block="1"),
        make_record(steady_s=[e(0.2), e(0.3)], block="2"),
    ]
    table = noise_table(records)
    assert table is not None
    # Medians 0.05 and 0.25 differ by 0.2, passes by 0.1: sigma is the difference over sqrt(2).
    assert table.rows == (
        ("processes of one configuration", "14 %", "2"),
        ("passes of one process", "7.1 %", "4"),
    )
    assert noise_table([make_record(steady_s=[1.0])]) is None


def test_load_has_its_range_over_the_trials() -> None:
    loads = [(0.5, 0.0, 0.01), (1.5, 0.02, 0.30), (1.0, 0.0, 0.02)]
    records = [
        make_record().model_copy(
            update={
                "load": Load(load_average_before=a, steal_fraction=b, other_cpu_fraction=c),
            }
        )
        for a, b, c in loads
    ]
    table = load_table(records)
    assert table is not None
    assert table.rows == (
        ("CPU time of other programs", "1.0 %", "2.0 %", "30 %"),
        ("CPU time taken by the hypervisor", "0 %", "0 %", "2.0 %"),
        ("load average before a trial", "0.50", "1.00", "1.50"),
    )
    assert load_table([make_record()]) is None


def test_guard_counts_are_added_by_configuration() -> None:
    guard = GuardRecord(mode="lift", lifted=1200, zeroed=3)
    guarded = make_record().model_copy(update={"guard": guard})
    table = guard_table([guarded, guarded, make_record({"bucket": "exact"})])
    assert table is not None
    assert table.rows == (("stock", "2,400", "6", "2"),)
    assert guard_table([make_record()]) is None
