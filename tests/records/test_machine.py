"""Fingerprint of the machine, its available memory, and the versions of packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.records.cgroups import CgroupLimits
from perfkit.records.machine import (
    CPU_INFORMATION,
    bounded_memory_bytes,
    cpu_identity,
    fingerprint,
)
from perfkit.records.restrictions import Restrictions


def _python(code: str, **variables: str) -> str:
    completed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **variables},
    )
    return completed.stdout.strip()


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    code = "from perfkit.records.machine import fingerprint; print(fingerprint().digest)"
    assert _python(code) == fingerprint().digest


def test_the_fingerprint_agrees_with_the_kernel() -> None:
    facts = fingerprint()
    assert facts.logical_cpus == os.cpu_count()
    kilobytes = next(
        line.split()[1]
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    assert facts.memory_bytes == int(kilobytes) * 1024
    assert facts.kernel == Path("/proc/sys/kernel/osrelease").read_text().strip()


def test_a_machine_with_another_cpu_has_another_digest(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Another CPU\nflags\t\t: fpu avx2 amx_bf16\n\n"
        "processor\t: 1\nmodel name\t: Not the first\nflags\t\t: fpu\n"
    )
    facts = fingerprint(tmp_path / "cpuinfo")
    assert (facts.cpu, facts.instruction_sets) == ("Another CPU", ["avx2", "amx_bf16"])
    assert facts.digest != fingerprint().digest


def test_a_cpu_is_identified_by_all_of_its_flags_in_any_order(tmp_path: Path) -> None:
    def identity(flags: str) -> object:
        file = tmp_path / "cpuinfo"
        file.write_text(f"model name\t: Test CPU\nflags\t\t: {flags}\n\nmodel name\t: other\n")
        return cpu_identity(file)

    assert identity("avx2 fma") == identity("fma avx2")
    assert identity("avx2 fma") != identity("avx2 fma serialize")


def test_a_machine_with_limited_control_groups_has_another_digest() -> None:
    facts = fingerprint(CPU_INFORMATION, CgroupLimits(memory_bytes=2**30, cpus=1.5))
    assert facts.cgroup_cpu_max == "1.5 CPUs"
    assert facts.cgroup_memory_max == "1073741824"
    assert facts.digest != fingerprint().digest


@pytest.mark.parametrize(
    ("limits", "own", "expected"),
    [
        (CgroupLimits(), Restrictions(), 1000),
        (CgroupLimits(memory_bytes=600, memory_left_bytes=500), Restrictions(), 500),
        (CgroupLimits(memory_bytes=5000, memory_left_bytes=4900), Restrictions(), 1000),
        (CgroupLimits(), Restrictions(address_bytes=700), 700),
        (CgroupLimits(memory_left_bytes=500), Restrictions(data_bytes=300), 300),
        # Linux ignores ulimit -m.
        (CgroupLimits(), Restrictions(resident_bytes=10), 1000),
    ],
)
def test_available_memory_is_what_the_tightest_limit_leaves(
    limits: CgroupLimits, own: Restrictions, expected: int
) -> None:
    assert bounded_memory_bytes(1000, limits, own) == expected


def test_versions_are_known_without_git() -> None:
    code = (
        "import json; from perfkit.records.machine import versions; print(json.dumps(versions()))"
    )
    found = json.loads(_python(code, PATH=""))
    assert found["perfkit_commit"] is None
    assert found["python"] == ".".join(str(part) for part in sys.version_info[:3])
