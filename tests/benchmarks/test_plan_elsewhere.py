"""A fit of one machine, held against measurements of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scripts.plan_elsewhere import Pair, judge, main, markdown
from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.calibration import calibrate
from perfkit.records.store import Store
from tests.support.planted import SETTINGS, compiled_bytes, overhead_bytes, record, study

CEILINGS = {"copy_bytes_per_s": 1e10}


def test_errors_are_those_of_the_transferred_fit() -> None:
    """The machine is half as fast; at 128 tokens it takes a tenth more than that."""
    fit = assemble(study()).model_copy(update={"ceilings": CEILINGS})
    half = {"copy_bytes_per_s": 0.5e10}
    calibration = calibrate([record(48, slower=2.0)], half, None)
    pair = judge(fit, calibration, [record(128, slower=2.2), record(64, slower=2.0)])
    within, beyond = pair.cases
    assert (within.size, within.beyond, beyond.size, beyond.beyond) == (64, False, 128, True)
    assert within.time.error_percent == pytest.approx(0.0, abs=0.01)
    assert beyond.time.error_percent == pytest.approx(100 * (1 / 1.1 - 1), abs=0.01)
    assert within.time.inside
    assert beyond.memory_with_compiler.predicted == pytest.approx(
        compiled_bytes(128) + overhead_bytes(128)
    )
    assert pair.factors["trunk_pass"] == pytest.approx(2.0)
    assert pair.ceilings == {"copy_bytes_per_s": 0.5}
    assert pair.spread == pytest.approx(1.0)
    assert "| 128 (beyond the fit) |" in markdown(pair)


def test_trials_that_a_machine_left_calibrate_and_are_predicted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = tmp_path / "fit.json"
    assemble(study()).save(fit)
    left = Store(tmp_path / "left")
    left.append(record(48, slower=2.0))
    other = record(48, slower=9.0, settings={}, role="single")
    slow, quick = (
        record(80, slower=each, role="confirm", settings=SETTINGS | {"precision": "float32"})
        for each in (2.2, 2.0)
    )
    measured = Store(tmp_path / "measured")
    for one, name in ((other, "other"), (slow, "slow"), (quick, "quick")):
        measured.append(one.model_copy(update={"id": name}))
    words = ["--fit", str(fit), "--calibration-trials", str(left.folder), "--measured-trials"]
    words += [str(measured.folder), "--taken", "msa_rows=needed", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    pair = Pair.model_validate_json((tmp_path / "out" / "elsewhere.json").read_text())
    (case,) = pair.cases
    assert (case.size, case.processes, case.passes) == (80, 2, 2)
    assert case.time.error_percent == pytest.approx(100 * (2.0 / 2.1 - 1), abs=0.1)
    assert pair.measured == [slow.configuration.label]
    assert "Rates here" not in capsys.readouterr().out
    assert main([*words, "--taken", "kernels=native"]) == 2
    assert "has no successful trial" in capsys.readouterr().err


def test_files_that_are_not_there_end_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--fit", str(tmp_path / "f"), "--calibration", "c", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: the fit ")
    assert not (tmp_path / "out").exists()
