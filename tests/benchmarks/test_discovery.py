"""asv takes whatever is named like a benchmark for one, also what a module has only imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

asv = pytest.importorskip("asv", reason="asv discovers the benchmarks")
pytest.importorskip("jax", reason="the benchmarks import JAX")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SUITES = {"af3", "gencast", "itself"}


def test_asv_discovers_the_suites_and_nothing_else(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    script = Path(asv.__file__).parent / "benchmark.py"
    done = subprocess.run(
        [sys.executable, script, "discover", BENCHMARKS, result],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text(encoding="utf-8"))
    assert {one["name"].split(".")[0] for one in found if "name" in one} == SUITES
