"""Figures and summary of a profile, from a record with known findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.observers.cpu import CpuResult
from perfkit.observers.memory import MemoryResult
from perfkit.observers.products.result import ProductRow, ProductsResult
from perfkit.observers.products.timing import Timing
from perfkit.observers.roofline.limit import Limit, ModuleResult
from perfkit.observers.trace.xla_trace import XlaResult
from perfkit.records.schema import Observation, Record
from perfkit.report.figures import figure
from perfkit.report.figures.memory_kinds import memory_kinds_figure, memory_kinds_info, peaks_info
from perfkit.report.figures.pass_time import kinds_info, modules_info, pass_figure
from perfkit.report.figures.roofline import roofline_figure, roofline_info
from perfkit.report.figures.utilisation import (
    busy_figure,
    busy_info,
    utilisation_figure,
    utilisation_info,
)
from perfkit.report.profile.page import profile_page
from perfkit.report.profile.summary import profile_summary, steady_s
from perfkit.report.profile.tables import product_table
from tests.support.records_factory import make_record, make_workload


def _module(name: str, seconds: float, limit: Limit, **changed: float) -> ModuleResult:
    values: dict[str, float] = {
        "flops": 40e9 * seconds,
        "bytes": 2e9 * seconds,
        "busy_cpus": 1.2,
        "single": 0.2,
        "waiting": 0.1,
        "kernel": 0.1,
        "working": 0.6,
        "compute": 0.4,
        "bandwidth": 0.2,
    }
    return ModuleResult(
        name=name,
        seconds=seconds,
        share=seconds / 10,
        faults=5000,
        dtype="bf16",
        limit=limit,
        **(values | changed),
    )


XLA = XlaResult(
    pass_s=10.0,
    kinds={"dot": 8.0, "waiting": 2.0, "reduce": 0.0},
    modules=[
        _module("pairformer", 5.0, Limit.COMPUTE),
        _module("msa", 3.0, Limit.FAULTS, kernel=0.5),
        _module("noise", 1.5, Limit.WAITING, waiting=0.7),
        _module("heads", 0.5, Limit.SINGLE, flops=0.0),
    ],
    operations=[],
    ceilings={
        "float32_flops_per_s": 100e9,
        "bfloat16_flops_per_s": 200e9,
        "copy_bytes_per_s": 10e9,
    },
    cpus=2,
)
CPU = CpuResult(
    begin_s=0.0,
    time_s=[1.0, 2.0],
    tree=[1.0, 1.5],
    other=[0.1, 0.2],
    steal=[0.0, 0.1],
    cpus=[[0.5, 1.0], [0.6, 0.7]],
    threads={"tf_XLAEigen": 2.0},
    busy={"steady": [0.1, 0.3, 0.6]},
    interval_s=0.1,
)
MEMORY = MemoryResult(
    time_s=[0.0, 1.0],
    anonymous=[10, 20],
    file=[5, 5],
    shared=[0, 1],
    rollup_time_s=[0.5],
    pss=[22],
    anonymous_huge=[4],
    peak_rss=26,
    peaks={},
    cgroup={},
)


PRODUCTS = ProductsResult(
    shapes=1,
    timed=1,
    flops=80e9,
    traced_s=10.0,
    found_s=2.0,
    floor_s=0.5,
    unmeasured_s=0.0,
    xla_s=0.8,
    ceiling_s=0.4,
    rows=[
        ProductRow(
            label="bf16 mk[8,4] x kn[4,2]",
            modules=["pairformer", "msa"],
            more_modules=0,
            times=4,
            found=4,
            flop=20e9,
            bytes=1e9,
            pass_s=2.0,
            share=0.2,
            compute=0.2,
            bandwidth=0.2,
            xla=Timing(0.2, 0.24, 5),
            onednn=Timing(0.125, 0.15, 5),
        )
    ],
    ceilings=XLA.ceilings,
)


@pytest.fixture
def record() -> Record:
    seen = {"xla": XLA, "cpu": CPU, "memory": MEMORY}
    observations = {
        name: Observation(data=each.model_dump(mode="json")) for name, each in seen.items()
    }
    return make_record().model_copy(update={"observations": observations})


def test_the_summary_names_the_three_costliest_modules_with_their_limits(record: Record) -> None:
    first, second, third, busy, memory = profile_summary(record)
    assert first == (
        "1. pairformer: 50 % of a pass (5.00 s), limited by compute (40 GFLOP/s is 40 % of the "
        "machine's bf16 matrix product, 2.0 GB/s is 20 % of its copy bandwidth; 1.2 of 2 CPUs busy)"
    )
    # 5,000 faults in 3 s.
    assert (
        "limited by page faults (1,667 per second, the kernel takes 50 % of the CPU time" in second
    )
    assert "limited by waiting (no CPU is busy 70 % of the time" in third
    assert busy == ("busy during steady passes: 0 CPUs 10 %, 1 CPU 30 %, 2 CPUs 60 % of the time")
    assert memory == "memory: resident peak 26 B, proportional peak 22 B"


def test_the_summary_holds_the_floor_against_the_timed_pass(record: Record) -> None:
    seen = record.observations | {"products": Observation(data=PRODUCTS.model_dump(mode="json"))}
    both = record.model_copy(update={"observations": seen})
    pass_s = steady_s(both)
    assert pass_s is not None
    (floor,) = (line for line in profile_summary(both) if line.startswith("floor: "))
    assert "(80 GFLOP in 1 shape) take at least 500 ms in the faster of XLA and oneDNN" in floor
    assert f"at most {pass_s / 0.5:.2f} times as fast" in floor


def test_the_table_of_products_has_rates_in_the_pass_and_times_alone() -> None:
    table = product_table(PRODUCTS)
    # 4 x 20 GFLOP in 2 s; four of 0.2 and 0.125 s.
    assert table.rows == (
        (
            *("bf16 mk[8,4] x kn[4,2]", "pairformer +1", "4", "2.00 s", "20 %"),
            *("40.0", "20 %", "2.00", "20 %", "800 (960) ms", "500 (600) ms"),
        ),
    )
    bare = PRODUCTS.model_copy(
        update={"rows": [PRODUCTS.rows[0].model_copy(update={"onednn": None})]}
    )
    assert product_table(bare).headers == table.headers[:-1]


def test_a_record_without_observations_has_no_summary() -> None:
    assert profile_summary(make_record()) == []
    assert utilisation_info(make_record()) is None
    assert busy_info(make_record()) is None
    assert memory_kinds_info(make_record()) is None


def test_the_roofline_shows_computing_modules_under_both_ceilings() -> None:
    info = roofline_info(XLA)
    assert info is not None
    assert [point.name for point in info.points] == ["pairformer", "msa", "noise"]
    assert info.points[0].intensity == 20.0
    assert info.points[0].flops_per_s == 40e9
    assert list(info.products.values()) == [200e9, 100e9]
    figure = roofline_figure(info)
    # The bfloat16 ceiling begins where 10 GB/s times the intensity reaches 200 GFLOP/s.
    assert figure.data[0].x[1] == 20.0
    assert {trace.name for trace in figure.data[2:]} == {"compute", "page faults", "waiting"}


def test_without_ceilings_the_page_has_no_roofline(record: Record, tmp_path: Path) -> None:
    bare = XLA.model_copy(update={"ceilings": {}})
    assert roofline_info(bare) is None
    seen = record.observations | {"xla": Observation(data=bare.model_dump(mode="json"))}
    page = profile_page(record.model_copy(update={"observations": seen}), tmp_path)
    assert "Time by module of the model" in page
    assert "<h3>Roofline</h3>" not in page


def test_stages_with_unequal_counts_of_cpus_are_not_drawn(record: Record) -> None:
    uneven = CPU.model_copy(update={"busy": {"first": [1.0], "steady": [0.1, 0.9]}})
    seen = {"cpu": Observation(data=uneven.model_dump(mode="json"))}
    assert busy_info(record.model_copy(update={"observations": seen})) is None


def test_a_page_without_findings_names_the_missing_tools(
    tmp_path: Path,
) -> None:
    missing = {"perf": Observation(missing="perf is not installed")}
    record = make_record().model_copy(update={"observations": missing})
    page = profile_page(record, tmp_path)
    assert "perf: perf is not installed" in page
    assert "profile of ubiquitin (76) with af3" in page


def test_names_in_a_profile_are_escaped(record: Record, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    module = XLA.modules[0].model_copy(update={"name": evil})
    cpu = CPU.model_copy(update={"threads": {evil: 1.0}, "busy": {evil: [0.5, 0.5]}})
    seen = {
        "xla": XLA.model_copy(update={"modules": [module], "kinds": {evil: 1.0}}),
        "cpu": cpu,
    }
    observations = {
        name: Observation(data=each.model_dump(mode="json")) for name, each in seen.items()
    }
    page = profile_page(
        record.model_copy(
            update={
                "observations": observations,
                "workload": make_workload(name=evil),
                "artifacts": {evil: "a\0b", "log": "javascript:alert(1)"},
            }
        ),
        tmp_path,
    )
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page
    assert 'href="javascript:' not in page


def test_kinds_and_modules_are_shares_of_the_pass() -> None:
    assert [(row.name, row.share) for row in kinds_info(XLA).rows] == [
        ("dot", 0.8),
        ("waiting", 0.2),
    ]
    rows = modules_info(XLA).rows
    assert [row.share for row in rows] == [0.5, 0.3, 0.15, 0.05]
    bars = pass_figure(modules_info(XLA)).data
    assert {bar.name: list(bar.x) for bar in bars}["page faults"] == [3.0]


def test_utilisation_stacks_trial_others_and_hypervisor(record: Record) -> None:
    use, busy = utilisation_info(record), busy_info(record)
    assert use is not None
    assert busy is not None
    assert use.layers == {
        "trial": (1.0, 1.5),
        "everything else": (0.1, 0.2),
        "hypervisor": (0.0, 0.1),
    }
    assert use.cpus == 2
    assert list(utilisation_figure(use).data[0].y) == [1.0, 1.5]
    assert [bar.x[0] for bar in busy_figure(busy).data] == pytest.approx([10, 30, 60])


def test_memory_is_shown_by_kind_and_by_observer(record: Record) -> None:
    kinds = memory_kinds_info(record)
    assert kinds is not None
    assert kinds.kinds["anonymous"] == (10, 20)
    assert [trace.name for trace in memory_kinds_figure(kinds).data] == [
        "anonymous",
        "file",
        "shared",
        "proportional set",
        "huge pages",
    ]
    assert peaks_info(record).peaks == {"resident peak": 26, "proportional peak": 22}


@pytest.mark.parametrize(
    "name",
    ["modules", "operations", "roofline", "cpu_use", "busy_cpus", "memory_over_time"],
)
def test_figures_of_a_profile_show_the_last_record_with_findings(record: Record, name: str) -> None:
    later = make_record(created="2026-01-03T10:00:00+00:00")
    assert figure(name, [later, record]) == figure(name, [record])
    assert len(figure(name, [record]).data) > 0


@pytest.mark.parametrize(
    "name",
    [
        *("modules", "operations", "roofline"),
        *("cpu_use", "busy_cpus", "memory_over_time", "memory_peaks"),
    ],
)
def test_no_figure_of_a_profile_is_drawn_from_a_shallow_network(name: str, record: Record) -> None:
    whole = figure(name, [record]).to_dict()["data"]
    workload = record.workload.model_copy(update={"depth": "shallow"})
    shallow = record.model_copy(
        update={"workload": workload, "created": "2026-01-02T11:00:00+00:00"}
    )
    with pytest.raises(UserError, match="the records hold no data for this figure"):
        figure(name, [shallow])
    longer = {"observations": {}, "peak_rss_bytes": 99_000_000_000, "compilation": None}
    assert figure(name, [record, shallow.model_copy(update=longer)]).to_dict()["data"] == whole
