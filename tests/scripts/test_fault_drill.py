"""The drill counts what it injects, and continues where it was stopped."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

pytest.importorskip("jax", reason="the drill's caches name their jaxlib")
pytest.importorskip("biotite", reason="the drill damages caches of components")

from scripts.fault_drill import Drill, rows_of, write_result
from tests.support.faults.injected import Injected
from tests.support.faults.injections import KILLS

OTHER = "the folder is deleted"


def _kills(folder: Path, chance: Random) -> Injected:
    return Injected(3, [])


def _fails(folder: Path, chance: Random) -> Injected:
    return Injected(1, ["a trial is in the store twice"])


def _is_skipped(folder: Path, chance: Random) -> Injected:
    pytest.skip("only root can mount a file system")


def test_a_drill_continues_and_counts_faults_failures_and_skips(tmp_path: Path) -> None:
    drill = Drill(tmp_path, seed=1)
    drill.inject(KILLS, 0, _kills)
    drill.inject(KILLS, 1, _fails)
    continued = Drill(tmp_path, seed=1)
    assert continued.count(KILLS) == 4
    assert continued.missing(KILLS, 4) == [2, 3]
    continued.inject(OTHER, 0, _is_skipped)
    assert rows_of(continued.done) == [
        {"fault": KILLS, "injected": 4, "runs": 2, "failed": 1, "skipped": ""},
        {
            "fault": OTHER,
            "injected": 0,
            "runs": 1,
            "failed": 0,
            "skipped": "only root can mount a file system",
        },
    ]
    result = write_result(tmp_path, continued.done, "command")
    assert (result["injected"], result["failed"]) == (4, 1)
    table = (tmp_path / "fault-drill.md").read_text()
    assert f"| {KILLS} | 4 | 2 | 1 |" in table
    assert f"- {KILLS} 1: a trial is in the store twice" in table
