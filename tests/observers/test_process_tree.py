"""The process tree of programs of known behaviour, and the figures of GNU time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perfkit.observers import process_tree
from perfkit.observers.process_tree import Timeline, TreeSample, TreeSampler

pytestmark = pytest.mark.alone

SPIN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"

WORK_AND_STAY = SPIN.format(seconds=0.5) + "import sys\nsys.stdin.read()\n"

HASH_IN_THREADS = """
import hashlib, threading, time
def work():
    # Each thread uses this much CPU time of its own.
    data = bytes(1 << 22)
    while time.thread_time() < {seconds}:
        hashlib.sha256(data)
threads = [threading.Thread(target=work) for _ in range({count})]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""

PROCESSES = """
import subprocess, sys
command = [sys.executable, "-c", {code!r}]
children = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range({count})]
input()
[child.communicate() for child in children]
print("all have been waited for", flush=True)
input()
"""


def _python(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def _cpu_used(code: str) -> float:
    """CPU seconds of a program, in the last sample after its end."""
    process = _python(code)
    sampler = TreeSampler(process.pid, lambda sample: None)
    sampler.start()
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT) is None:
        time.sleep(0.01)
    # The process is a zombie now, whose times are available until it is waited for.
    time.sleep(2 * process_tree.INTERVAL_S)
    timeline = sampler.stop()
    process.wait()
    return timeline.samples[-1].cpu_s


@pytest.mark.parametrize("count", [1, 3])
def test_the_cpu_seconds_of_hashing_threads_are_counted(count: int) -> None:
    used = _cpu_used(HASH_IN_THREADS.format(seconds=0.5, count=count))
    # The start of the interpreter and one more block per thread come on top.
    assert 0.5 * count - 0.05 <= used <= 0.5 * count + 0.5


def test_processes_are_counted_during_and_after_their_life() -> None:
    process = _python(PROCESSES.format(code=WORK_AND_STAY, count=2))
    assert process.stdin is not None
    assert process.stdout is not None
    deadline_s = time.monotonic() + 60
    while len(process_tree.descendants(process.pid)) < 3 and time.monotonic() < deadline_s:
        time.sleep(0.02)
    tree = process_tree.descendants(process.pid)
    assert len(tree) == 3
    while time.monotonic() < deadline_s:
        living_s = sum(process_tree.cpu_seconds(pid) for pid in tree)
        if living_s >= 1.0:
            break
        time.sleep(0.02)
    assert 1.0 <= living_s <= 2.0
    process.stdin.write(b"\n")
    process.stdin.flush()
    process.stdout.readline()
    # The parent now accounts for the time of its ended children.
    assert process_tree.descendants(process.pid) == [process.pid]
    assert process_tree.cpu_seconds(process.pid) >= 1.0
    process.communicate(b"\n")


@pytest.mark.parametrize("megabytes", [64, 256])
def test_touched_memory_is_resident_to_two_per_cent(megabytes: int) -> None:
    code = (
        "import mmap, sys\n"
        "print('empty', flush=True); input()\n"
        f"held = mmap.mmap(-1, {megabytes} << 20)\n"
        f"[held.__setitem__(at, 1) for at in range(0, {megabytes} << 20, 4096)]\n"
        "print('full', flush=True); input()\n"
    )
    process = _python(code)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    before = process_tree.rss_bytes(process.pid)
    process.stdin.write(b"\n")
    process.stdin.flush()
    process.stdout.readline()
    gained = process_tree.rss_bytes(process.pid) - before
    process.communicate(b"\n")
    assert gained == pytest.approx(megabytes << 20, rel=0.02)


def test_the_peak_of_a_process_of_known_size_is_sampled() -> None:
    seen: list[TreeSample] = []
    process = _python("held = bytearray(200 << 20)\nprint('', flush=True)\ninput()\n")
    assert process.stdout is not None
    sampler = TreeSampler(process.pid, seen.append)
    process.stdout.readline()
    sampler.start()
    while not seen:
        time.sleep(0.01)
    process.communicate(b"\n")
    timeline = sampler.stop()
    assert timeline.samples[: len(seen)] == seen[: len(timeline.samples)]
    assert 200 << 20 <= timeline.peak_rss_bytes <= 240 << 20


@pytest.mark.skipif(shutil.which("time") is None, reason="GNU time is not installed")
def test_cpu_seconds_agree_with_gnu_time() -> None:
    code = HASH_IN_THREADS.format(seconds=0.4, count=2)
    completed = subprocess.run(
        ["time", "-v", sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    printed = re.findall(r"(?:User|System) time \(seconds\): ([\d.]+)", completed.stderr)
    # Both are exact to a clock tick; the cost of the interpreter's start differs between runs.
    assert _cpu_used(code) == pytest.approx(sum(map(float, printed)), rel=0.15)


def test_the_sampler_of_a_finished_process_ends() -> None:
    process = _python("")
    process.wait()
    sampler = TreeSampler(process.pid, lambda sample: None)
    sampler.start()
    assert sampler.stop().samples == []


def test_a_command_name_may_contain_brackets(tmp_path: Path) -> None:
    odd = tmp_path / "a) b (c"
    odd.symlink_to(sys.executable)
    process = subprocess.Popen(
        [odd, "-c", SPIN.format(seconds=0.2) + "input()"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    deadline_s = time.monotonic() + 30
    while process_tree.cpu_seconds(process.pid) < 0.2 and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert 0.2 <= process_tree.cpu_seconds(process.pid) < 5.0
    process.communicate(b"\n")


def test_the_busy_time_of_the_machine_grows_with_work() -> None:
    before = process_tree.machine_times()
    subprocess.run([sys.executable, "-c", SPIN.format(seconds=0.5)], check=True)
    after = process_tree.machine_times()
    assert after.busy_s - before.busy_s >= 0.45
    assert after.steal_s >= before.steal_s


def test_thinned_samples_are_even_and_include_the_first_and_the_last() -> None:
    timeline = Timeline([TreeSample(float(i), float(i), i) for i in range(101)])
    assert [sample.rss_bytes for sample in timeline.thinned(5).samples] == [0, 25, 50, 75, 100]
    assert timeline.thinned(101) is timeline
    assert timeline.peak_rss_bytes == 100
    assert Timeline().peak_rss_bytes == 0
