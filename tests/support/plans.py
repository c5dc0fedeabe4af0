"""Jobs of plans that are written by hand."""

from __future__ import annotations

from typing import Any

GB = 10**9


def planned_row(name: str, begin_s: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A job of 100 s [50, 200] and 4 GB [2, 8] that requests 300 s and 10 GB."""
    known = {
        "name": name,
        "model": "af3",
        "size": 40,
        "preset": "stock",
        "machine": "node",
        "node": 1,
        "instances": 1,
        "slot": 0,
        "cpus": 2,
        "begin_s": begin_s,
        "end_s": begin_s + 100,
        "time_s": 100,
        "time_low_s": 50,
        "time_high_s": 200,
        "memory_bytes": 4 * GB,
        "memory_low_bytes": 2 * GB,
        "memory_high_bytes": 8 * GB,
        "time_freedom": 9,
        "memory_freedom": 9,
        "array": "perfkit-node-1-abc",
        "task": 1,
        "array_time_s": 300,
        "array_memory_bytes": 10 * GB,
        "folder": name,
        "fidelity": {"recycles": 0},
    }
    return {**known, **changes}
