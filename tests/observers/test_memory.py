"""The memory observer on programs of known memory use."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perfkit.observers.memory import Memory, MemoryResult, kilobyte_fields
from perfkit.observers.observer import ObservedRun
from perfkit.records.cgroups import memory_cgroup
from perfkit.trial.messages import parse_event
from tests.support.profiled_programs import observed
from tests.support.records_factory import make_stage

pytestmark = pytest.mark.alone

MEGABYTE = 1 << 20
HOLD = """
import mmap, time
held = mmap.mmap(-1, {megabytes} << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
[held.__setitem__(at, 1) for at in range(0, {megabytes} << 20, 4096)]
print("held", flush=True)
time.sleep(1.5)
"""


def test_an_allocation_is_counted_by_kind_and_in_its_stage(tmp_path: Path) -> None:
    observer = Memory()
    with observed(
        [observer], "import time\ntime.sleep(1)" + HOLD.format(megabytes=200), tmp_path
    ) as (
        process,
        begin_s,
    ):
        assert process.stdout is not None
        process.stdout.readline()
        held_s = time.monotonic() - begin_s
        process.wait()
    before = make_stage("prepare", 0.3, 0.5, peak_rss_bytes=0)
    during = make_stage("steady", held_s + 0.1, 1.0, peak_rss_bytes=0)
    seen = MemoryResult.model_validate(observer.results(ObservedRun((before, during), None)).data)
    gained = seen.peaks["steady"]["anonymous"] - seen.peaks["prepare"]["anonymous"]
    assert gained == pytest.approx(200 * MEGABYTE, rel=0.02)
    assert max(seen.pss) > 200 * MEGABYTE
    assert len(seen.time_s) == len(seen.anonymous) == len(seen.file) == len(seen.shared)


AT_ITS_END = """
import hashlib, os
from pathlib import Path
from perfkit.observers.memory import kilobyte_fields
from perfkit.observers.process_tree import cpu_seconds
from perfkit.records.cgroups import memory_cgroup
from perfkit.records.stages import StageName
from perfkit.trial.messages import Channel
from perfkit.trial.worker.stages import stage
held = bytearray(150 << 20)
with stage(Channel(1), StageName.STEADY):
    data = bytes(1 << 22)
    while sum(os.times()[:2]) < 3: hashlib.sha256(data)
peak = kilobyte_fields(Path("/proc/self/status"), ("VmHWM",))["VmHWM"]
os.write(1, f"cpu {cpu_seconds(os.getpid())} peak {peak}".encode())
os._exit(0)
"""


@pytest.mark.skipif(shutil.which("time") is None, reason="GNU time is not installed")
def test_cpu_seconds_and_peak_are_those_of_gnu_time_to_two_per_cent() -> None:
    completed = subprocess.run(
        ["time", "-v", sys.executable, "-c", AT_ITS_END],
        capture_output=True,
        text=True,
        check=True,
    )
    times = re.findall(r"(?:User|System) time \(seconds\): ([\d.]+)", completed.stderr)
    peak = re.search(r"Maximum resident set size \(kbytes\): (\d+)", completed.stderr)
    printed = re.search(r"cpu ([\d.]+) peak (\d+)", completed.stdout)
    assert peak is not None
    assert printed is not None
    assert float(printed[1]) == pytest.approx(sum(map(float, times)), rel=0.02)
    assert int(printed[2]) == pytest.approx(int(peak[1]) * 1024, rel=0.02)
    entered, left = map(parse_event, completed.stdout.splitlines()[:2])
    assert (entered.kind, left.kind) == ("enter", "stage")
    assert left.data["peak_rss_bytes"] == pytest.approx(int(peak[1]) * 1024, rel=0.02)


def test_events_of_the_cgroup_are_counted_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.peak").write_text("900\n")
    (tmp_path / "memory.events").write_text("low 0\nhigh 2\nmax 5\noom 0\n")
    found = memory_cgroup(os.getpid(), tmp_path)
    assert found is not None
    before = found.counts()
    (tmp_path / "memory.events").write_text("low 0\nhigh 2\nmax 8\noom 1\n")
    assert found.difference(before) == {
        "limit": 1000,
        "peak": 900,
        "event_low": 0,
        "event_high": 0,
        "event_max": 3,
        "event_oom": 1,
    }


def test_a_machine_without_cgroup_files_is_reported_in_one_line(tmp_path: Path) -> None:
    observer = Memory(lambda pid: None)
    with observed([observer], "import time\ntime.sleep(0.5)", tmp_path):
        pass
    found = observer.results(ObservedRun((), None))
    assert found.missing == "no cgroup memory files: no limit, no events"
    assert MemoryResult.model_validate(found.data).peak_rss > MEGABYTE


def test_an_absent_field_leaves_no_partial_result(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_text("VmHWM:\t 100 kB\nName:\tx\n")
    assert kilobyte_fields(path, ("VmHWM",)) == {"VmHWM": 102400}
    assert kilobyte_fields(path, ("VmHWM", "RssAnon")) == {}
