"""Sizes predicted from smaller ones, held against measurements."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scripts.plan_from_smaller import judge, main, markdown
from tests.support.planted import compiled_bytes, overhead_bytes, record, study


def test_each_size_is_predicted_from_the_sizes_below_it() -> None:
    """The measured times are a tenth above the planted laws at 96 tokens, and on them at 256."""
    fitted = [*study(), *(record(size) for size in (128, 192))]
    found = judge(fitted, [record(256), record(96, slower=1.1)])
    assert [(case.size, case.largest) for case in found.cases] == [
        (96, 48),
        (96, 64),
        (256, 128),
        (256, 192),
    ]
    last = found.cases[-1]
    assert last.time.error_percent == pytest.approx(0.0, abs=0.01)
    assert last.memory.predicted == pytest.approx(compiled_bytes(256) + overhead_bytes(256))
    assert found.cases[1].time.error_percent == pytest.approx(100 * (1 / 1.1 - 1), abs=0.5)
    assert "| 256 | 192 | 192 |" in markdown(found)


def test_a_fit_that_holds_the_size_itself_does_not_use_it() -> None:
    """Otherwise the prediction would be the measurement."""
    fitted = [*study(), record(96, slower=3.0)]
    (*_, last) = judge(fitted, [record(96)]).cases
    assert last.largest < 96
    assert last.time.error_percent == pytest.approx(0.0, abs=0.5)


def test_a_folder_without_a_fit_ends_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["--fitted", str(tmp_path), "--sizes", "96", "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith("error: the fit ")
    assert not out.exists()
