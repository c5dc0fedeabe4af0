"""Notes of a shared study: who works on it, for how long, and which jobs were submitted."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from perfkit.files import write_whole
from perfkit.shared_study.leases import Worker, read_worker
from perfkit.shared_study.spent import Shift, spent_s

JOBS = "jobs"
"""Folder of the notes of submissions. Scripts of a scheduler write theirs there too."""


class Notes:
    """Notes of workers and submitters, each in a file of its own that only its writer changes.

    Parameters
    ----------
    folder
        Folder of the notes; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def enter(self, worker: Worker) -> None:
        """Note that a worker has begun."""
        self._write(f"workers/{worker.name}.json", asdict(worker))

    def leave(self, worker: Worker, reason: str) -> None:
        """Note why a worker has ended."""
        self._write(f"workers/{worker.name}.end", {"reason": reason})

    def workers(self) -> list[tuple[Worker, str | None]]:
        """All workers, with why they ended; None for those that run or were lost."""
        found = []
        for path in sorted((self._folder / "workers").glob("*.json")):
            with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
                worker = read_worker(path.read_bytes())
                end = path.with_suffix(".end")
                reason = str(json.loads(end.read_bytes())["reason"]) if end.exists() else None
                found.append((worker, reason))
        return found

    def note_shift(self, worker: Worker, shift: Shift) -> None:
        """Note how long a worker has been at work."""
        self._write(f"workers/{worker.name}.shift", asdict(shift))

    def spent_s(self) -> float:
        """Wall seconds during which at least one worker was at work."""
        shifts = []
        for path in (self._folder / "workers").glob("*.shift"):
            with suppress(OSError, ValueError, TypeError, RecursionError):
                shifts.append(Shift(**json.loads(path.read_bytes())))
        return spent_s(shifts)

    def note_jobs(self, place: str, jobs: Sequence[str]) -> None:
        """Note the jobs of a submission, so that whoever comes back finds them."""
        self._write(f"{JOBS}/{secrets.token_hex(6)}.json", {"place": place, "jobs": list(jobs)})

    def jobs(self) -> list[tuple[str, list[str]]]:
        """Place and jobs of each submission."""
        found = []
        for path in sorted((self._folder / JOBS).glob("*.json")):
            with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
                noted = json.loads(path.read_bytes())
                found.append((str(noted["place"]), [str(job) for job in noted["jobs"]]))
        return found

    def _write(self, name: str, content: Mapping[str, object]) -> None:
        write_whole(self._folder / name, json.dumps(content) + "\n", "note of the shared study")
