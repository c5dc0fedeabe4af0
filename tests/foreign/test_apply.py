"""``perfkit.apply`` applies a preset to the process that calls it, before JAX is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.foreign.conftest import Finished, Lab

pytest.importorskip("jax", reason="the script runs it")


def script(lab: Lab, code: str) -> Finished:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=lab.program.parent,
        env=lab.environment,
        capture_output=True,
        text=True,
        check=False,
    )


APPLIES = """
import os, perfkit
applied = perfkit.apply({preset!r}, bucket_step=20)
from heatlab import solver
print(solver.solve(16).shape[0], len(os.sched_getaffinity(0)))
print(applied)
"""


def test_a_preset_is_applied_and_its_programs_are_kept(lab: Lab) -> None:
    knobs = "padded = '32'\ncpus = 1\nallocator = 'glibc-keep'\nxla_cpu_use_onednn = true"
    code = APPLIES.format(preset=lab.preset(knobs))
    finished = script(lab, code)
    assert finished.returncode == 0, finished.stderr
    result, *lines = finished.stdout.splitlines()
    assert result == "40 1"
    why = "an allocator is chosen when a process starts; run the program with"
    assert lines[0].startswith(f"allocator=glibc-keep: not applied: {why}")
    assert lines[1:3] == ["cpus=1: applied in 1 process", "padded=32: applied once"]
    assert lines[3].startswith("xla_cpu_use_onednn=true: applied to ")
    assert "UserWarning: allocator is not applied: an allocator is chosen" in finished.stderr
    assert "Exception" not in finished.stderr
    kept = list((lab.folder / "cache" / "foreign-programs").rglob("*-cache.*"))
    assert any("lambda" in path.name for path in kept)


COMES_TOO_LATE = """
import os, perfkit
from perfkit.foreign.plan import PLAN_VARIABLE, ForeignPlan

def refused():
    try:
        perfkit.apply({preset!r})
    except perfkit.UserError as error:
        print(error)

os.environ[PLAN_VARIABLE] = ForeignPlan("/tmp/none", settings={{"padded": "32"}}).to_json()
refused()
os.environ[PLAN_VARIABLE] = ForeignPlan("/tmp/none", guard="lift").to_json()
perfkit.apply({preset!r})
refused()
import jaxlib
refused()
"""


def test_what_comes_too_late_is_refused(lab: Lab) -> None:
    finished = script(lab, COMES_TOO_LATE.format(preset=lab.preset("padded = '32'")))
    assert finished.returncode == 0, finished.stderr
    under_exec, twice, late = finished.stdout.splitlines()
    assert under_exec.startswith("perfkit exec has applied a preset to this process already")
    assert twice.startswith("perfkit.apply has applied a preset to this process already")
    assert late.startswith("jaxlib is imported already, and reads its settings only then")
