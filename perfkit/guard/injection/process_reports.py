"""Adds up the journals of all guarded processes of a command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfkit.guard.injection.journal import ProcessReport, read_journals
from perfkit.guard.injection.process_watch import JaxProcess

SHOWN_CHARACTERS = 160
"""Number of characters of a command line that a sentence shows."""

_COUNTS = ("lifted", "zeroed")


def read_reports(folder: Path, jax_processes: Sequence[JaxProcess] = ()) -> dict[str, Any]:
    """Add up the journals that guarded processes left in a folder.

    Parameters
    ----------
    folder
        Folder of the journals.
    jax_processes
        Processes in which JAX was found from outside.

    Returns
    -------
    dict
        ``processes``: number of guarded processes that loaded JAX. ``guarded_equations``,
        ``lifted``, ``zeroed``, ``sites``, ``unguarded_functions`` and ``left_alone`` as
        :meth:`perfkit.guard.injection.ledger.Ledger.as_dict` returns them, over all processes.
        ``not_counted``: one sentence for each process whose counts are incomplete or missing.
    """
    reports = read_journals(folder)
    sites = _total_counts(reports)
    return {
        "processes": len(reports),
        "guarded_equations": len(sites),
        "lifted": sum(site["lifted"] for site in sites),
        "zeroed": sum(site["zeroed"] for site in sites),
        "sites": [site for site in sites if site["lifted"] or site["zeroed"]],
        "unguarded_functions": {
            name: why for report in reports for name, why in report.unguarded.items()
        },
        "left_alone": len(frozenset().union(*(report.left_alone for report in reports))),
        "not_counted": [
            *dict.fromkeys(sentence for report in reports for sentence in report.uncounted),
            *filter(None, map(_incomplete_sentence, reports)),
            *(
                _without_guard_sentence(process)
                for process in jax_processes
                if not _has_guard(process, reports)
            ),
        ],
    }


def _total_counts(reports: Sequence[ProcessReport]) -> list[dict[str, Any]]:
    """Return every guarded equation once, with its counts over all processes."""
    totals: dict[tuple[Any, ...], dict[str, Any]] = {}
    for report in reports:
        for site in report.sites:
            key = tuple(value for name, value in site.items() if name not in _COUNTS)
            total = totals.setdefault(key, {**site, **dict.fromkeys(_COUNTS, 0)})
            for name in _COUNTS:
                total[name] += site[name]
    return list(totals.values())


def _incomplete_sentence(report: ProcessReport) -> str | None:
    """Return a sentence if some calls of a process are not counted, else None."""
    is_running = not report.ended and _is_alive(report.pid)
    if report.calls == report.counted and not is_running:
        return None
    end = "was ended by a signal or crashed"
    if report.ended or is_running:
        end = "is still running" if is_running else "exited before its calls had ended"
    return (
        f"process {report.pid} ({_shortened(report.command)}) {end}: "
        f"{report.counted} of its {report.calls} guarded calls are counted"
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _has_guard(process: JaxProcess, reports: Sequence[ProcessReport]) -> bool:
    """Return whether a process left a journal, or is a fork of a process that did."""
    return any(
        report.pid == process.pid or (process.has_guard and report.command == process.command)
        for report in reports
    )


def _without_guard_sentence(process: JaxProcess) -> str:
    return (
        f"process {process.pid} ({_shortened(process.command)}) loaded JAX without the guard: its "
        "environment or an option (-I, -E, -S) kept perfkit's hook out"
    )


def _shortened(command: str) -> str:
    line = " ".join(command.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]} ..."
