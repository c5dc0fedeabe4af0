"""Variables and limits around perfkit: kept from a trial, recorded, and shown before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.cli.console import Console
from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model
from perfkit.records.restrictions import Restrictions
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import StageName
from perfkit.trial.conditions.inherited import Inherited, sentences_before_measuring
from perfkit.trial.conditions.neighbours import Neighbour
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.request import TrialRequest
from tests.support.three_numbers import start_three_numbers, three_numbers

FOREIGN = {
    # XLA aborts over an unknown flag, and a function that is not jitted cannot be lowered.
    "XLA_FLAGS": "--xla_no_such_flag=1",
    "JAX_DISABLE_JIT": "1",
    "JAX_DEBUG_NANS": "1",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
}
SENTENCE = "set here, but left out of trials: "


def _set_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)


def test_variables_of_the_shell_do_not_reach_a_trial_and_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # JAX reads its variables when it is imported: this process must have done so before.
    pytest.importorskip("jax", reason="the worker of this trial runs JAX")
    _set_foreign(monkeypatch)
    request = TrialRequest(three_numbers(), STOCK, tmp_path, last_stage=StageName.TRACE)
    record = run_trial(TrialProcess(request, start_child=start_three_numbers), 0)
    assert record.outcome is Outcome.OK, record.reason
    # What is kept is what is read: a line of JSON.
    read = Record.model_validate_json(record.model_dump_json())
    assert FOREIGN.items() <= read.left_out_variables.items()
    assert any(notice.startswith(SENTENCE) for notice in read.notices)
    assert read.restrictions.allowed_cpus == read.allowed_cpus


def test_limits_and_neighbours_are_warnings_before_the_first_trial() -> None:
    inherited = Inherited({}, {}, Restrictions(nice=5), ("niceness is 5",))
    assert sentences_before_measuring(inherited, [Neighbour(7, "perfkit tune", True)]) == [
        "niceness is 5",
        "another perfkit is measuring on this machine (perfkit tune in process 7) on the same "
        "CPUs: they make each other's times longer and less certain",
    ]
    assert sentences_before_measuring(inherited, []) == ["niceness is 5"]


def test_the_terminal_shows_them_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _set_foreign(monkeypatch)
    model = get_model("gencast")
    workload = model.workload({"resolution": 10.0, "mesh": 1}, {})
    console = Console()
    console.workload(workload, model)
    console.workload(workload, model)
    shown = capsys.readouterr().out
    assert shown.count(f"warning: {SENTENCE}") == 1
    assert "XLA_FLAGS=--xla_no_such_flag=1" in shown
