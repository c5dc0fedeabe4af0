"""Binding: instances that share a machine get CPUs of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOW = (
    "import os, json, sys; print(json.dumps(sorted(os.sched_getaffinity(0))), flush=True); "
    "sys.stdin.read()"
)
CPUS = sorted(os.sched_getaffinity(0))

needs_two = pytest.mark.skipif(len(CPUS) < 2, reason="two CPUs are needed to tell them apart")


def _start(folder: Path, count: int) -> subprocess.Popen[str]:
    bind = [sys.executable, "-m", "perfkit.cluster.bind", str(count), "--"]
    return subprocess.Popen(
        [*bind, sys.executable, "-c", SHOW],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def _cpus(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    told: list[int] = json.loads(process.stdout.readline())
    return told


@needs_two
def test_two_instances_get_different_cpus_and_a_third_waits(tmp_path: Path) -> None:
    first, second = _start(tmp_path, 1), _start(tmp_path, 1)
    taken = [_cpus(first), _cpus(second)]
    assert sorted(cpu for (cpu,) in taken) == CPUS[:2] or len(CPUS) > 2
    assert taken[0] != taken[1]
    if len(CPUS) == 2:
        third = _start(tmp_path, 1)
        with pytest.raises(subprocess.TimeoutExpired):
            third.wait(1.5)
        first.communicate()
        assert _cpus(third) == taken[0]
        third.communicate()
    else:
        first.communicate()
    second.communicate()


def test_where_the_batch_system_has_bound_the_cpus_they_are_kept(tmp_path: Path) -> None:
    all_of_them = _start(tmp_path, len(CPUS))
    assert _cpus(all_of_them) == CPUS
    all_of_them.communicate()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["100000", "--", "true"], "100000 CPUs are asked for"),
        (["0", "--", "true"], "usage:"),
        (["1", "true"], "usage:"),
        ([], "usage:"),
        ([str(len(CPUS)), "--", "/no/such/program"], "cannot be run"),
    ],
)
def test_what_cannot_be_bound_is_refused(arguments: list[str], told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "perfkit.cluster.bind", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
