"""The cpu observer on programs that keep a known number of CPUs busy."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from perfkit.observers.cpu import Cpu, CpuSeen, cpu_times, thread_states
from perfkit.observers.observer import Seen
from tests.support.profiled_programs import observed
from tests.support.records_factory import make_stage

HASH = """
import hashlib, threading, time
def work():
    # hashlib lets other threads run while it hashes a large block.
    data = bytes(1 << 22)
    while time.monotonic() < end:
        hashlib.sha256(data)
end = time.monotonic() + {seconds}
threads = [threading.Thread(target=work) for _ in range({count})]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def _seen(code: str, folder: Path) -> CpuSeen:
    observer = Cpu()
    with observed([observer], code, folder) as (process, begin_s):
        process.wait()
        end_s = time.monotonic()
    stage = make_stage("steady", 0.5, end_s - begin_s - 0.7)
    return CpuSeen.model_validate(observer.results(Seen((stage,), None)).data)


@pytest.mark.parametrize("count", [1, 2])
def test_a_spin_of_k_threads_reads_k_busy_cpus(count: int, tmp_path: Path) -> None:
    seen = _seen(HASH.format(seconds=2.5, count=count), tmp_path)
    busy = sum(n * share for n, share in enumerate(seen.busy["steady"]))
    assert busy == pytest.approx(count, abs=0.25)
    assert sum(seen.busy["steady"]) == pytest.approx(1.0, abs=1e-3)


def test_a_program_that_sleeps_keeps_no_cpu_busy(tmp_path: Path) -> None:
    seen = _seen("import time\ntime.sleep(2)", tmp_path)
    assert seen.busy["steady"][0] > 0.9
    assert sum(seen.tree) / len(seen.tree) < 0.3


def test_thread_seconds_and_windows_agree_with_the_process_own_count(tmp_path: Path) -> None:
    code = HASH.format(seconds=2, count=2) + "print(time.process_time(), flush=True)\ninput()\n"
    observer = Cpu()
    with observed([observer], code, tmp_path) as (process, _):
        assert process.stdout is not None
        own_s = float(process.stdout.readline())
        time.sleep(0.5)
    seen = CpuSeen.model_validate(observer.results(Seen((), None)).data)
    widths = [b - a for a, b in zip([seen.begin_s, *seen.time_s], seen.time_s, strict=False)]
    windows_s = sum(use * width for use, width in zip(seen.tree, widths, strict=True))
    assert windows_s == pytest.approx(own_s, rel=0.05, abs=0.1)
    # Both hashing threads end before the last sample; the last that was seen of them is kept.
    assert sum(seen.threads.values()) == pytest.approx(own_s, rel=0.25)


def test_every_cpu_of_the_machine_is_read() -> None:
    before, _ = cpu_times()
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    after, steal_s = cpu_times()
    assert len(before) == len(after)
    assert sum(after) - sum(before) > 0.05
    assert steal_s >= 0


def test_a_process_that_is_gone_has_no_threads() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert list(thread_states([process.pid])) == []


def test_a_trial_without_samples_says_so() -> None:
    assert "before two samples" in Cpu().results(Seen((), None)).missing
