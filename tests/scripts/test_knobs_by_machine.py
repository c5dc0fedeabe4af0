"""The table of what knob values won is computed from records, and the report is up to date."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from scripts.knobs_by_machine import REPOSITORY, Change, change_between, main, markdown, table_of
from tests.support.records_factory import make_record, make_workload

VECTORS = ("xla_cpu_prefer_vector_width", "512")


@pytest.mark.parametrize(
    ("base", "other", "change"),
    [
        ((), (("cpus", "1"),), Change((("cpus", "1"),))),
        ((VECTORS,), (("cpus", "1"), VECTORS), Change((("cpus", "1"),))),
        ((), (("cpus", "1"), VECTORS), Change((("cpus", "1"), VECTORS))),
        ((("cpus", "1"),), (("cpus", "2"),), Change((("cpus", "2"),), "1")),
        # The other direction of the same exchange, fewer settings, and several exchanges.
        ((("cpus", "2"),), (("cpus", "1"),), None),
        ((("cpus", "1"),), (), None),
        ((("cpus", "1"),), (VECTORS,), None),
        ((("cpus", "1"),), (("cpus", "2"), VECTORS), None),
    ],
)
def test_a_change_is_what_one_configuration_has_in_addition(
    base: tuple[tuple[str, str], ...], other: tuple[tuple[str, str], ...], change: Change | None
) -> None:
    assert change_between(base, other) == change


def test_the_cell_of_a_screened_value_is_the_median_over_common_rounds() -> None:
    records = [
        make_record(identifier="a", steady_s=(4.0, 6.0, 8.0), rounds=(0, 1, 2), role="base"),
        make_record({"cpus": "1"}, identifier="b", steady_s=(3.0, 2.0, 9.0), rounds=(1, 2, 7)),
        make_record({"cpus": "1"}, identifier="c", steady_s=(1.0,), block="another"),
    ]
    ((column, cells),) = table_of({"reports/x": records}).items()
    assert (column.model, column.size, column.depth) == ("af3", 76, "full")
    assert column.title == "76 tokens, Test CPU"
    (cell,) = cells.values()
    # Round 1: 6 / 3, round 2: 8 / 2; the median of the logarithms is that of sqrt(2 * 4).
    assert cell.ratio.median == pytest.approx(math.sqrt(8))
    assert cell.ratio.ends is None
    assert cell.text() == "2.83x (2/1)"
    assert cell.data()["records"] == ["reports/x"]


def test_an_interval_rests_on_blocks_of_fresh_processes() -> None:
    records = []
    for number in range(6):
        block = f"block-{number}"
        records += [
            make_record(identifier=f"s{number}", steady_s=(4.0,), block=block, role="confirm"),
            make_record(
                {"cpus": "1"}, identifier=f"c{number}", steady_s=(2.0,), block=block, role="confirm"
            ),
        ]
    ((_, cells),) = table_of({"reports/x": records}).items()
    (cell,) = cells.values()
    assert cell.ratio.median == pytest.approx(2.0)
    assert cell.ratio.ends == pytest.approx((2.0, 2.0))
    assert cell.data()["confirmation_blocks"] == 6


def test_sizes_depths_and_cpus_have_columns_of_their_own() -> None:
    shallow = make_workload().model_copy(update={"depth": "shallow", "digest": "shallow"})
    records = []
    for number, workload in enumerate((make_workload(), make_workload(size=99), shallow)):
        for settings, steady_s in ((None, 4.0), ({"cpus": "1"}, 2.0)):
            records.append(
                make_record(
                    settings,
                    identifier=f"{number}-{steady_s}",
                    steady_s=(steady_s,),
                    block=str(number),
                    workload=workload,
                )
            )
    table = table_of({"reports/x": records})
    assert [column.title for column in table] == [
        "76 tokens, Test CPU",
        "76 tokens, shallow, Test CPU",
        "99 tokens, Test CPU",
    ]
    assert "| `cpus=1` | 2.00x (1/1) | 2.00x (1/1) | 2.00x (1/1) |" in markdown(table)


def test_the_report_is_up_to_date(tmp_path: Path) -> None:
    main(["--out", str(tmp_path)])
    report = REPOSITORY / "reports/knobs-by-machine"
    assert json.loads((tmp_path / "knobs.json").read_text()) == json.loads(
        (report / "knobs.json").read_text()
    )
    assert (tmp_path / "README.md").read_text() == (report / "README.md").read_text()


def test_the_report_holds_what_the_reports_of_the_studies_state() -> None:
    # reports/README.md on af3-ubiquitin: 3.51 times as fast as stock, with constants 3.48.
    columns = json.loads((REPOSITORY / "reports/knobs-by-machine/knobs.json").read_text())
    changes = [
        change
        for column in columns
        for change in column["changes"]
        if change["records"] == ["reports/af3-ubiquitin"] and len(change["settings"]) >= 5
    ]
    ratios = {"parameters" in change["settings"]: change["ratio"] for change in changes}
    assert ratios == {
        False: pytest.approx(3.51, abs=0.005),
        True: pytest.approx(3.48, abs=0.005),
    }
