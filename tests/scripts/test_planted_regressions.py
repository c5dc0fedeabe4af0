"""The demonstration script finds a slowdown that is larger than any noise, and a changed answer."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "planted_regressions.py"

pytest.importorskip("trimesh", reason="the plants are in GenCast")


@pytest.mark.long
def test_asv_finds_a_planted_slowdown_and_a_planted_change_of_the_answer() -> None:
    # Four times as slow, which one pass of each process shows next to other tests.
    small = ("--slowdown", "3.0", "--processes", "8", "--rounds", "1", "--no-control", "--brief")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *small], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    slow, answer = done.stdout.split("== the noise level's features")
    assert "PERFORMANCE DECREASED" in slow
    assert "gencast.GenCastParts.time_steady" in slow
    assert "gencast.GenCastAnswers.track_agreement_distance" in answer
    assert "ANSWER CHANGED" in answer
