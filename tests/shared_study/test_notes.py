"""Notes of a shared study: workers, their time, and their jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.shared_study.leases import Worker
from perfkit.shared_study.notes import Notes
from perfkit.shared_study.spent import Shift


@pytest.mark.parametrize(
    ("shifts", "expected_s"),
    [
        ([], 0.0),
        ([(100.0, 50.0)], 50.0),
        # Overlapping workers count once, and the time between two submissions not at all.
        ([(100.0, 50.0), (120.0, 40.0)], 60.0),
        ([(100.0, 50.0), (110.0, 10.0), (1000.0, 5.0)], 55.0),
    ],
)
def test_the_time_that_a_study_has_cost_is_that_with_a_worker_at_work(
    tmp_path: Path, shifts: list[tuple[float, float]], expected_s: float
) -> None:
    notes = Notes(tmp_path)
    for number, shift in enumerate(shifts):
        notes.note_shift(Worker(str(number), "host", 1), Shift(*shift))
    assert notes.spent_s() == pytest.approx(expected_s)
