"""The page of a comparison: an upgrade, two presets, two machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.api.comparing import compare
from perfkit.cli.main import main
from perfkit.records.schema import Record
from perfkit.records.store import Store
from perfkit.report.figures.compared.changes import changes_figure, changes_info
from perfkit.report.figures.compared.sides import sides_figure, sides_info
from tests.support.records_factory import make_record, make_workload


def folder_of(path: Path, records: list[Record]) -> Path:
    store = Store(path)
    for record in records:
        store.append(record)
    return path


def trials(settings: dict[str, str], wall_s: float, *, jax: str = "0.7.0") -> list[Record]:
    """Four processes with passes of one length."""
    return [
        make_record(
            settings,
            role="single",
            block=None,
            identifier=f"{jax}-{number}-{wall_s}",
            steady_s=[wall_s] * 3,
            versions={"jax": jax},
        )
        for number in range(4)
    ]


def test_two_presets_stand_next_to_each_other_without_a_common_configuration() -> None:
    old, new = trials({"bucket": "exact"}, 4.0), trials({"bucket": "128"}, 2.0)
    info = sides_info(old, new)
    assert info is not None
    assert [
        (row.label, row.old and row.old.time_s, row.new and row.new.time_s) for row in info.rows
    ] == [
        ("bucket=128", None, 2.0),
        ("bucket=exact", 4.0, None),
    ]
    assert all(row.ratio is None for row in info.rows)
    lines, before, after = sides_figure(info).data
    assert (list(lines.x), list(before.x), list(after.x)) == ([], [4.0], [2.0])


def test_a_common_configuration_has_a_ratio_with_its_interval() -> None:
    info = sides_info(trials({}, 4.0), trials({}, 2.0))
    assert info is not None
    (row,) = info.rows
    assert row.ratio is not None
    assert (row.ratio.median, row.ratio.ends) == (0.5, (0.5, 0.5))


def test_other_inputs_are_not_put_next_to_each_other() -> None:
    other = [make_record(role="single", workload=make_workload(size=128))]
    assert sides_info(trials({}, 4.0), other) is None


def test_the_page_of_an_upgrade_shows_the_regression_first(tmp_path: Path) -> None:
    old = folder_of(tmp_path / "old", trials({}, 2.0))
    new = folder_of(tmp_path / "new", trials({}, 4.0, jax="0.8.0"))
    (comparison,) = compare(old, new).comparisons
    info = changes_info(comparison)
    assert info is not None
    assert info.rows[0].verdict == "worse"
    assert info.rows[0].ratio.median == pytest.approx(2.0)
    assert list(changes_figure(info).data[0].x) == pytest.approx([2.0])
    page = tmp_path / "page.html"
    assert main(["compare", str(old), str(new), "--html", str(page)]) == 1
    text = page.read_text()
    assert "not the same setting, jax: 0.7.0 before, 0.8.0 now" in text
    assert "Side by side" in text


def test_two_presets_have_a_page_although_nothing_can_be_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "<script>alert(1)</script>"
    old = folder_of(tmp_path / "old", trials({"bucket": evil}, 4.0))
    new = folder_of(tmp_path / "new", trials({"bucket": "128"}, 2.0))
    page = tmp_path / "page.html"
    assert main(["compare", str(old), str(new)]) == 2
    assert main(["compare", str(old), str(new), "--html", str(page)]) == 0
    assert "no configuration in common: see the page" in capsys.readouterr().out
    text = page.read_text()
    assert "nothing is judged, see the times below" in text
    assert evil not in text
