"""Tests of several workers take turns where one of them must run alone."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path

from tests.support.turns import turn


def _is_locked(path: Path) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_ordinary_tests_run_at_once_and_do_not_overtake_one_that_waits_to_run_alone(
    tmp_path: Path,
) -> None:
    order: list[str] = []

    def take(name: str, alone: bool) -> None:
        with turn(tmp_path, alone=alone):
            order.append(name)

    with turn(tmp_path, alone=False):
        take("second of two", False)
        alone = threading.Thread(target=take, args=("alone", True))
        alone.start()
        deadline_s = time.monotonic() + 60
        while not _is_locked(tmp_path / "queue") and time.monotonic() < deadline_s:
            time.sleep(0.01)
        late = threading.Thread(target=take, args=("late", False))
        late.start()
        order.append("first of two")
    alone.join()
    late.join()
    assert order == ["second of two", "first of two", "alone", "late"]
