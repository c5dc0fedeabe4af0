"""The process tree held against programs of known behaviour and against GNU time."""

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

SPIN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"

WORK_AND_STAY = SPIN.format(seconds=0.5) + "import sys\nsys.stdin.read()\n"

HASH_IN_THREADS = """
import hashlib, threading, time
def work():
    # thread_time is the thread's own CPU time: each one uses exactly this much.
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
    """CPU seconds of a program that the sampler saw, start of the interpreter left out."""
    started = _python("")
    started.wait()
    process = _python(code)
    sampler = TreeSampler(process.pid, lambda sample: None)
    sampler.start()
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT) is None:
        time.sleep(0.01)
    # The process is a zombie now: its times stand until it is waited for.
    time.sleep(2 * process_tree.INTERVAL_S)
    timeline = sampler.stop()
    process.wait()
    return timeline.samples[-1].cpu_s


@pytest.mark.parametrize("count", [1, 3])
def test_threads_that_hash_use_their_cpu_seconds(count: int) -> None:
    used = _cpu_used(HASH_IN_THREADS.format(seconds=0.5, count=count))
    # The interpreter's start and one block hashed beyond the end come on top.
    assert 0.5 * count - 0.05 <= used <= 0.5 * count + 0.5


def test_processes_are_counted_while_they_live_and_after() -> None:
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
    # What ended children have used is the parent's from now on.
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


def test_a_watched_process_of_known_size_reaches_the_limit() -> None:
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
def test_user_and_system_seconds_are_those_of_gnu_time() -> None:
    code = HASH_IN_THREADS.format(seconds=0.4, count=2)
    asked = subprocess.run(
        ["time", "-v", sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    told = re.findall(r"(?:User|System) time \(seconds\): ([\d.]+)", asked.stderr)
    # Both are exact to a clock tick; what the interpreter's start costs differs between runs.
    assert _cpu_used(code) == pytest.approx(sum(map(float, told)), rel=0.15)


def test_a_sampler_whose_process_is_gone_ends() -> None:
    process = _python("")
    process.wait()
    sampler = TreeSampler(process.pid, lambda sample: None)
    sampler.start()
    assert sampler.stop().samples == []


def test_a_command_name_with_brackets_is_no_trouble(tmp_path: Path) -> None:
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


def test_busy_time_of_the_machine_grows_with_work() -> None:
    before = process_tree.machine_times()
    subprocess.run([sys.executable, "-c", SPIN.format(seconds=0.5)], check=True)
    after = process_tree.machine_times()
    assert after.busy_s - before.busy_s >= 0.45
    assert after.steal_s >= before.steal_s


def test_thinning_keeps_first_and_last_and_an_even_spacing() -> None:
    timeline = Timeline([TreeSample(float(i), float(i), i) for i in range(101)])
    assert [sample.rss_bytes for sample in timeline.thinned(5).samples] == [0, 25, 50, 75, 100]
    assert timeline.thinned(101) is timeline
    assert timeline.peak_rss_bytes == 100
    assert Timeline().peak_rss_bytes == 0
