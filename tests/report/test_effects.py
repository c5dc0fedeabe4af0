"""Effects, interactions and parallel coordinates on values worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfkit.records.schema import Record
from perfkit.report.figures.search.effects import (
    Effect,
    EffectRow,
    effect_of,
    effects_figure,
    effects_info,
    effects_sentence,
)
from perfkit.report.figures.search.interactions import interactions_figure, interactions_info
from perfkit.report.figures.search.parallel import parallel_figure, parallel_info
from perfkit.report.names import Names, differences
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.importance import SettingEffect
from perfkit.tuning.choice.interactions import Interaction
from perfkit.tuning.choice.recommend import Recommendation, recommend
from perfkit.tuning.choice.rows import Row

NOT_TRIED = ("not tried, because the budget is too short: cpus=1",)
EFFECTS = (
    SettingEffect("bucket", "exact", "", Interval(1.9, 1.8, 2.0, 12), True, "full"),
    SettingEffect("allocator", "tcmalloc", "jemalloc", Interval(1.1, 0.9, 1.3, 4), True, "full"),
    SettingEffect("xla_cpu_use_onednn", "true", "", Interval(1.0, 0.98, 1.02, 8), True, "full"),
    SettingEffect("msa_rows", "needed", "", Interval(1.0, None, None, 1), True, "full"),
    SettingEffect("precision", "float32", "", Interval(0.6, 0.5, 0.7, 6), True, "full"),
)


@pytest.mark.parametrize(
    ("ends", "effect"),
    [
        ((1.01, 1.2), Effect.FASTER),
        ((0.8, 0.99), Effect.SLOWER),
        ((0.99, 1.02), Effect.INERT),
        ((1.005, 1.02), Effect.INERT),
        ((0.9, 1.2), Effect.UNSURE),
        ((None, None), Effect.UNSURE),
    ],
)
def test_a_difference_is_called_only_where_the_interval_excludes_one(
    ends: tuple[float | None, float | None], effect: Effect
) -> None:
    assert effect_of(Interval(1.0, *ends, 9)) is effect


def test_what_matters_comes_first_and_what_was_not_tried_last(study: list[Record]) -> None:
    info = effects_info(EFFECTS, recommend(study), NOT_TRIED)
    assert info is not None
    assert [(row.name, row.effect) for row in info.rows] == [
        ("bucket=exact", Effect.FASTER),
        ("precision=float32", Effect.SLOWER),
        ("allocator=tcmalloc", Effect.UNSURE),
        ("msa_rows=needed", Effect.UNSURE),
        ("cpu_use_onednn=true", Effect.INERT),
        ("cpu_enable_fast_math=true", Effect.EXCLUDED),
        ("cpu_max_isa=AVX10", Effect.EXCLUDED),
        ("", Effect.NOT_TRIED),
    ]
    assert info.rows[-1] == EffectRow("", Effect.NOT_TRIED, None, NOT_TRIED[0])
    assert info.rows[-2].why == "rejected: XLA does not know a flag"
    assert effects_sentence(info) == (
        "Surely faster: bucket=exact. Surely slower: precision=float32. "
        "Less than 3.0 % either way: cpu_use_onednn=true."
    )


def test_the_figure_of_effects_has_a_dot_per_measured_setting(study: list[Record]) -> None:
    info = effects_info(EFFECTS, recommend(study), NOT_TRIED)
    assert info is not None
    figure = effects_figure(info)
    dots = {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data}
    assert dots == {
        "faster": ([1.9], [0]),
        "slower": ([0.6], [1]),
        "not sure": ([1.1, 1.0], [2, 3]),
        "inert": ([1.0], [4]),
    }
    headings = [note.text for note in figure.layout.annotations]
    assert len(headings) == 8
    assert "1.90x [1.80, 2.00]</b> faster, 12 pairs" in headings[0]
    assert headings[2].startswith("allocator=tcmalloc over jemalloc<br>")
    assert "excluded: rejected: XLA does not know a flag" in headings[6]
    assert "the budget is too short" in headings[7]


def test_effects_without_anything_to_show_have_no_figure(study: list[Record]) -> None:
    stock = recommend([record for record in study if not record.configuration.settings])
    assert effects_info((), stock) is None


def test_rows_beyond_the_most_are_counted(study: list[Record]) -> None:
    info = effects_info(EFFECTS, recommend(study), most=2)
    assert info is not None
    assert [row.name for row in info.rows] == ["bucket=exact", "precision=float32"]
    assert info.left_out == 5


def test_interactions_reach_from_the_smallest_to_the_largest_square() -> None:
    measured = [
        Interaction(("a", "1"), ("xla_b", "2"), 1.2, 1.0, 1.5, 3),
        Interaction(("a", "1"), ("c", "3"), 0.95, 0.95, 0.95, 1),
    ]
    info = interactions_info(measured, most=1)
    assert info is not None
    assert (info.rows[0].name, info.left_out) == ("a=1 with b=2", 1)
    (dots,) = interactions_figure(info).data
    assert list(dots.error_x.array) == pytest.approx([0.3])
    assert list(dots.error_x.arrayminus) == pytest.approx([0.2])
    assert interactions_info([]) is None


@pytest.fixture
def large(study: list[Record]) -> Recommendation:
    """Twenty-four configurations of three knobs, with gains of 2.4, 2.3, ... 0.1."""
    found = recommend(study)
    assert found.stock is not None
    rows: list[Row] = []
    for number in range(24):
        settings = {
            name: str(number % values)
            for name, values in (("a", 2), ("b", 3), ("c", 4))
            if number % values
        }
        gain = Interval(2.4 - number / 10, None, None, 2)
        rows.append(replace(found.stock, label=f"row {number}", settings=settings, speedup=gain))
    return replace(found, rows=tuple(rows))


def test_a_large_study_has_a_line_per_configuration(large: Recommendation) -> None:
    info = parallel_info(large, ["c"])
    assert info is not None
    assert info.knobs == ("c", "a", "b")
    assert (len(info.lines), info.left_out) == (24, 0)
    assert info.lines[1].values == ("1", "1", "1")
    assert info.lines[0].values == ("default", "default", "default")
    assert info.lines[-1].gain == pytest.approx(0.1)
    figure = parallel_figure(info)
    assert [trace.name for trace in figure.data] == [
        "slowest",
        "third",
        "second",
        "fastest quarter",
    ]
    # Six lines through three knobs and the gain, each followed by a gap.
    assert len(figure.data[-1].x) == 6 * 5
    assert figure.data[-1].y[3] == 1.0
    assert figure.data[0].y[-2] == 0.0


def test_every_nth_configuration_of_a_larger_study_is_drawn(large: Recommendation) -> None:
    info = parallel_info(large, most=10)
    assert info is not None
    assert [line.label for line in info.lines] == [f"row {number}" for number in range(0, 24, 3)]
    assert info.left_out == 16


def test_a_small_study_has_no_parallel_coordinates(study: list[Record]) -> None:
    assert parallel_info(recommend(study)) is None


def test_a_long_name_is_the_difference_from_the_recommended_configuration(
    large: Recommendation,
) -> None:
    base = {"allocator": "jemalloc", "bucket": "exact", "kernels": "native", "msa_rows": "needed"}
    other = {"allocator": "jemalloc", "bucket": "exact", "msa_rows": "all", "xla_cpu_flag": "1"}
    assert differences(base, other) == ["msa_rows=all", "cpu_flag=1", "without kernels"]
    stock = large.rows[0]
    best = replace(stock, digest="best", settings=base, label="x" * 80)
    further = replace(stock, digest="other", settings=other, label="y" * 80)
    names = Names([stock, best, further], best)
    assert names["best"] == "recommended (4 settings)"
    assert names["other"] == "recommended, msa_rows=all, cpu_flag=1, without kernels"
    assert names[stock.digest] == "row 0"
    unsure = Names([best, further], stock)
    assert unsure["best"] == "fastest (4 settings)"
    assert unsure["other"] == "fastest, msa_rows=all, cpu_flag=1, without kernels"
