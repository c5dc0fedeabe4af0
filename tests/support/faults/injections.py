"""Faults for the drill, each with the check of what must hold afterwards.

An injection takes an empty folder and a source of chance for moments and places.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random

from perfkit.paths import CACHE_VARIABLE
from perfkit.records.schema import Outcome
from perfkit.records.store import read_folder
from perfkit.trial.launcher import run_trial
from tests.support.faults.caches import CACHES, DAMAGES, fault_of_cache
from tests.support.faults.disks import fill, make_read_only, small_disk
from tests.support.faults.groups import memory_limited
from tests.support.faults.injected import (
    CELLS,
    WHOLE_S,
    Injected,
    Injection,
    check_refusal,
    has_failed,
    small_study,
)
from tests.support.faults.study import LONGEST_S, KilledStudy
from tests.support.faults.surroundings import SURROUNDINGS
from tests.support.faults.survivors import marked, new_mark, survivors, with_mark, workers_with_mark
from tests.support.faults.trials import TRIAL_FAULTS, shell_trial

DISK_BYTES = 48 << 20
"""Size of a small disk: the study needs about a megabyte, compiled programs included."""

WRITING_S = 10.0
"""Longest time that a disk is waited for on which files are being written."""

MOST_KILLS = 12
"""Most kills of one study, which then is resumed to its end."""


def kill_perfkit(folder: Path, chance: Random) -> Injected:
    """Kill perfkit with SIGKILL at random moments of a study until the study is finished."""
    study, kills = small_study(folder), 0
    while kills < MOST_KILLS:
        run = study.killed(chance.uniform(0.0, WHOLE_S))
        if run.code != -signal.SIGKILL:
            break
        kills += 1
    study.complete()
    return Injected(kills, study.faults)


def end_perfkit(folder: Path, chance: Random) -> Injected:
    """Close the terminal of perfkit, or ask it to end, at a random moment; then resume."""
    study = small_study(folder)
    number = chance.choice((signal.SIGHUP, signal.SIGTERM, signal.SIGINT))
    run = study.killed(chance.uniform(0.0, WHOLE_S), number)
    if run.code not in (0, 130, -number):
        study.faults.append(f"{number.name} ended perfkit with {run.code}: {run.errors[-300:]}")
    study.complete()
    return Injected(int(run.code != 0), study.faults)


def kill_worker(folder: Path, chance: Random) -> Injected:
    """Kill a worker at a random moment: the study goes on, with one more record."""
    study, hit = small_study(folder), list[int]()
    number = chance.choice((signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT))

    def inject(process: subprocess.Popen[str], mark: str) -> None:
        deadline_s = time.monotonic() + LONGEST_S / 2
        while not (workers := workers_with_mark(mark)):
            # No worker runs before the first trial, for long on a busy machine, or between two.
            if process.poll() is not None or time.monotonic() > deadline_s:
                return
            time.sleep(0.01)
        for pid in workers[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                hit.append(pid)

    run = study.run(chance.uniform(1.0, WHOLE_S), inject)
    if run.code not in (0, 1):
        study.faults.append(f"perfkit ended with {run.code}: {run.errors[-300:]}")
    crashed = [r for r in read_folder(study.store).records if r.outcome is Outcome.CRASHED]
    if len(crashed) > len(hit):
        study.faults.append(f"{len(crashed)} records of a crash after {len(hit)} kills")
    return Injected(len(hit), study.faults)


def suspend(folder: Path, chance: Random) -> Injected:
    """Stop perfkit and its workers for up to a minute: passes are repeated, none is missing."""
    study = small_study(folder)
    stop_s = chance.choice((*(chance.uniform(1.0, 3.0) for _ in range(3)), 60.0))
    count = 0

    def inject(process: subprocess.Popen[str], mark: str) -> None:
        nonlocal count
        stopped = with_mark(mark)
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if number is signal.SIGSTOP:
                time.sleep(stop_s)
        count += 1

    study.run(chance.uniform(0.5, WHOLE_S), inject)
    study.complete()
    for record in study.finished.values():
        if any(stage.wall_s > stop_s for stage in record.steady):
            study.faults.append(f"a pass of {record.id} contains the suspension")
    return Injected(count, study.faults)


def _on_small_disk(
    folder: Path, chance: Random, harm: Callable[[Path], bool], mend: Callable[[Path], None]
) -> Injected:
    """Harm the disk of a study at a random moment, mend it, and resume.

    ``harm`` returns whether it did.
    """
    with small_disk(folder / "disk", DISK_BYTES) as disk:
        study, count = small_study(disk), 0

        def inject(process: subprocess.Popen[str], mark: str) -> None:
            nonlocal count
            count += harm(disk)

        run = study.run(chance.uniform(0.0, WHOLE_S), inject)
        check_refusal(study, run)
        mend(disk)
        if not has_failed(study):
            study.complete()
        return Injected(count, study.faults)


def fill_disk(folder: Path, chance: Random) -> Injected:
    """Fill the disk at a random moment, up to a random rest."""
    rest = chance.choice((0, 4096, 65536))

    def harm(disk: Path) -> bool:
        with suppress(OSError):
            fill(disk, rest)
        # An error means that others filled the rest.
        return True

    return _on_small_disk(
        folder, chance, harm, lambda disk: (disk / "filling").unlink(missing_ok=True)
    )


def protect_disk(folder: Path, chance: Random) -> Injected:
    """Make the disk read-only at a random moment, or soon after: not while a file is written."""

    def harm(disk: Path) -> bool:
        deadline_s = time.monotonic() + WRITING_S
        while time.monotonic() < deadline_s:
            if make_read_only(disk):
                return True
            time.sleep(0.01)
        return False

    def mend(disk: Path) -> None:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)

    return _on_small_disk(folder, chance, harm, mend)


def delete_folder(folder: Path, chance: Random) -> Injected:
    """Delete the store at a random moment; the same command then begins anew."""
    study, count = small_study(folder), 0

    def inject(process: subprocess.Popen[str], mark: str) -> None:
        nonlocal count
        count += study.store.exists()
        shutil.rmtree(study.store, ignore_errors=True)
        study.finished.clear()

    # What perfkit has reported before is gone with the folder.
    run = study.run(chance.uniform(0.5, WHOLE_S), inject)
    kept = "a trial was reported as finished and is not in the store"
    study.faults = [fault for fault in study.faults if fault != kept]
    if run.code not in (0, 1, 2):
        study.faults.append(f"perfkit ended with {run.code}: {run.errors[-300:]}")
    if not has_failed(study):
        study.complete()
    return Injected(count, study.faults)


def two_at_once(folder: Path, chance: Random) -> Injected:
    """Two studies in one store at the same time, the second begun at a random moment."""
    studies = [KilledStudy(folder, edge, CELLS) for edge in (12, 16)]
    mark = new_mark()
    first = studies[0].start(mark)
    time.sleep(chance.uniform(0.0, WHOLE_S / 4))
    processes = [first, studies[1].start(mark)]
    for process in processes:
        process.communicate(timeout=LONGEST_S)
    faults = [f"ended with {one.returncode}" for one in processes if one.returncode != 0]
    records = read_folder(folder / "store").records
    seen = {
        size: any("measuring on this machine" in text for one in own for text in one.warnings)
        for size in (12, 16)
        if (own := [record for record in records if record.workload.size == size])
    }
    if seen != {12: True, 16: True}:
        faults.append(f"the other was seen by the studies of {seen}")
    if len({(record.study, record.workload.size) for record in records}) != len(studies):
        faults.append("records of the two studies are mixed")
    for study in studies:
        study.complete()
        faults += study.faults
    return Injected(1, faults)


def kill_for_memory(folder: Path, chance: Random) -> Injected:
    """Let the kernel kill a worker that exceeds the memory limit of its control group."""
    limit = chance.randrange(50_000_000, 150_000_000)
    with memory_limited(limit) as group:
        script = (
            f"echo $$ > {group}/cgroup.procs; "
            f"exec {sys.executable} -c 'print(len(bytearray(b\"x\") * 1_000_000_000))'"
        )
        record = run_trial(shell_trial(folder, script), 1)
    good = record.outcome is Outcome.OUT_OF_MEMORY
    return Injected(1, [] if good else [f"{record.outcome} ({record.reason})"])


def _misbehaving(name: str) -> Injection:
    def inject(folder: Path, chance: Random) -> Injected:
        fault = TRIAL_FAULTS[name]
        with marked() as mark:
            record = fault.run(folder)
            left = survivors(mark)
        found = [fault.fault_of(record), f"processes survived: {left}" if left else ""]
        return Injected(1, [one for one in found if one])

    return inject


class _Count(logging.Handler):
    """Counts warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        self.count += 1


def _damaged_cache(kind: str, damage: str) -> Injection:
    def inject(folder: Path, chance: Random) -> Injected:
        warnings, before = _Count(), os.environ.get(CACHE_VARIABLE)
        os.environ[CACHE_VARIABLE] = str(folder / "cache")
        logger = logging.getLogger("perfkit")
        logger.addHandler(warnings)
        try:
            fault = fault_of_cache(
                CACHES[kind], DAMAGES[damage], folder, chance, lambda: warnings.count
            )
        finally:
            logger.removeHandler(warnings)
            del os.environ[CACHE_VARIABLE]
            if before is not None:
                os.environ[CACHE_VARIABLE] = before
        return Injected(1, [fault] if fault else [])

    return inject


KILLS = "perfkit is killed with SIGKILL"

STUDIES: Mapping[str, Injection] = {
    KILLS: kill_perfkit,
    "perfkit gets SIGHUP, SIGTERM or SIGINT": end_perfkit,
    "a worker gets SIGKILL, SIGSEGV or SIGABRT": kill_worker,
    "perfkit and its workers are suspended": suspend,
    "the disk becomes full": fill_disk,
    "the disk becomes read-only": protect_disk,
    "the folder is deleted": delete_folder,
    "two studies at once in one store": two_at_once,
    **SURROUNDINGS,
}
"""Faults of whole studies. They change nothing in this process, and may run side by side."""

SINGLE: Mapping[str, Injection] = {
    "a worker is killed by the kernel for memory": kill_for_memory,
    **{f"a worker {name}": _misbehaving(name) for name in TRIAL_FAULTS},
    **{
        f"cache of {kind}: {damage}": _damaged_cache(kind, damage)
        for kind in CACHES
        for damage in DAMAGES
    },
}
"""Faults of single trials and of caches."""
