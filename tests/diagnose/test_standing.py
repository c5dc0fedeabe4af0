"""A jaxlib is examined once per build, CPU and flags; its wrong answers are warned of once."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.api.progress import LineProgress
from perfkit.api.versions.jaxlib_check import jaxlib_warnings
from perfkit.cli.console import Console
from perfkit.diagnose.diagnosis import Answer, Diagnosis
from perfkit.diagnose.examiner import NotStartedError, Setup
from perfkit.diagnose.standing import is_examined, jaxlib_warning
from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model
from perfkit.records.stages import StageName
from perfkit.trial.conditions.jaxlib_standing import (
    CHECK_VARIABLE,
    Standing,
    known_standing,
    standing_notices,
    store_standing,
)
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.request import TrialRequest
from tests.support.three_numbers import start_three_numbers, three_numbers

BUILD = "0.10.2+abc"
WARNING = (
    "jaxlib 0.10.2 gives 2 of 3 known answers wrong on this CPU (sums, arctan): "
    "perfkit doctor shows what mends them"
)
WRONG = Standing("0.10.2", "", 3, ("sums", "arctan"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(CHECK_VARIABLE, raising=False)


class Examine:
    """Finds two of three answers wrong, unless a flag is set; keeps the setups."""

    def __init__(self) -> None:
        self.setups: list[Setup] = []

    def __call__(self, setup: Setup) -> Diagnosis:
        self.setups.append(setup)
        right = "--xla_y=" in setup.xla_flags
        return Diagnosis(
            "0.10.2",
            setup.xla_flags,
            (Answer("sums", right), Answer("arctan", right), Answer("sorting", True)),
        )


def test_a_jaxlib_is_examined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Trials run without the flags of the shell.
    monkeypatch.setenv("XLA_FLAGS", "--xla_y=")
    examine = Examine()
    assert not is_examined(build=BUILD)
    assert [jaxlib_warning(build=BUILD, examine=examine) for _ in range(2)] == [WARNING] * 2
    assert is_examined(build=BUILD)
    assert [setup.xla_flags for setup in examine.setups] == [""]


def test_other_flags_and_builds_are_examined_themselves() -> None:
    examine = Examine()
    assert jaxlib_warning("--xla_y=", build=BUILD, examine=examine) is None
    assert jaxlib_warning("--xla_y=", build=BUILD, examine=examine) is None
    assert len(examine.setups) == 1
    warning = jaxlib_warning("--xla_z=1", build=BUILD, examine=examine)
    assert warning is not None
    assert "on this CPU under XLA_FLAGS='--xla_z=1' (sums, arctan)" in warning
    jaxlib_warning("--xla_z=1", build="0.11.0+def", examine=examine)
    assert len(examine.setups) == 3


def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    examine = Examine()
    jaxlib_warning(build=BUILD, examine=examine)
    (file,) = (tmp_path / "cache" / "known-answers").iterdir()
    file.write_bytes(file.read_bytes().replace(b"arctan", b"arcsin"))
    assert known_standing("", BUILD) is None
    assert jaxlib_warning(build=BUILD, examine=examine) == WARNING
    assert len(examine.setups) == 2


def test_a_folder_that_cannot_be_made_costs_only_the_memory_of_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    occupied = tmp_path / "file"
    occupied.touch()
    monkeypatch.setenv("PERFKIT_CACHE", str(occupied))
    examine = Examine()
    assert [jaxlib_warning(build=BUILD, examine=examine) for _ in range(2)] == [WARNING] * 2
    assert len(examine.setups) == 2
    assert "cannot be created" in caplog.messages[0]


def test_the_check_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECK_VARIABLE, "off")
    examine = Examine()
    assert is_examined(build=BUILD)
    assert jaxlib_warning(build=BUILD, examine=examine) is None
    assert examine.setups == []


def test_a_jaxlib_that_does_not_start_is_left_to_the_trial() -> None:
    def refuse(setup: Setup) -> Diagnosis:
        raise NotStartedError("XLA does not start")

    assert jaxlib_warning("--xla_no=1", build=BUILD, examine=refuse) is None
    assert not is_examined("--xla_no=1", build=BUILD)


def test_the_warning_is_shown_once_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jaxlib", reason="the installed build has the standing")
    store_standing(WRONG)
    console, model = Console(), get_model("gencast")
    workload = model.workload({"resolution": 10.0, "mesh": 1}, {})
    console.announce(model, [workload], jaxlib_warnings(console))
    request = TrialRequest(three_numbers(), STOCK, tmp_path, last_stage=StageName.TRACE)
    record = run_trial(TrialProcess(request, start_child=start_three_numbers), 0)
    console.record(record, tmp_path)
    assert record.notices.count(WARNING) == 1
    shown = capsys.readouterr().out
    assert shown.count(WARNING) == 1
    assert f"warning: {WARNING}" in shown


@pytest.mark.slow
def test_the_installed_jaxlib_is_examined_by_the_first_command_only() -> None:
    pytest.importorskip("jaxlib", reason="the installed build is examined")
    lines: list[str] = []
    for _ in range(2):
        assert jaxlib_warnings(LineProgress(lines.append)) == ()
    assert lines == ["known answers of jaxlib, examined once on this CPU"]
    assert is_examined()


def test_flags_that_were_not_examined_have_the_notice_of_stock() -> None:
    assert standing_notices("--xla_y=", BUILD) == ()
    store_standing(WRONG, BUILD)
    assert standing_notices("--xla_y=", BUILD) == (WARNING,)
    store_standing(Standing("0.10.2", "--xla_y=", 3, ()), BUILD)
    assert standing_notices("--xla_y=", BUILD) == ()
    assert standing_notices("", BUILD) == (WARNING,)
