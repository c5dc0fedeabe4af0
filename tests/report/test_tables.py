"""The table of configurations, which is built without a plotting library."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from perfkit.records.schema import Outcome, Record
from perfkit.report.status import Status
from perfkit.report.tables import HEADERS, configuration_table
from perfkit.tuning.choice.recommend import recommend
from tests.support.records_factory import make_record


def test_the_recommended_row_shows_time_memory_agreement_and_speedup(
    study: list[Record],
) -> None:
    row = next(
        row for row in configuration_table(recommend(study)) if row.status is Status.RECOMMENDED
    )
    # With six processes the interval is the range of their medians.
    assert row.cells == (
        "allocator=jemalloc bucket=exact",
        "2.00 s [2.00, 2.00]",
        "3.5 GB",
        "90 %",
        "float32 (0.0012)",
        "2.00x [2.00, 2.00]",
        "ok",
    )
    assert len(row.cells) == len(HEADERS)


def test_every_configuration_has_its_status(study: list[Record]) -> None:
    statuses = {row.configuration: row.status for row in configuration_table(recommend(study))}
    assert statuses == {
        "stock": Status.STOCK,
        "allocator=jemalloc bucket=exact": Status.RECOMMENDED,
        "cpu_enable_fast_math=true": Status.DISAGREES,
        "cpu_max_isa=AVX10": Status.FAILED,
    }


def test_a_rejected_configuration_shows_the_reason_and_no_numbers(study: list[Record]) -> None:
    (row,) = [row for row in configuration_table(recommend(study)) if row.status is Status.FAILED]
    assert row.outcome == "rejected: XLA does not know a flag"
    assert (row.time, row.memory, row.utilisation, row.speedup) == ("-", "-", "-", "-")


def test_stock_that_failed_is_shown_as_failed(
    failures: Callable[[int], list[Record]],
) -> None:
    (row,) = configuration_table(recommend(failures(1)))
    assert (row.configuration, row.status) == ("stock", Status.FAILED)


def test_a_configuration_without_a_comparison_is_shown_as_such() -> None:
    record = make_record({"bucket": "exact"}).model_copy(update={"agreement": None})
    (row,) = configuration_table(recommend([record]))
    assert (row.agreement, row.status) == ("not compared", Status.UNJUDGED)


def test_an_interrupted_configuration_is_shown_as_interrupted() -> None:
    record = make_record({"bucket": "exact"}, outcome=Outcome.INTERRUPTED, reason="by the user")
    (row,) = configuration_table(recommend([record]))
    assert (row.outcome, row.status) == ("interrupted: by the user", Status.INTERRUPTED)


def test_tables_load_neither_plotly_nor_jax() -> None:
    code = (
        "import sys, perfkit.report, perfkit.report.tables, perfkit.units;"
        "print([name for name in ('plotly', 'pandas', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
