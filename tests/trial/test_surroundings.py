"""What is set or limited around perfkit: kept from a trial, recorded, and said once."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.cli.console import Console
from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model
from perfkit.records.restrictions import Restrictions
from perfkit.records.schema import Outcome, Record
from perfkit.trial.conditions import surroundings
from perfkit.trial.conditions.neighbours import Neighbour
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.messages import TRACE_STAGE

FOREIGN = {
    # XLA aborts over a flag that it does not know, and what is not jitted cannot be lowered.
    "XLA_FLAGS": "--xla_no_such_flag=1",
    "JAX_DISABLE_JIT": "1",
    "JAX_DEBUG_NANS": "1",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
}
SENTENCE = "set here, but left out of trials: "


@pytest.fixture(autouse=True)
def _foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)


def test_variables_of_the_shell_do_not_reach_a_trial_and_are_recorded(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="trials run the gencast extra")
    pytest.importorskip("h5netcdf", reason="trials run the gencast extra")
    workload = get_model("gencast").workload({"resolution": 10.0, "mesh": 1}, {})
    trial = TrialProcess(workload, STOCK, tmp_path, last_stage=TRACE_STAGE)
    record = run_trial(trial, 0)
    assert record.outcome is Outcome.OK, record.reason
    # What is kept is what is read: a line of JSON.
    read = Record.model_validate_json(record.model_dump_json())
    assert FOREIGN.items() <= read.left_out_variables.items()
    assert any(notice.startswith(SENTENCE) for notice in read.notices)
    assert read.restrictions.allowed_cpus == read.allowed_cpus


def test_they_are_said_once_with_limits_and_neighbours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = get_model("gencast")
    workload = model.workload({"resolution": 10.0, "mesh": 1}, {})
    limits = Restrictions(nice=5)
    monkeypatch.setattr(surroundings, "restrictions_here", lambda: (limits, ["niceness is 5"]))
    monkeypatch.setattr(surroundings, "neighbours", lambda: [Neighbour(7, "perfkit tune", True)])
    console = Console()
    console.workload(workload, model)
    console.workload(workload, model)
    said = capsys.readouterr().out
    assert said.count("warning: niceness is 5") == 1
    assert said.count(f"warning: {SENTENCE}") == 1
    assert "XLA_FLAGS=--xla_no_such_flag=1" in said
    assert said.count("warning: another perfkit is measuring on this machine") == 1
