"""The machine's fingerprint, and what is free on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.records import machine
from perfkit.records.cgroups import CgroupLimits
from perfkit.records.restrictions import Restrictions


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    code = "from perfkit.records.machine import fingerprint; print(fingerprint()['digest'])"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == machine.fingerprint()["digest"]


def test_the_fingerprint_says_what_the_kernel_says() -> None:
    facts = machine.fingerprint()
    assert facts["logical_cpus"] == os.cpu_count()
    kilobytes = next(
        line.split()[1]
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    assert facts["memory_bytes"] == int(kilobytes) * 1024
    assert facts["kernel"] == Path("/proc/sys/kernel/osrelease").read_text().strip()


def test_another_cpu_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine.fingerprint()["digest"]
    monkeypatch.setattr(machine, "_cpu_information", lambda: {"model name": "another"})
    assert machine.fingerprint()["digest"] != here


@pytest.mark.parametrize(
    ("limits", "own", "expected"),
    [
        (CgroupLimits(), Restrictions(), 1000),
        (CgroupLimits(memory_bytes=600, memory_left_bytes=500), Restrictions(), 500),
        (CgroupLimits(memory_bytes=5000, memory_left_bytes=4900), Restrictions(), 1000),
        (CgroupLimits(), Restrictions(address_bytes=700), 700),
        (CgroupLimits(memory_left_bytes=500), Restrictions(data_bytes=300), 300),
        # Linux does not keep to ulimit -m.
        (CgroupLimits(), Restrictions(resident_bytes=10), 1000),
    ],
)
def test_free_memory_is_what_the_tightest_limit_leaves(
    monkeypatch: pytest.MonkeyPatch, limits: CgroupLimits, own: Restrictions, expected: int
) -> None:
    class Memory:
        available = 1000

    monkeypatch.setattr(machine, "cgroup_limits", lambda: limits)
    monkeypatch.setattr(machine, "restrictions", lambda groups: own)
    monkeypatch.setattr(machine.psutil, "virtual_memory", Memory)
    assert machine.available_memory_bytes() == expected


def test_a_limited_control_group_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine.fingerprint()["digest"]
    limited = CgroupLimits(memory_bytes=2**30, cpus=1.5)
    monkeypatch.setattr(machine, "cgroup_limits", lambda: limited)
    facts = machine.fingerprint()
    assert facts["cgroup_cpu_max"] == "1.5 CPUs"
    assert facts["cgroup_memory_max"] == "1073741824"
    assert facts["digest"] != here


def test_versions_can_be_told_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    machine._commit.cache_clear()
    told = machine.versions()
    machine._commit.cache_clear()
    assert told["perfkit_commit"] is None
    assert told["python"] == ".".join(str(part) for part in sys.version_info[:3])
