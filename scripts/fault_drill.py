"""Inject faults by the hundred, check what must hold afterwards, and write a table of the counts.

::

    python -m scripts.fault_drill --kills 200 --out reports/drill [--studies 6] [--repeats 20]

``perfkit`` runs small studies of a real model, in which it is killed at random moments and resumed;
:mod:`tests.support.faults.injections` lists all faults. Each injection adds a line to
``injections.jsonl`` in the folder, so that a drill that was interrupted, or has reached its
``--time-limit``, is resumed by the same command. Some faults need root; they are skipped without.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from perfkit.files import write_whole
from perfkit.records.machine import fingerprint, versions
from perfkit.units import parse_duration
from tests.support.faults.injected import Injected, Injection
from tests.support.faults.injections import KILLS, SINGLE, STUDIES

LOG = "injections.jsonl"
"""Working file in the folder; the counts are in the other two."""

RESULT, TABLE = "fault-drill.json", "fault-drill.md"


@dataclass(frozen=True)
class Done:
    """One injection.

    Attributes
    ----------
    fault, number
        The fault, and which of its repetitions this was.
    count
        Number of faults that were injected.
    failures
        What did not hold.
    skipped
        Why nothing was injected; empty if something was.
    seconds
        Wall seconds.
    """

    fault: str
    number: int
    count: int
    failures: tuple[str, ...]
    skipped: str
    seconds: float


class Drill:
    """The injections of a drill, in a folder.

    Parameters
    ----------
    folder
        Folder of the results.
    seed
        Seed of all moments and places.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._log = folder / LOG
        self._seed = seed
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self.done = list(self._read())

    def _read(self) -> Iterator[Done]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        for line in lines:
            with suppress(ValueError, TypeError):
                data = json.loads(line)
                yield Done(**{**data, "failures": tuple(data["failures"])})

    def count(self, fault: str) -> int:
        """Number of injected faults of a kind."""
        return sum(one.count for one in self.done if one.fault == fault)

    def missing(self, fault: str, repeats: int) -> list[int]:
        """Numbers of the repetitions that are not done."""
        done = {one.number for one in self.done if one.fault == fault}
        return [number for number in range(repeats) if number not in done]

    def inject(self, fault: str, number: int, injection: Injection) -> None:
        """Inject a fault, and log what was found."""
        begin_s, skipped, found = time.monotonic(), "", Injected(0, ())
        folder = Path(tempfile.mkdtemp(prefix="perfkit-drill-"))
        try:
            found = injection(folder, Random(f"{self._seed} {fault} {number}"))
        except pytest.skip.Exception as reason:
            skipped = str(reason)
        except Exception as error:
            # A fault of the drill itself must be seen too.
            found = Injected(1, [f"{type(error).__name__}: {error}"])
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        seconds = round(time.monotonic() - begin_s, 2)
        done = Done(fault, number, found.count, tuple(found.faults), skipped, seconds)
        with self._lock:
            self.done.append(done)
            with self._log.open("a") as stream:
                stream.write(json.dumps(asdict(done)) + "\n")
        print(f"{seconds:6.1f} s  {fault} {number}: {found.count} injected", flush=True)
        for failure in found.faults:
            print(f"          {failure}", flush=True)


def run(
    drill: Drill,
    names: Sequence[str],
    kills: int,
    studies: int,
    repeats: int,
    lanes: int,
    has_time: Callable[[], bool],
) -> bool:
    """Inject what is missing; True if nothing is missing any more.

    Parameters
    ----------
    drill
        The drill.
    names
        The faults.
    kills
        Number of kills of perfkit.
    studies
        Number of injections of each other fault of a whole study.
    repeats
        Number of injections of each fault of a trial or a cache.
    lanes
        Number of studies that run side by side.
    has_time
        Whether another injection may begin.
    """
    numbers = iter(drill.missing(KILLS, 1_000_000))
    lock = threading.Lock()

    def kill() -> None:
        while KILLS in names and drill.count(KILLS) < kills and has_time():
            with lock:
                number = next(numbers)
            drill.inject(KILLS, number, STUDIES[KILLS])

    wanted = {name: studies if name in STUDIES else repeats for name in names if name != KILLS}
    queue = [
        (name, number)
        for name in wanted
        if name in STUDIES
        for number in drill.missing(name, studies)
    ]

    def study(fault: str, number: int) -> None:
        if has_time():
            drill.inject(fault, number, STUDIES[fault])

    with ThreadPoolExecutor(lanes) as pool:
        pending = [pool.submit(kill) for _ in range(lanes)]
        pending += [pool.submit(study, *one) for one in queue]
    for one in pending:
        one.result()
    # These change the environment of this process, so that they run alone.
    for name, injection in SINGLE.items():
        for number in drill.missing(name, repeats) if name in names else ():
            if has_time():
                drill.inject(name, number, injection)
    return drill.count(KILLS) >= kills * (KILLS in names) and not any(
        drill.missing(name, count) for name, count in wanted.items()
    )


def rows_of(done: Sequence[Done]) -> list[dict[str, Any]]:
    """Counts by fault, in the order of the faults."""
    by_fault = defaultdict(list)
    for one in done:
        by_fault[one.fault].append(one)
    return [
        {
            "fault": name,
            "injected": sum(one.count for one in by_fault[name]),
            "runs": len(by_fault[name]),
            "failed": sum(bool(one.failures) for one in by_fault[name]),
            "skipped": next((one.skipped for one in by_fault[name] if one.skipped), ""),
        }
        for name in (*STUDIES, *SINGLE)
        if name in by_fault
    ]


def table_of(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    machine = result["machine"]
    lines = [
        "# Fault drill",
        "",
        f"`{result['command']}`",
        "",
        f"{result['date']}, {machine['cpu']}, {machine['logical_cpus']} CPUs, "
        f"{machine['memory_bytes'] / 1e9:.0f} GB, Linux {machine['kernel']}, Python "
        f"{result['versions']['python']}, jaxlib {result['versions'].get('jaxlib')}, perfkit "
        f"{result['versions']['perfkit']} ({result['versions']['perfkit_commit']}). "
        f"**{result['injected']} faults injected, {result['failed']} runs failed.** What must hold "
        "after each is described in [the documentation](../../docs/faults.md).",
        "",
        "| fault | injected | runs | failed |",
        "|---|---|---|---|",
    ]
    for row in result["rows"]:
        skipped = f" (skipped: {row['skipped']})" if row["skipped"] else ""
        lines.append(
            f"| {row['fault']}{skipped} | {row['injected']} | {row['runs']} | {row['failed']} |"
        )
    if result["failures"]:
        lines += ["", "## Failures", "", *(f"- {failure}" for failure in result["failures"])]
    return "\n".join(lines) + "\n"


def write_result(folder: Path, done: Sequence[Done], command: str) -> dict[str, Any]:
    """Write the counts as JSON and as Markdown, and return them.

    Parameters
    ----------
    folder
        Folder of the results.
    done
        The injections.
    command
        Command that repeats the drill.
    """
    rows = rows_of(done)
    known = fingerprint()
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "seconds": round(sum(one.seconds for one in done)),
        "machine": {
            name: getattr(known, name) for name in ("cpu", "logical_cpus", "memory_bytes", "kernel")
        },
        "versions": versions(),
        "injected": sum(row["injected"] for row in rows),
        "failed": sum(row["failed"] for row in rows),
        "rows": rows,
        "failures": [
            f"{one.fault} {one.number}: {failure}" for one in done for failure in one.failures
        ],
    }
    write_whole(folder / RESULT, json.dumps(result, indent=1) + "\n", "result of the drill")
    write_whole(folder / TABLE, table_of(result), "table of the drill")
    return result


def main() -> int:
    """Run the drill; 0 if everything held, 1 if not, 3 if the time limit came first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=200, help="kills of perfkit (default 200)")
    parser.add_argument("--studies", type=int, default=6, help="other faults of whole studies")
    parser.add_argument("--repeats", type=int, default=20, help="faults of trials and caches")
    parser.add_argument("--faults", default="all", help="'all', or words that faults contain")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lanes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--time-limit", default="100h", help="begin nothing after this time")
    given = parser.parse_args()
    words = given.faults.split(",")
    names = [
        name
        for name in (*STUDIES, *SINGLE)
        if given.faults == "all" or any(word in name for word in words)
    ]
    end_s = time.monotonic() + parse_duration(given.time_limit)
    drill = Drill(given.out, given.seed)
    complete = run(
        drill,
        names,
        given.kills,
        given.studies,
        given.repeats,
        given.lanes,
        lambda: time.monotonic() < end_s,
    )
    command = (
        f"python -m scripts.fault_drill --kills {given.kills} --studies {given.studies} "
        f"--repeats {given.repeats} --faults {given.faults} --seed {given.seed} "
        "--out reports/drill"
    )
    result = write_result(given.out, drill.done, command)
    print(table_of(result))
    if result["failed"]:
        return 1
    return 0 if complete else 3


if __name__ == "__main__":
    raise SystemExit(main())
