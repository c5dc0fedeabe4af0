"""The comparison of shallow and full speed-ups: configurations, correlation and errors."""

from __future__ import annotations

import pytest

from benchmarks.scripts.shallow_ratios import Ratios, configurations, markdown, summarise
from perfkit.knobs.configuration import STOCK, Catalogue
from perfkit.models.af3.knobs import KNOBS
from perfkit.tuning.search.strategy import SearchSpace

SPACE = SearchSpace(
    Catalogue(KNOBS),
    ((("bucket", "exact"),), (("msa_rows", "needed"),), (("precision", "float32"),)),
)

ROWS = [
    Ratios(label="a", digest="1", full=1.0, shallow=1.1, weighted=1.0),
    Ratios(label="b", digest="2", full=2.0, shallow=1.0, weighted=1.9),
    Ratios(label="c", digest="3", full=4.0, shallow=4.4, weighted=4.0),
    Ratios(label="d", digest="4", reason="out of memory"),
]


def test_configurations_are_changes_of_stock_and_then_pairs_of_them() -> None:
    found = configurations(SPACE, 20)
    assert STOCK not in found
    assert [dict(each.settings) for each in found] == [
        {"bucket": "exact"},
        {"msa_rows": "needed"},
        {"precision": "float32"},
        {"bucket": "exact", "msa_rows": "needed"},
        {"bucket": "exact", "precision": "float32"},
        {"msa_rows": "needed", "precision": "float32"},
    ]
    assert configurations(SPACE, 2) == found[:2]


def test_predictions_are_judged_by_their_ranks_and_their_largest_error() -> None:
    plain, weighted = summarise(ROWS)
    # Ranks 2 1 3 instead of 1 2 3: 1 - 6 * 2 / (3 * 8).
    assert plain.rank_correlation == pytest.approx(0.5)
    # 1.0 instead of 2.0.
    assert plain.worst_error == pytest.approx(0.5)
    assert weighted.rank_correlation == pytest.approx(1.0)
    assert weighted.worst_error == pytest.approx(0.05)


def test_the_table_shows_why_a_configuration_has_no_ratios() -> None:
    lines = markdown("af3", ROWS).splitlines()
    assert "| c | 4.000 | 4.400 | 4.000 |" in lines
    assert "| d | out of memory |  |  |" in lines
    assert "| stacks scaled | 1.000 | 5.0% |" in lines


def test_one_configuration_has_no_rank() -> None:
    assert summarise(ROWS[:1]) == []
