"""Data of the figures, worked out by hand from small studies."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfkit.records.schema import Outcome, Record, Samples
from perfkit.report.figures.memory import MemoryRow, memory_info
from perfkit.report.figures.passes import passes_figure, passes_info
from perfkit.report.figures.power_law import power_law
from perfkit.report.figures.production import (
    ProductionPart,
    production_figure,
    production_info,
)
from perfkit.report.figures.scaling import (
    MemoryLine,
    MemoryScalingInfo,
    ScalingLine,
    law_sentence,
    memory_scaling_figure,
    memory_scaling_info,
    scaling_figure,
    scaling_info,
)
from perfkit.report.figures.speedup import speedup_figure, speedup_info
from perfkit.report.figures.stages import stages_info
from perfkit.report.figures.time_memory import time_memory_info
from perfkit.report.figures.timeline import StageBand, timeline_figure, timeline_info
from perfkit.report.status import Status
from perfkit.report.style import shortened, spread_axis, wrapped
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.extrapolate import Check, Extrapolation, Part
from perfkit.tuning.choice.recommend import recommend
from tests.support.records_factory import make_record, make_stage, make_workload


def test_speedups_are_ratios_to_stock_and_sorted(study: list[Record]) -> None:
    rows = speedup_info(recommend(study)).rows
    shown = [(row.label, row.speedup and row.speedup.median, row.status) for row in rows]
    assert shown == [
        ("cpu_enable_fast_math=true", 4.0, Status.DISAGREES),
        ("allocator=jemalloc bucket=exact", 2.0, Status.RECOMMENDED),
        ("stock", 1.0, Status.STOCK),
        ("cpu_max_isa=AVX10", None, Status.FAILED),
    ]


def test_a_speedup_row_notes_the_agreement_or_the_failure(study: list[Record]) -> None:
    notes = {row.status: row.note for row in speedup_info(recommend(study)).rows}
    assert notes[Status.RECOMMENDED] == "float32 (0.0012)"
    assert notes[Status.DISAGREES] == "positions (0.31)"
    assert notes[Status.FAILED] == "rejected: XLA does not know a flag"


def test_the_speedup_figure_has_a_row_for_a_rejected_configuration(study: list[Record]) -> None:
    figure = speedup_figure(speedup_info(recommend(study)))
    last = figure.layout.annotations[-1].text
    assert last.startswith("cpu_max_isa=AVX10<br>")
    assert "rejected: XLA does not know" in last
    dots = {trace.name: list(trace.x) for trace in figure.data}
    assert dots == {"recommended": [2.0], "stock": [1.0], "disagrees": [4.0]}


def test_passes_are_placed_by_time_since_the_first_trial_began(
    study: list[Record],
) -> None:
    last = study[-4:]
    groups = {group.label: group for group in passes_info(last, recommend(study)).groups}
    # The first steady pass of the factory begins after 2 + 1 + 3 + 10 + 1 seconds.
    assert groups["stock"].elapsed_s == pytest.approx((17.0, 21.0, 25.2))
    assert groups["stock"].wall_s == (4.0, 4.2, 3.8)
    assert groups["allocator=jemalloc bucket=exact"].elapsed_s == pytest.approx((77.0, 79.0, 81.1))
    assert "cpu_max_isa=AVX10" not in groups


def test_only_stock_and_the_recommended_configuration_are_joined_by_lines(
    study: list[Record],
) -> None:
    figure = passes_figure(passes_info(study, recommend(study)))
    assert {trace.name: trace.mode for trace in figure.data} == {
        "disagrees: cpu_enable_fast_math=true": "markers",
        "recommended: allocator=jemalloc bucket=exact": "lines+markers",
        "stock": "lines+markers",
    }


def test_memory_shows_the_peak_of_every_configuration_with_one(study: list[Record]) -> None:
    assert memory_info(recommend(study)).rows == (
        MemoryRow(
            "cpu_enable_fast_math=true",
            "cpu_enable_fast_math=true",
            3_000_000_000,
            Status.DISAGREES,
        ),
        MemoryRow(
            "allocator=jemalloc bucket=exact",
            "allocator=jemalloc bucket=exact",
            3_500_000_000,
            Status.RECOMMENDED,
        ),
        MemoryRow("stock", "stock", 3_000_000_000, Status.STOCK),
    )


def test_a_point_has_time_memory_and_utilisation(study: list[Record]) -> None:
    points = {point.label: point for point in time_memory_info(recommend(study)).points}
    assert len(points) == 3
    # 1.8 of the two allowed CPUs are in use.
    stock = points["stock"]
    assert stock.utilisation == pytest.approx(0.9)
    assert (stock.time_s, stock.peak_rss_bytes) == (4.0, 3_000_000_000)
    assert stock.status is Status.STOCK


def test_a_bar_shows_the_stages_of_a_trial_with_the_median_pass(study: list[Record]) -> None:
    bars = stages_info(study[-4:]).bars
    assert [bar.outcome for bar in bars] == [Outcome.OK, Outcome.OK, Outcome.DISAGREES]
    assert bars[1].wall_s == {
        "import": 2.0,
        "prepare": 1.0,
        "trace": 3.0,
        "compile": 10.0,
        "first": 1.0,
        "steady": 2.0,
        "check": 0.5,
    }


def test_utilisation_is_cpu_time_per_wall_time_and_allowed_cpu() -> None:
    stage = make_stage("import", 0.0, 3.0)
    samples = Samples(
        time_s=[0.0, 1.0, 3.0, 4.0],
        # In the last interval a child process ends, so the sum loses its CPU time.
        cpu_s=[0.0, 1.0, 5.0, 2.0],
        rss_bytes=[100, 200, 300, 50],
    )
    record = make_record(stages=[stage, make_stage("steady", 3.0, 1.0)], samples=samples)
    (panel,) = timeline_info([record], recommend([record])).panels
    assert panel.title == "stock"
    assert panel.utilisation_time_s == (1.0, 3.0, 4.0)
    assert panel.utilisation == (0.5, 1.0, 0.0)
    assert panel.rss_bytes == (100, 200, 300, 50)
    assert panel.stages == (StageBand("import", 0.0, 3.0), StageBand("steady", 3.0, 4.0))


def test_the_timeline_has_panels_for_stock_and_the_recommended_configuration(
    study: list[Record],
) -> None:
    info = timeline_info(study, recommend(study))
    assert [panel.title for panel in info.panels] == ["stock", "recommended"]
    figure = timeline_figure(info)
    assert len(figure.data) == 4
    imports = [shape for shape in figure.layout.shapes if (shape.x0, shape.x1) == (0.0, 2.0)]
    assert [shape.xref for shape in imports] == ["x", "x3", "x2", "x4"]


def sweep_record(size: int, cpus: int, wall_s: float, settings: dict[str, str]) -> Record:
    return make_record(
        {**settings, "cpus": str(cpus)},
        workload=make_workload(size=size),
        allowed_cpus=cpus,
        steady_s=[wall_s],
    )


def test_a_sweep_over_sizes_has_one_line_per_configuration_and_number_of_cpus() -> None:
    records = [
        sweep_record(64, 1, 8.0, {}),
        sweep_record(32, 1, 2.0, {}),
        sweep_record(32, 2, 1.0, {}),
        sweep_record(64, 2, 4.0, {}),
        sweep_record(32, 2, 0.5, {"bucket": "exact"}),
        sweep_record(64, 2, 2.5, {"bucket": "exact"}),
    ]
    info = scaling_info(records)
    assert info is not None
    assert info.over == "size"
    assert info.lines == (
        ScalingLine("stock", 1, (32, 64), (2.0, 8.0)),
        ScalingLine("stock", 2, (32, 64), (1.0, 4.0)),
        ScalingLine("bucket=exact", 2, (32, 64), (0.5, 2.5)),
    )
    assert [trace.name for trace in scaling_figure(info).data] == [
        "stock, 1 CPU",
        "stock, 2 CPUs",
        "bucket=exact, 2 CPUs",
    ]


def test_a_sweep_over_cpus_alone_has_cpus_on_the_axis() -> None:
    info = scaling_info([sweep_record(32, 1, 2.0, {}), sweep_record(32, 2, 1.25, {})])
    assert info is not None
    assert info.over == "CPUs"
    assert info.lines == (ScalingLine("stock", None, (1, 2), (2.0, 1.25)),)


def test_a_single_size_and_number_of_cpus_has_no_scaling(study: list[Record]) -> None:
    assert scaling_info(study) is None


def test_three_sizes_have_a_law_and_four_a_band() -> None:
    records = [sweep_record(size, 2, 0.01 * size**1.5, {}) for size in (16, 64, 256, 1024)]
    three, four = (scaling_info(records[:count]) for count in (3, 4))
    assert three is not None
    assert four is not None
    law = three.lines[0].law
    assert law is not None
    assert law.exponent.median == pytest.approx(1.5)
    assert law.exponent.ends is None
    assert law.low == ()
    law = four.lines[0].law
    assert law is not None
    # The points lie on the law, so that its interval has no width.
    assert law.exponent.ends == pytest.approx((1.5, 1.5))
    assert law.high == pytest.approx(law.y)
    assert law_sentence(four) == "Exponents of size: stock, 2 CPUs: 1.50 [1.50, 1.50]."


def test_the_interval_of_an_exponent_is_that_of_the_slope() -> None:
    # y = 1, 2, 2, 4 at x = 1, 2, 4, 8 in powers of two: (0, 0), (1, 1), (2, 1), (3, 2). The slope
    # is 3 / 5 with residual variance 0.2 / 2, so its standard error is sqrt(0.1 / 5), and Student's
    # quantile for two degrees of freedom is 4.303.
    law = power_law([1, 2, 4, 8], [1, 2, 2, 4])
    assert law is not None
    assert law.exponent.median == pytest.approx(0.6)
    reach = 4.302653 * (0.1 / 5) ** 0.5
    assert law.exponent.ends == pytest.approx((0.6 - reach, 0.6 + reach), abs=1e-6)
    assert law.y[0] == pytest.approx(2**0.1)


def test_memory_by_size_is_held_against_the_memory_of_the_machine() -> None:
    records = [
        make_record(workload=make_workload(size=size), peak_rss_bytes=peak)
        for size, peak in ((64, 3_000_000_000), (32, 2_000_000_000), (64, 4_000_000_000))
    ]
    info = memory_scaling_info(records)
    assert info == MemoryScalingInfo(
        (MemoryLine("stock", (32, 64), (2_000_000_000, 4_000_000_000)),), 16_000_000_000
    )
    figure = memory_scaling_figure(info)
    assert list(figure.data[0].y) == [2.0, 4.0]
    assert figure.layout.shapes[0].y0 == 16.0
    assert memory_scaling_info(records[:1]) is None


def test_failed_trials_are_left_out_of_a_sweep(
    failures: Callable[[int], list[Record]],
) -> None:
    assert scaling_info(failures(3)) is None


STOCK_EXTRAPOLATION = Extrapolation(
    "stock",
    (Part("trunk_pass", 12.0, 11), Part("rest", 8.0, 1)),
    {"recycles": 10},
    Interval(140.0, None, None, 1),
    None,
)
BEST_EXTRAPOLATION = Extrapolation(
    "bucket=exact",
    (Part("trunk_pass", 3.0, 11), Part("rest", 2.0, 1)),
    {"recycles": 10},
    Interval(35.0, 30.0, 40.0, 6),
    Check({"recycles": 3}, predicted_s=11.0, measured_s=10.0),
)


def test_production_adds_up_each_part_over_its_runs() -> None:
    info = production_info([STOCK_EXTRAPOLATION, BEST_EXTRAPOLATION])
    assert info is not None
    stock, best = info.bars
    assert stock.parts == (
        ProductionPart("trunk_pass", 11, 132.0),
        ProductionPart("rest", 1, 8.0),
    )
    assert (stock.total_s, stock.check_error) == (140.0, None)
    assert best.check_error == pytest.approx(0.1)


def test_the_production_figure_shows_totals_and_the_error_of_the_check() -> None:
    info = production_info([STOCK_EXTRAPOLATION, BEST_EXTRAPOLATION])
    assert info is not None
    figure = production_figure(info)
    assert figure.layout.xaxis.title.text == "minutes per prediction"
    assert [note.text for note in figure.layout.annotations] == [
        "stock<br><b>2 min 20 s</b>",
        "bucket=exact<br><b>35.0 s</b> (check +10 %)",
    ]
    assert list(figure.data[0].x) == [132.0 / 60, 33.0 / 60]


def test_without_extrapolations_there_is_no_production_figure() -> None:
    assert production_info([]) is None


def test_markup_in_labels_is_escaped() -> None:
    assert wrapped("<a href=x>b</a>") == "&lt;a href=x&gt;b&lt;/a&gt;"
    assert shortened("<b> and more", 6) == "&lt;b&gt; a…"


def test_a_label_breaks_between_settings() -> None:
    setting = "cpu_experimental_ynn_fusion_type=dot,reduce,individual_convert"
    assert wrapped(f"bucket=exact {setting} cpus=1") == f"bucket=exact<br>{setting}<br>cpus=1"


def test_an_axis_is_logarithmic_only_for_a_wide_range() -> None:
    assert spread_axis([1.0, 3.9])["type"] == "linear"
    assert spread_axis([0.0, 100.0])["type"] == "linear"
    wide = spread_axis([1.0, 20.0])
    assert wide["type"] == "log"
    assert wide["ticktext"] == [
        "1",
        "2",
        "3",
        "5",
        "10",
        "20",
        "30",
        "50",
        "100",
        "200",
        "300",
        "500",
    ]
