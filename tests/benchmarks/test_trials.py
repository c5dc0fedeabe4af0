"""The trials behind the models' benchmarks, on a model that runs in milliseconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.plugin import install

pytest.importorskip("jax", reason="the trials are real")

ROOT = Path(__file__).parents[2]

PRESET = """
model = "heat"

[knobs]
padded = "32"
"""

MEASURE = """
import json
import sys
from pathlib import Path

from benchmarks.trials import Subject, measure_in_turns

folder = Path(sys.argv[1])
subject = Subject("heat", {16: {"edge": 16}}, folder / "preset.toml")
found = measure_in_turns(subject, folder)
print(json.dumps([[*key, [(r.outcome, len(r.steady)) for r in found[key]]] for key in found]))
"""


def test_every_process_of_both_configurations_has_its_passes(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (tmp_path / "preset.toml").write_text(PRESET)
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(install(packages)),
            "PERFKIT_BENCH_PROCESSES": "2",
            "PERFKIT_BENCH_PASSES": "3",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert measured.returncode == 0, measured.stderr
    assert json.loads(measured.stdout) == [
        [16, "stock", [["ok", 3], ["ok", 3]]],
        [16, "recommended", [["ok", 3], ["ok", 3]]],
    ]
