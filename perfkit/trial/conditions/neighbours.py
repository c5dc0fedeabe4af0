"""Other perfkits that measure on this machine at the same time, found in the table of processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from perfkit.records.cgroups import PROC

WORKER_MODULE = "perfkit.trial.worker"
MEASURING = ("run", "tune", "sweep", "profile", "calibrate")
"""Subcommands that measure."""


@dataclass(frozen=True)
class Process:
    """One line of the table of processes."""

    pid: int
    parent: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class Neighbour:
    """Another perfkit: its process, what it does, and whether it may use any of our CPUs."""

    pid: int
    does: str
    shares_cpus: bool


def neighbours(
    proc: Path = PROC, own: int | None = None, cpus: Iterable[int] | None = None
) -> list[Neighbour]:
    """Perfkits at work on this machine that neither started this process nor were started by it.

    Parameters
    ----------
    proc
        Where processes are listed.
    own
        This process.
    cpus
        The CPUs that this process may use.
    """
    here = os.getpid() if own is None else own
    table = {process.pid: process for process in _processes(proc)}
    ours = set(cpus) if cpus is not None else os.sched_getaffinity(os.getpid())
    mine = {here, *_ancestors(here, table)}
    found = []
    for process in table.values():
        does = _does(process.words)
        above = [process.pid, *_ancestors(process.pid, table)]
        if does is None or process.pid in mine or here in above:
            continue
        # The workers of a command that is counted are a part of it.
        if any(_does(table[pid].words) for pid in above[1:] if pid in table and pid not in mine):
            continue
        theirs = _affinity(process.pid)
        found.append(Neighbour(process.pid, does, theirs is None or bool(theirs & ours)))
    return sorted(found, key=lambda one: one.pid)


def neighbours_sentence(found: Sequence[Neighbour]) -> str | None:
    """What other perfkits mean for the times measured here, None where there is none."""
    if not found:
        return None
    what = "another perfkit is" if len(found) == 1 else f"{len(found)} other perfkits are"
    listed = ", ".join(f"{one.does} in process {one.pid}" for one in found)
    effect = "on other CPUs: memory bandwidth and caches are shared"
    if any(one.shares_cpus for one in found):
        effect = "on the same CPUs: they make each other's times longer and less certain"
    return f"{what} measuring on this machine ({listed}) {effect}"


def _does(words: Sequence[str]) -> str | None:
    """What a command line measures, None for one that is not perfkit's or does not measure."""
    for first, second in pairwise(words):
        if first == "-m" and second == WORKER_MODULE:
            return "a trial"
        if (first == "perfkit" or first.endswith("/perfkit")) and second in MEASURING:
            return f"perfkit {second}"
    return None


def _ancestors(pid: int, table: Mapping[int, Process]) -> list[int]:
    found: list[int] = []
    while pid in table and table[pid].parent not in (0, *found):
        pid = table[pid].parent
        found.append(pid)
    return found


def _processes(proc: Path) -> Iterator[Process]:
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            yield Process(int(folder.name), int(fields[1]), tuple(words))


def _affinity(pid: int) -> set[int] | None:
    try:
        return os.sched_getaffinity(pid)
    except OSError:
        return None
