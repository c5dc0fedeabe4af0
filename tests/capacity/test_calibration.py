"""Calibration: the speed of a machine follows from its trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.calibration import Calibration, calibrate, earlier_calibration
from perfkit.errors import UserError
from perfkit.records.schema import Outcome
from tests.support.planted import record, study

CEILINGS = {"float32_flops_per_s": 1e11, "copy_bytes_per_s": 1e10}


def test_a_trial_three_times_as_slow_gives_a_factor_of_three() -> None:
    fit = assemble(study()).model_copy(update={"ceilings": CEILINGS})
    slow = {name: rate / 3 for name, rate in CEILINGS.items()}
    factor = calibrate([record(32, slower=3.0)], slow, None).factor(fit)
    assert factor.running == pytest.approx(3.0, rel=1e-6)
    assert factor.starting == pytest.approx(1.0, rel=1e-6)
    assert factor.spread == pytest.approx(1.0, rel=1e-6)


def test_ceilings_that_differ_from_the_trial_widen_the_interval() -> None:
    """Three times slower in the trial, six times in the copy: the interval widens by two."""
    fit = assemble(study()).model_copy(update={"ceilings": CEILINGS})
    slow = {"float32_flops_per_s": 1e11 / 3, "copy_bytes_per_s": 1e10 / 6}
    factor = calibrate([record(32, slower=3.0)], slow, None).factor(fit)
    assert factor.spread == pytest.approx(2.0, rel=1e-6)


def test_a_calibration_measures_its_own_law_of_cpus() -> None:
    records = [record(32), record(32, role="cpus", cpus=1, slower=1.5)]
    (trial,) = calibrate(records, CEILINGS, None).trials
    assert trial.cpus == 2
    assert trial.running_cpus is not None
    # 2/1.5 - 1 of the time of one CPU is serial.
    assert trial.running_cpus.serial == pytest.approx(1 / 3)


def test_a_saved_calibration_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    calibration = calibrate([record(32)], CEILINGS, None)
    calibration.save(path)
    assert Calibration.load(path) == calibration


def test_trials_of_other_presets_are_kept_and_the_same_is_replaced() -> None:
    first = calibrate([record(32)], CEILINGS, None)
    again = calibrate([record(32, slower=2.0)], CEILINGS, first)
    assert len(again.trials) == 1
    other = calibrate([record(32, settings={"bucket": "64"})], CEILINGS, again)
    assert len(other.trials) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"machine": {"host": "other", "digest": "another"}},
        {"versions": {"jaxlib": "9.9.9"}},
    ],
)
def test_trials_of_another_machine_or_other_packages_are_dropped(
    changed: dict[str, object],
) -> None:
    elsewhere = calibrate([record(32, settings={"bucket": "64"})], CEILINGS, None)
    calibration = calibrate([record(32)], CEILINGS, elsewhere.model_copy(update=changed))
    (kept,) = calibration.trials
    assert kept.settings == record(32).configuration.settings


def test_another_version_of_perfkit_keeps_earlier_trials() -> None:
    first = calibrate([record(32, settings={"bucket": "64"})], CEILINGS, None)
    newer = {**first.versions, "perfkit": "9.9", "perfkit_commit": "abcdef"}
    again = calibrate([record(32)], CEILINGS, first.model_copy(update={"versions": newer}))
    assert len(again.trials) == 2


def test_a_changed_digit_in_a_calibration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    calibrate([record(32)], CEILINGS, None).save(path)
    whole = path.read_text()
    digits = [at for at, letter in enumerate(whole) if letter.isdigit()]
    for at in digits:
        path.write_text(whole[:at] + ("8" if whole[at] == "9" else "9") + whole[at + 1 :])
        with pytest.raises(UserError, match=r"calibration"):
            Calibration.load(path)
    assert len(digits) > 100


def test_a_calibration_without_a_checksum_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    calibration = calibrate([record(32)], CEILINGS, None)
    calibration.save(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("checksum")))
    assert Calibration.load(path) == calibration


def test_an_unusable_calibration_is_renamed_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "calibration.toml"
    assert earlier_calibration(path) is None
    path.write_text("[")
    assert earlier_calibration(path) is None
    assert [each.name for each in tmp_path.iterdir()] == ["calibration.toml.unusable"]
    (said,) = caplog.messages
    assert "is not TOML" in said
    assert said.endswith("it is kept as calibration.toml.unusable and made again")


def test_a_failed_trial_is_refused() -> None:
    failed = record(32).model_copy(update={"outcome": Outcome.CRASHED, "reason": "SIGSEGV"})
    with pytest.raises(UserError, match="the trial of the calibration failed: crashed"):
        calibrate([failed], CEILINGS, None)


def test_trials_without_traced_parts_are_refused() -> None:
    untraced = record(32).model_copy(update={"part_times_s": None})
    with pytest.raises(UserError, match="the trials of the calibration have no traced parts"):
        calibrate([untraced], CEILINGS, None)


def test_a_calibration_of_another_model_is_refused() -> None:
    fit = assemble(study()).model_copy(update={"model": "gencast"})
    with pytest.raises(UserError, match="has no trial of gencast: run 'perfkit calibrate --model"):
        calibrate([record(32)], CEILINGS, None).factor(fit)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("\ncpus = 2", "\ncpus = true", "trials.0.cpus is True: input should be a valid integer"),
        ("\ncpus = 2", "\ncpus = 0", "trials.0.cpus is 0"),
        ("running_s = ", "running_s = -1", "trials.0.running_s is -1"),
        ("running_s = ", "running_s = nan # ", "trials.0.running_s is nan"),
        ('model = "af3"', 'model = "af4"', "the model is 'af4', expected one of af3, gencast"),
        ("n = 32", "g = 32", "trials.0: expected the features of af3: n, s"),
        ("copy_bytes_per_s = ", "copy_bytes_per_s = inf # ", "ceilings.copy_bytes_per_s is inf"),
        ("version = 3", "version = 4", "version is 4: input should be less than or equal to 3"),
    ],
)
def test_a_damaged_calibration_names_the_key(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    path = tmp_path / "calibration.toml"
    calibrate([record(32)], CEILINGS, None).save(path)
    text = "".join(line for line in path.open() if not line.startswith("checksum"))
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match="is not a calibration of 'perfkit calibrate': ") as refused:
        Calibration.load(path)
    assert expected in str(refused.value)


def test_a_machine_a_million_times_as_fast_is_refused() -> None:
    fit = assemble(study())
    with pytest.raises(UserError, match="one of them is wrong, measure again"):
        calibrate([record(32, slower=1e-6)], CEILINGS, None).factor(fit)


def test_impossible_ceilings_are_refused() -> None:
    fit = assemble(study()).model_copy(update={"ceilings": CEILINGS})
    odd = {**CEILINGS, "copy_bytes_per_s": 1.0}
    with pytest.raises(UserError, match=r"are 1e\+10 times further apart than the trial"):
        calibrate([record(32)], odd, None).factor(fit)


@pytest.mark.parametrize(
    ("text", "expected"), [("x = 1\n", "is not a calibration"), ("[", "is not TOML")]
)
def test_another_file_is_refused_as_a_calibration(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "calibration.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=expected):
        Calibration.load(path)
