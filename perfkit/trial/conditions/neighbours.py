"""Other perfkit processes that measure on this machine at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from perfkit.records.cgroups import PROC

WORKER_MODULE = "perfkit.trial.worker"
MEASURING = ("run", "tune", "sweep", "profile", "calibrate")
"""Subcommands of perfkit that measure."""


@dataclass(frozen=True)
class Process:
    """An entry of the process table.

    Attributes
    ----------
    pid, parent
        Process ID, and that of the parent.
    arguments
        Command line.
    """

    pid: int
    parent: int
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Neighbour:
    """Another perfkit process that measures.

    Attributes
    ----------
    pid
        Process ID.
    activity
        What the process runs, e.g. ``perfkit tune`` or ``a trial``.
    shares_cpus
        Whether it may use any of the CPUs that this process may use.
    """

    pid: int
    activity: str
    shares_cpus: bool


def neighbours(
    proc: Path = PROC, own: int | None = None, cpus: Iterable[int] | None = None
) -> list[Neighbour]:
    """Find perfkit processes that neither started this process nor were started by it.

    Parameters
    ----------
    proc
        Folder that lists the processes, as ``/proc`` does.
    own
        Process ID of this process; by default the real one.
    cpus
        CPUs that this process may use; by default its affinity.

    Returns
    -------
    list of Neighbour
        By process ID. The workers of a command that is listed are not listed again.
    """
    own = os.getpid() if own is None else own
    table = {process.pid: process for process in _processes(proc)}
    own_cpus = set(cpus) if cpus is not None else os.sched_getaffinity(os.getpid())
    mine = {own, *_ancestors(own, table)}
    found = []
    for process in table.values():
        activity = _activity(process.arguments)
        above = [process.pid, *_ancestors(process.pid, table)]
        if activity is None or process.pid in mine or own in above:
            continue
        # A worker belongs to the command that started it.
        starters = [table[pid] for pid in above[1:] if pid in table and pid not in mine]
        if any(_activity(starter.arguments) for starter in starters):
            continue
        affinity = _affinity(process.pid)
        shares_cpus = affinity is None or not affinity.isdisjoint(own_cpus)
        found.append(Neighbour(process.pid, activity, shares_cpus))
    return sorted(found, key=lambda neighbour: neighbour.pid)


def neighbours_sentence(found: Sequence[Neighbour]) -> str | None:
    """What other perfkit processes mean for the times measured here; None without any."""
    if not found:
        return None
    what = "another perfkit is" if len(found) == 1 else f"{len(found)} other perfkits are"
    listed = ", ".join(f"{each.activity} in process {each.pid}" for each in found)
    effect = "on other CPUs: memory bandwidth and caches are shared"
    if any(each.shares_cpus for each in found):
        effect = "on the same CPUs: they make each other's times longer and less certain"
    return f"{what} measuring on this machine ({listed}) {effect}"


def _activity(arguments: Sequence[str]) -> str | None:
    """What a command line measures; None if it is not perfkit's or does not measure."""
    for first, second in pairwise(arguments):
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
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            yield Process(int(folder.name), int(fields[1]), tuple(arguments))


def _affinity(pid: int) -> set[int] | None:
    try:
        return os.sched_getaffinity(pid)
    except OSError:
        return None
