"""Following a study that workers run: Ctrl-C ends the command, not the study."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from perfkit.api.shared.elsewhere import Call, Elsewhere, follow, share
from perfkit.cluster.place import Options
from perfkit.shared_study.plan import read_plan
from tests.support.toy_worker import toy_plan, toy_study


def test_ctrl_c_ends_the_following_and_not_the_study(tmp_path: Path) -> None:
    """The job is this process, which runs."""
    study = toy_study(tmp_path, toy_plan([60.0]))
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    study.notes.note_jobs("local", [f"{socket.gethostname()}:{os.getpid()}-{started}"])
    said: list[str] = []

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(study, said.append, interrupt)
    assert said[-1] == "no longer followed; the study goes on without this command"
    assert not study.cancelled
    assert len(study.open_units()) == 1


def test_the_plan_says_how_many_workers_share_a_growing_study(tmp_path: Path) -> None:
    units = toy_plan([0.0]).units
    where = Elsewhere("slurm", Options(exclusive=True, workers=3), script=True)
    call = Call("tune", {"model": "heat"}, units, grows=True)
    assert share(tmp_path, call, where, print) is None
    plan = read_plan(tmp_path)
    assert (plan.grows, plan.workers) == (True, 3)
