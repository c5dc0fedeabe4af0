"""The worker of a shared study: refusals end in one sentence that ``perfkit status`` shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from perfkit.cluster.study_status import study_status
from perfkit.shared_study.plan import SharedPlan, Unit, write_plan
from perfkit.shared_study.study import SharedStudy


def _work(folder: Path, plan: SharedPlan) -> subprocess.CompletedProcess[str]:
    write_plan(folder, plan)
    return subprocess.run(
        [sys.executable, "-m", "perfkit.api.shared.worker", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )


def _plan(kind: str, folder: Path, **arguments: str) -> SharedPlan:
    unit = Unit(key="0123456789ab", label="a unit")
    return SharedPlan(kind=kind, arguments={**arguments}, folder=str(folder), units=(unit,))


def test_a_study_of_another_kind_is_refused(tmp_path: Path) -> None:
    done = _work(tmp_path, _plan("dance", tmp_path))
    assert (done.returncode, "kind 'dance', which has no units" in done.stderr) == (2, True)


def test_arguments_that_a_node_cannot_take_are_shown_by_the_status(tmp_path: Path) -> None:
    done = _work(tmp_path, _plan("sweep", tmp_path, model="gencats"))
    assert done.returncode == 2
    assert done.stderr == "perfkit: unknown model 'gencats'; the nearest is 'gencast'\n"
    study = SharedStudy(tmp_path)
    (ending,) = study_status(study, []).endings
    assert ending.endswith("ended: unknown model 'gencats'; the nearest is 'gencast'")


def test_a_call_that_a_node_cannot_make_is_given_back(tmp_path: Path) -> None:
    """The sizes are none."""
    done = _work(tmp_path, _plan("fit", tmp_path, model="af3", sizes="none"))
    assert done.returncode == 0, done.stderr
    study = SharedStudy(tmp_path)
    (unit,) = study_status(study, []).units
    assert unit.state == "queued"
    assert "failed: " in unit.why
