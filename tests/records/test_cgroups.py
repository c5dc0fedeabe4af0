"""Nested control groups of both versions, in temporary folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from perfkit.records.cgroups import CgroupLimits, cgroup_limits, lineage, memory_cgroup

NONE_V1 = str(2**63 - 4096)
"""Text of version 1 for no limit."""


def _made(folder: Path, process: str, files: Mapping[str, str]) -> tuple[Path, Path]:
    """A root of control groups, and a folder of processes with the process ``self``."""
    root, proc = folder / "cgroup", folder / "proc"
    root.mkdir()
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(process)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root, proc


def test_the_tightest_limit_of_nested_groups_of_version_2_is_in_force(tmp_path: Path) -> None:
    root, proc = _made(
        tmp_path,
        "0::/slurm/job/step\n",
        {
            "slurm/memory.max": "9000",
            "slurm/memory.current": "8500",
            "slurm/memory.stat": "anon 8000\ninactive_file 100",
            "slurm/job/memory.max": "4000",
            "slurm/job/memory.current": "1000",
            "slurm/job/step/memory.max": "max",
            "slurm/job/step/cpu.max": "max 100000",
            "slurm/job/cpu.max": "150000 100000",
            "slurm/cpu.max": "400000 100000",
        },
    )
    # The job has the smallest limit, but less is left to its parent: 9000 - (8500 - 100).
    assert cgroup_limits(root=root, proc=proc) == CgroupLimits(4000, 600, 1.5)


def test_the_tightest_limit_of_nested_groups_of_version_1_is_in_force(tmp_path: Path) -> None:
    root, proc = _made(
        tmp_path,
        "4:memory:/slurm/job\n3:cpu,cpuacct:/slurm/job\n0::/\n",
        {
            "memory/memory.limit_in_bytes": NONE_V1,
            "memory/slurm/memory.limit_in_bytes": "5000",
            "memory/slurm/memory.usage_in_bytes": "4000",
            "memory/slurm/memory.stat": "total_inactive_file 500",
            "memory/slurm/job/memory.limit_in_bytes": NONE_V1,
            "cpu/slurm/cpu.cfs_quota_us": "50000",
            "cpu/slurm/cpu.cfs_period_us": "100000",
            "cpu/slurm/job/cpu.cfs_quota_us": "-1",
            "cpu/slurm/job/cpu.cfs_period_us": "100000",
        },
    )
    assert cgroup_limits(root=root, proc=proc) == CgroupLimits(5000, 1500, 0.5)


def test_a_container_has_the_limit_of_the_groups_above_it(tmp_path: Path) -> None:
    root, proc = _made(
        tmp_path,
        "4:memory:/docker/abc\n",
        {
            "memory/memory.limit_in_bytes": NONE_V1,
            "memory/memory.usage_in_bytes": "100",
            "memory/memory.stat": "hierarchical_memory_limit 700\ntotal_inactive_file 0",
        },
    )
    assert [group.folder for group in lineage("memory", root=root, proc=proc)] == [root / "memory"]
    assert cgroup_limits(root=root, proc=proc) == CgroupLimits(700, 600, None)


def test_memory_high_is_a_limit(tmp_path: Path) -> None:
    files = {"a/memory.max": "max", "a/memory.high": "300", "a/memory.current": "100"}
    root, proc = _made(tmp_path, "0::/a\n", files)
    assert cgroup_limits(root=root, proc=proc) == CgroupLimits(300, 200, None)


@pytest.mark.parametrize("process", ["", "0::/\n", "0::/../../elsewhere\n", "12:memory:/gone\n"])
def test_a_machine_without_limits_has_none(tmp_path: Path, process: str) -> None:
    root, proc = _made(tmp_path, process, {})
    assert cgroup_limits(root=root, proc=proc) == CgroupLimits()
    assert cgroup_limits(pid=0, root=root, proc=proc) == CgroupLimits()


def test_kills_are_counted_in_both_versions(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    (memory / "memory.limit_in_bytes").write_text(NONE_V1)
    (memory / "memory.failcnt").write_text("83\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    groups = lineage("memory", root=tmp_path, proc=_one_process(tmp_path, "1:memory:/\n"))
    assert groups[0].counts() == {"event_max": 83, "event_oom_kill": 2}
    (tmp_path / "memory.events").write_text("max 5\noom 1\noom_kill 1\n")
    groups = lineage("memory", root=tmp_path, proc=_one_process(tmp_path, "0::/\n"))
    assert groups[0].counts() == {"event_max": 5, "event_oom": 1, "event_oom_kill": 1}


def test_a_finished_process_has_no_group() -> None:
    assert memory_cgroup(2**30) is None


def _one_process(folder: Path, text: str) -> Path:
    proc = folder / "proc"
    (proc / "self").mkdir(parents=True, exist_ok=True)
    (proc / "self" / "cgroup").write_text(text)
    return proc
