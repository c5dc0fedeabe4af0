"""The data of a page: columns state their unit, and nothing that a figure shows is missing."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import perfkit.report.export
import perfkit.report.figures
from perfkit.records.schema import Outcome, Record
from perfkit.report.export.data import can_write_parquet, write_data
from perfkit.report.export.frames import cells, elements, frame
from perfkit.report.export.study_tables import study_tables
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.extrapolate import Check, Extrapolation, Part
from perfkit.tuning.choice.recommend import recommend
from tests.support.records_factory import make_record, make_workload

PRODUCTION = Extrapolation(
    "stock",
    (Part("trunk_pass", 60.0, 11), Part("confidence", 5.0, 1)),
    {"recycles": 10},
    Interval(665.0, 600.0, 700.0, 6),
    Check({"recycles": 3}, 110.0, 100.0),
)

ELSEWHERE = {
    "changes_info": "perfkit compare --json prints the comparison",
    "sides_info": "perfkit compare reads two folders, whose data are exported by themselves",
    "parallel_info": "its lines are the configurations, which are written with their trials",
    "actual_info": "perfkit plan check --json prints the comparison",
    "table_info": "perfkit plan table writes its rows as CSV and Markdown",
    "feasibility_info": "perfkit plan writes plan.csv and plan.json",
    "gantt_info": "perfkit plan writes plan.csv and plan.json",
    "more_machines_info": "perfkit plan writes plan.csv and plan.json",
    "history_info": "the series, from which it is made, are written whole",
    "kinds_info": "the trace, from which it is made, is written whole",
    "modules_info": "the trace, from which it is made, is written whole",
}
"""Infos of figures whose data are exported in another form."""


class Example(NamedTuple):
    label: str
    time_s: Interval
    outcome: Outcome
    walls_s: tuple[float, ...] = ()


def test_an_interval_becomes_columns_that_keep_the_unit() -> None:
    row = Example("stock", Interval(2.0, 1.5, None, 7), Outcome.OK)
    assert cells(row, ("walls_s",)) == {
        "label": "stock",
        "time_s": 2.0,
        "time_low_s": 1.5,
        "time_high_s": None,
        "time_count": 7,
        "outcome": "ok",
    }
    with pytest.raises(TypeError, match="walls_s is a tuple"):
        cells(row)


def test_a_vector_becomes_one_row_per_element() -> None:
    row = Example("stock", Interval(2.0, None, None, 1), Outcome.OK, (1.0, 3.0))
    found = list(elements(row, "walls_s", without=("time_s",)))
    assert found == [
        {"label": "stock", "outcome": "ok", "walls_s": 1.0},
        {"label": "stock", "outcome": "ok", "walls_s": 3.0},
    ]


def test_columns_have_the_type_of_their_values() -> None:
    table = frame([{"n": 1, "x": 1, "b": True, "t": "a"}, {"n": None, "x": 0.5}, {"e": None}])
    assert dict(table.dtypes.astype(str)) == {
        "n": "Int64",
        "x": "float64",
        "b": "boolean",
        "t": "string",
        "e": "string",
    }
    assert table["n"].tolist() == [1, pd.NA, pd.NA]
    assert np.isnan(table["x"][2])


def test_the_data_of_a_study_are_complete(study: list[Record]) -> None:
    tables = study_tables(study, recommend(study), [PRODUCTION])
    rows = tables["configurations"].set_index("label")
    best = rows.loc["allocator=jemalloc bucket=exact"]
    assert (best["speedup"], best["speedup_low"], best["speedup_count"]) == (2.0, 2.0, 6)
    assert (best["time_s"], best["status"]) == (2.0, "recommended")
    assert rows.loc["stock", "peak_rss_bytes"] == 3_000_000_000
    assert len(rows) == 4
    # 5 + 3 passes of stock and of the best configuration, 3 of the wrong one.
    assert len(tables["passes"]) == 19
    assert set(tables["passes"]["wall_s"]) == {4.0, 4.2, 3.8, 2.0, 2.1, 1.9, 1.0}
    assert len(tables["trials"]) == len(study)
    # A sample each half second from 0 to 30 s and to 25 s.
    assert tables["timeline-memory"].groupby("panel").size().to_dict() == {
        "recommended": 51,
        "stock": 61,
    }
    assert tables["production"]["part_total_s"].tolist() == [660.0, 5.0]
    assert tables["production"]["check_error"].round(3).tolist() == [0.1, 0.1]
    assert {"workload", "size"} <= set(tables["speedup"].columns)
    assert all(len(table) for table in tables.values())


def test_the_workloads_of_a_sweep_are_in_one_table() -> None:
    records = [
        make_record(settings, workload=make_workload(size=size), steady_s=[size / 32] * 2)
        for size in (64, 32)
        for settings in ({}, {"bucket": "exact"})
    ]
    tables = study_tables(records, None)
    assert tables["memory"]["size"].tolist() == [32, 32, 64, 64]
    scaling = tables["scaling"]
    stock = scaling[scaling["label"] == "stock"]
    assert stock["x"].tolist() == [32, 64]
    assert stock["time_s"].tolist() == [1.0, 2.0]


def test_files_hold_what_the_tables_hold(study: list[Record], tmp_path: Path) -> None:
    tables = study_tables(study, recommend(study))
    missing = write_data(tmp_path / "data", tables, parquet=False)
    assert missing == (
        "only CSV was written: Parquet needs pyarrow, which is not installed: pip install pyarrow"
    )
    names = {path.stem for path in (tmp_path / "data").glob("*.csv")}
    assert names == set(tables)
    read = pd.read_csv(tmp_path / "data" / "passes.csv")
    assert read["wall_s"].tolist() == tables["passes"]["wall_s"].tolist()


@pytest.mark.skipif(not can_write_parquet(), reason="pyarrow is not installed")
def test_parquet_keeps_types_and_missing_values(study: list[Record], tmp_path: Path) -> None:
    tables = study_tables(study, recommend(study), [PRODUCTION])
    assert write_data(tmp_path / "data", tables, parquet=True) == ""
    for name, table in tables.items():
        read = pd.read_parquet(tmp_path / "data" / f"{name}.parquet")
        pd.testing.assert_frame_equal(read, table, check_dtype=False)


def test_the_data_of_every_figure_are_exported() -> None:
    """A new figure has to be added to the export, or to those that are exported otherwise."""
    found = set()
    package = perfkit.report.figures
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        found |= {
            name
            for name, value in vars(importlib.import_module(module.name)).items()
            if name.endswith("_info") and value.__module__ == module.name and name[0] != "_"
        }
    folder = Path(perfkit.report.export.__path__[0])
    exported = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*_tables.py"))
    missing = {name for name in found if re.search(rf"\b{name}\(", exported) is None}
    assert missing == set(ELSEWHERE)
