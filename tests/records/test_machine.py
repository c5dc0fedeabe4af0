"""The machine's fingerprint, and what is free on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.records import machine


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
    ("limit", "used", "expected"),
    [("max", "5", 1000), ("600", "100", 500), ("5000", "100", 1000), (None, None, 1000)],
)
def test_free_memory_is_what_the_cgroup_leaves(
    monkeypatch: pytest.MonkeyPatch, limit: str | None, used: str | None, expected: int
) -> None:
    class Memory:
        available = 1000

    files = {"memory.max": limit, "memory.current": used}
    monkeypatch.setattr(machine, "_cgroup_limit", files.__getitem__)
    monkeypatch.setattr(machine.psutil, "virtual_memory", Memory)
    assert machine.available_memory_bytes() == expected


def test_versions_can_be_told_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    told = machine.versions()
    assert told["perfkit_commit"] is None
    assert told["python"] == ".".join(str(part) for part in sys.version_info[:3])
