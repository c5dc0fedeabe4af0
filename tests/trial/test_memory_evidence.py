"""A kill is attributed to lack of memory only if something shows it; the reason names it."""

from __future__ import annotations

import pytest

from perfkit.trial.memory_evidence import (
    MemoryEvidence,
    memory_kill_reason,
    other_kill_reason,
)

GB = 10**9


@pytest.mark.parametrize(
    ("evidence", "reason"),
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
            "whose limit is 4.0 GB, and 83 allocations exceeded it",
        ),
        (
            MemoryEvidence(available_bytes=1 * GB, machine_bytes=24 * GB, resident_bytes=20 * GB),
            "20.0 GB resident, 1.0 GB of the machine's 24.0 GB free",
        ),
    ],
)
def test_a_kill_with_evidence_is_lack_of_memory(evidence: MemoryEvidence, reason: str) -> None:
    found = memory_kill_reason(evidence)
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    "evidence",
    [
        MemoryEvidence(),
        # The process held much memory, and much was free.
        MemoryEvidence(available_bytes=8 * GB, machine_bytes=24 * GB, resident_bytes=15 * GB),
        # Other processes have used up the memory; this one held little of it.
        MemoryEvidence(available_bytes=1 * GB, machine_bytes=24 * GB, resident_bytes=GB // 2),
        MemoryEvidence(group_limit_bytes=4 * GB, group_used_bytes=3 * GB, resident_bytes=2 * GB),
        # Allocations over the limit succeeded after the kernel had dropped caches.
        MemoryEvidence(group_limit_bytes=4 * GB, group_failures=500, resident_bytes=2 * GB),
        # Other processes fill the group, and the kernel has killed none.
        MemoryEvidence(
            group_limit_bytes=4 * GB, group_used_bytes=4 * GB, resident_bytes=GB, group_kills=0
        ),
        # The kernel killed another process, and its log says so.
        MemoryEvidence(machine_kills=1, group_kills=1, other_kill=True),
        MemoryEvidence(group_kills=0, machine_kills=0),
    ],
)
def test_a_kill_without_evidence_is_not(evidence: MemoryEvidence) -> None:
    assert memory_kill_reason(evidence) is None


def test_a_kill_for_another_reason_names_it() -> None:
    assert other_kill_reason(MemoryEvidence(cpu_s=59.0, cpu_limit_s=60)) == (
        "59 s of CPU time used, ulimit -t allows 60 s"
    )
    assert other_kill_reason(MemoryEvidence(resident_bytes=GB, available_bytes=20 * GB)) == (
        "nothing shows that memory ran out (1.0 GB resident, 20.0 GB free)"
    )
