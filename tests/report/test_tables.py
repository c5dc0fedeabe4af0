"""The table says of each configuration what a reader needs, and loads no plotting library."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from perfkit.records.schema import Outcome, Record
from perfkit.report.standing import Standing
from perfkit.report.tables import HEADERS, configuration_table
from perfkit.tune.recommend import recommend
from tests.support.records_factory import make_record


def test_the_recommended_row_tells_time_memory_agreement_and_speedup(
    study: list[Record],
) -> None:
    row = next(
        row for row in configuration_table(recommend(study)) if row.standing is Standing.RECOMMENDED
    )
    # Six processes: the interval goes from the least to the greatest of their medians.
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


def test_every_configuration_stands_for_what_it_is(study: list[Record]) -> None:
    standings = {row.configuration: row.standing for row in configuration_table(recommend(study))}
    assert standings == {
        "stock": Standing.STOCK,
        "allocator=jemalloc bucket=exact": Standing.RECOMMENDED,
        "cpu_enable_fast_math=true": Standing.DISAGREES,
        "cpu_max_isa=AVX10": Standing.FAILED,
    }


def test_a_refused_configuration_says_why_and_has_no_numbers(study: list[Record]) -> None:
    (row,) = [
        row for row in configuration_table(recommend(study)) if row.standing is Standing.FAILED
    ]
    assert row.outcome == "rejected: XLA does not know a flag"
    assert (row.time, row.memory, row.utilisation, row.speedup) == ("-", "-", "-", "-")


def test_stock_that_failed_is_shown_as_failed(
    failures: Callable[[int], list[Record]],
) -> None:
    (row,) = configuration_table(recommend(failures(1)))
    assert (row.configuration, row.standing) == ("stock", Standing.FAILED)


def test_what_was_not_compared_is_neither_agreeing_nor_wrong() -> None:
    record = make_record({"bucket": "exact"}).model_copy(update={"agreement": None})
    (row,) = configuration_table(recommend([record]))
    assert (row.agreement, row.standing) == ("not compared", Standing.UNJUDGED)


def test_an_interrupted_configuration_is_called_so() -> None:
    record = make_record({"bucket": "exact"}, outcome=Outcome.INTERRUPTED, reason="by the user")
    (row,) = configuration_table(recommend([record]))
    assert (row.outcome, row.standing) == ("interrupted: by the user", Standing.INTERRUPTED)


def test_tables_load_neither_plotly_nor_jax() -> None:
    code = (
        "import sys, perfkit.report, perfkit.report.tables, perfkit.units;"
        "print([name for name in ('plotly', 'pandas', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
