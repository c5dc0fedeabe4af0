"""Options that say where a command runs, and the commands that look after a shared study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.api.shared.elsewhere import Elsewhere
from perfkit.cli.commands import cancel, status
from perfkit.cli.place_arguments import add_place_arguments, elsewhere_of
from perfkit.cli.workload_arguments import Parser
from perfkit.cluster.place import Options
from perfkit.errors import UserError
from perfkit.shared_study.leases import Silence, Worker
from tests.support.toy_worker import toy_plan, toy_record, toy_study


def _elsewhere(words: str) -> Elsewhere | None:
    parser = Parser(prog="perfkit sweep")
    add_place_arguments(parser)
    return elsewhere_of(parser.parse_args(words.split()))


def test_commands_run_in_this_process_by_default() -> None:
    assert _elsewhere("") is None
    assert _elsewhere("--on local") is None


def test_the_options_of_a_scheduler_are_passed_on() -> None:
    words = "--on slurm --partition cpu --time 90m --exclusive --array-limit 8 --no-follow "
    words += "--place-option account=lab=a --place-option hold"
    options = Options("cpu", 5400.0, True, None, 8, {"account": "lab=a", "hold": None})
    assert _elsewhere(words) == Elsewhere("slurm", options, script=False, follow=False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--partition cpu", "--partition is for workers: add --on slurm"),
        ("--script", "--script is for workers"),
        ("--array-limit 2 --script", "--script writes a script for Slurm"),
        ("--on slurm --cpus-per-worker 0", "--cpus-per-worker takes 1 or more"),
        ("--on slurm --time soon", "soon"),
        ("--on moon", "invalid choice"),
    ],
)
def test_options_that_exclude_each_other_are_refused(words: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        _elsewhere(words)


def test_no_worker_is_refused() -> None:
    with pytest.raises(UserError, match="--array-limit takes 1 or more, not 0"):
        Elsewhere("local", Options(workers=0)).check()


def test_a_status_shows_every_unit_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = toy_study(tmp_path, toy_plan([0.0, 0.0, 0.0]))
    silence = Silence(lambda: 0.0)
    for unit, node in zip(study.plan.units, ("n1", "n2"), strict=False):
        claim = study.claim(unit, Worker(node, "host", 1, node), silence)
        assert claim is not None
        if node == "n1":
            study.commit(claim, [toy_record("a", study)])
        else:
            claim.lease.release("ended by a signal")
    assert status.main([str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "toy of 3 units: 2 queued, 0 running, 1 done, 0 failed" in shown
    assert "given back by n2: ended by a signal" in shown
    assert status.main([str(tmp_path), "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert state["counts"] == {"queued": 2, "running": 0, "done": 1, "failed": 0}
    assert [unit["state"] for unit in state["units"]] == ["done", "queued", "queued"]
    assert cancel.main([str(tmp_path)]) == 0
    assert study.cancelled


@pytest.mark.parametrize("command", [status.main, cancel.main])
def test_a_folder_without_a_study_is_refused(command: object, tmp_path: Path) -> None:
    assert callable(command)
    with pytest.raises(UserError, match="is no shared study"):
        command([str(tmp_path)])
