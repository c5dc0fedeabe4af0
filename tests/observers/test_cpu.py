"""The cpu observer on programs of known CPU use."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perfkit.observers.cpu import Cpu, CpuResult, cpu_times, thread_states
from perfkit.observers.observer import Child, ObservedRun
from perfkit.observers.process_tree import TreeSample
from tests.support.profiled_programs import WORKLOAD, observed, wait_until
from tests.support.records_factory import make_stage

pytestmark = pytest.mark.alone

HASH = """
import hashlib, threading, time
def work():
    # hashlib releases the lock of the interpreter while it hashes a large block.
    data = bytes(1 << 22)
    while time.monotonic() < end:
        hashlib.sha256(data)
end = time.monotonic() + {seconds}
threads = [threading.Thread(target=work) for _ in range({count})]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""

HASH_AND_STAY = """
import hashlib, threading, time
started_s = time.process_time()
hashed, leave = threading.Semaphore(0), threading.Event()
def work():
    data = bytes(1 << 22)
    while time.thread_time() < 0.7:
        hashlib.sha256(data)
    hashed.release()
    leave.wait()
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[hashed.acquire() for _ in threads]
print(started_s, time.process_time(), flush=True)
input()
leave.set()
[thread.join() for thread in threads]
print("the threads have ended", flush=True)
input()
"""


def _seen(code: str, folder: Path) -> CpuResult:
    observer = Cpu()
    with observed([observer], code, folder) as (process, begin_s):
        process.wait()
        end_s = time.monotonic()
    stage = make_stage("steady", 0.5, end_s - begin_s - 0.7)
    return CpuResult.model_validate(observer.results(ObservedRun((stage,), None)).data)


@pytest.mark.parametrize("count", [1, 2])
def test_k_working_threads_are_k_busy_cpus(count: int, tmp_path: Path) -> None:
    seen = _seen(HASH.format(seconds=2.5, count=count), tmp_path)
    busy = sum(n * share for n, share in enumerate(seen.busy["steady"]))
    assert busy == pytest.approx(count, abs=0.25)
    assert sum(seen.busy["steady"]) == pytest.approx(1.0, abs=1e-3)


def test_a_program_that_sleeps_keeps_no_cpu_busy(tmp_path: Path) -> None:
    seen = _seen("import time\ntime.sleep(2)", tmp_path)
    assert seen.busy["steady"][0] > 0.9
    assert sum(seen.tree) / len(seen.tree) < 0.3


def _result(observer: Cpu) -> CpuResult | None:
    found = observer.results(ObservedRun((), None))
    return CpuResult.model_validate(found.data) if found.data else None


def test_thread_seconds_and_windows_agree_with_the_count_of_the_process(tmp_path: Path) -> None:
    observer = Cpu()

    def wait_for_sample() -> None:
        now_s = time.monotonic() - begin_s
        wait_until(lambda: (seen := _result(observer)) is not None and seen.time_s[-1] > now_s)

    with observed([observer], HASH_AND_STAY, tmp_path) as (process, begin_s):
        assert process.stdin is not None
        assert process.stdout is not None
        started_s, own_s = map(float, process.stdout.readline().split())
        # The threads have hashed and are idle; all that they used is in the next sample.
        wait_for_sample()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "the threads have ended\n"
        wait_for_sample()
    seen = _result(observer)
    assert seen is not None
    widths = [b - a for a, b in zip([seen.begin_s, *seen.time_s], seen.time_s, strict=False)]
    windows_s = sum(use * width for use, width in zip(seen.tree, widths, strict=True))
    # The kernel counts in ticks of 0.01 s, for each thread in user and in system mode.
    assert windows_s == pytest.approx(own_s - started_s, abs=0.1)
    # The last sample has only the main thread; the seconds of ended threads are kept.
    assert sum(seen.threads.values()) == pytest.approx(own_s, abs=0.1)


def test_the_time_after_the_last_costly_sample_is_in_the_last_window(tmp_path: Path) -> None:
    observer = Cpu()
    observer.started(Child(os.getpid(), tmp_path, 100.0, 2, WORKLOAD))
    observer.sampled(TreeSample(101.0, 3.0, 0))
    # A sample of the threads is due after 0.1 s at the earliest.
    observer.sampled(TreeSample(101.05, 3.04, 0))
    observer.ended()
    seen = _result(observer)
    assert seen is not None
    assert (seen.begin_s, seen.time_s, seen.tree) == (1.0, [1.05], [0.8])


def test_every_cpu_of_the_machine_is_read() -> None:
    before, _ = cpu_times()
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    after, steal_s = cpu_times()
    assert len(before) == len(after)
    assert sum(after) - sum(before) > 0.05
    assert steal_s >= 0


def test_a_finished_process_has_no_threads() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert list(thread_states([process.pid])) == []


def test_a_trial_without_samples_is_reported() -> None:
    assert "before two samples" in Cpu().results(ObservedRun((), None)).missing
