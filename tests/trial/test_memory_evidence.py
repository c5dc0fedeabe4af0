"""Want of memory is claimed where something shows it, and the reason says what."""

from __future__ import annotations

import os

import pytest

from perfkit.observers.process_tree import TreeSample
from perfkit.trial import memory_evidence
from perfkit.trial.memory_evidence import (
    MemoryEvidence,
    MemoryWatch,
    kernel_log_kill,
    killed_for_memory,
    nothing_shown,
)

GB = 10**9


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        (MemoryEvidence(log_line="Out of memory: Killed process 7 (python)"), "Killed process 7"),
        (MemoryEvidence(group_kills=1), "control group counted 1 kill(s)"),
        (MemoryEvidence(machine_kills=2), "the kernel counted 2 kill(s)"),
        (
            MemoryEvidence(group_limit_bytes=4 * GB, resident_bytes=3_700_000_000),
            "3.7 GB resident, 0.0 GB in its control group, whose limit is 4.0 GB",
        ),
        (
            MemoryEvidence(
                group_limit_bytes=4 * GB,
                group_used_bytes=3_900_000_000,
                resident_bytes=2 * GB,
                group_failures=83,
            ),
            "whose limit is 4.0 GB, and 83 allocations went over it",
        ),
        (
            MemoryEvidence(available_bytes=1 * GB, machine_bytes=24 * GB, resident_bytes=20 * GB),
            "20.0 GB resident and 1.0 GB of the machine's 24.0 GB left",
        ),
    ],
)
def test_a_kill_with_evidence_is_want_of_memory(evidence: MemoryEvidence, told: str) -> None:
    shown = killed_for_memory(evidence)
    assert shown is not None
    assert told in shown


@pytest.mark.parametrize(
    "evidence",
    [
        MemoryEvidence(),
        # Much memory is held, and much is free.
        MemoryEvidence(available_bytes=8 * GB, machine_bytes=24 * GB, resident_bytes=15 * GB),
        # Others have used the memory up; this one holds next to nothing of it.
        MemoryEvidence(available_bytes=1 * GB, machine_bytes=24 * GB, resident_bytes=GB // 2),
        MemoryEvidence(group_limit_bytes=4 * GB, group_used_bytes=3 * GB, resident_bytes=2 * GB),
        # Allocations over the limit were answered by dropping what was cached.
        MemoryEvidence(group_limit_bytes=4 * GB, group_failures=500, resident_bytes=2 * GB),
        # Other processes fill the group, and the kernel has killed nobody.
        MemoryEvidence(
            group_limit_bytes=4 * GB, group_used_bytes=4 * GB, resident_bytes=GB, group_kills=0
        ),
        # The kernel killed another process, and its log says so.
        MemoryEvidence(machine_kills=1, group_kills=1, other_kill=True),
        MemoryEvidence(group_kills=0, machine_kills=0),
    ],
)
def test_a_kill_without_evidence_is_none(evidence: MemoryEvidence) -> None:
    assert killed_for_memory(evidence) is None


def test_a_kill_for_cpu_time_says_so() -> None:
    assert nothing_shown(MemoryEvidence(cpu_s=59.0, cpu_limit_s=60)) == (
        "59 s of CPU time used, ulimit -t allows 60 s"
    )
    assert nothing_shown(MemoryEvidence(resident_bytes=GB, available_bytes=20 * GB)) == (
        "nothing shows that memory ran out (1.0 GB resident, 20.0 GB free)"
    )


KILL = "Memory cgroup out of memory: Killed process {} (python) total-vm:9kB, UID:0 x"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([f"6,1,100000000,-;{KILL.format(7)}"], (KILL.format(7).split(", UID")[0], False)),
        ([f"6,1,100000000,-;{KILL.format(8)}"], ("", True)),
        # The number was another process's an hour ago.
        ([f"6,1,10000000,-;{KILL.format(7)}"], ("", False)),
        (["6,1,100000000,-;sysrq: Killed process 7 (python)"], ("", False)),
        (["torn", "6,x;", " SUBSYSTEM=pci"], ("", False)),
    ],
)
def test_the_kernels_log_names_the_process(lines: list[str], found: tuple[str, bool]) -> None:
    assert kernel_log_kill(7, 99.0, lines) == found


def test_the_last_sample_of_the_living_child_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_evidence, "_kernel_log", lambda: iter(()))
    watch = MemoryWatch(os.getpid(), 0.0)
    watch.sampled(TreeSample(1.0, 0.5, 5 * GB, address_bytes=9 * GB))
    # A dead process that nobody has waited for yet holds nothing.
    watch.sampled(TreeSample(1.1, 0.5, 0))
    evidence = watch.evidence()
    assert evidence.resident_bytes == 5 * GB
    assert evidence.address_bytes == 9 * GB
    assert evidence.cpu_s == 0.5


def test_a_counter_that_rises_after_the_last_look_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    kills = [3]
    monkeypatch.setattr(memory_evidence, "_kernel_log", lambda: iter(()))
    monkeypatch.setattr(memory_evidence, "_machine_kills", lambda: kills[0])
    watch = MemoryWatch(os.getpid(), 0.0)
    # The kill comes first, a look of the sampling thread after it, and only then the question.
    kills[0] = 4
    watch.sampled(TreeSample(2.0, 0.5, 5 * GB))
    assert watch.evidence().machine_kills == 1
    # Kills of long ago say nothing of this death.
    for moment in range(3, 12):
        watch.sampled(TreeSample(float(moment), 0.5, 5 * GB))
    assert watch.evidence().machine_kills == 0
