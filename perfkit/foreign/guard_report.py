"""Adds up what the guard counted in all processes of a command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from perfkit.foreign.process_watch import JaxProcess
from perfkit.foreign.reading import ProcessReport, unreached

SHOWN_CHARACTERS = 160
"""Number of characters of a command line that a sentence shows."""

_COUNTS = ("lifted", "zeroed")


def guard_report(
    journals: Sequence[ProcessReport], jax_processes: Sequence[JaxProcess] = ()
) -> dict[str, Any]:
    """Add up what the guard counted.

    Parameters
    ----------
    journals
        Journals of the processes.
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
    reports = [report for report in journals if report.imported_jax]
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
            *map(_without_guard_sentence, unreached(jax_processes, journals)),
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
        f"process {report.pid} ({shortened(report.command)}) {end}: "
        f"{report.counted} of its {report.calls} guarded calls are counted"
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _without_guard_sentence(process: JaxProcess) -> str:
    return (
        f"process {process.pid} ({shortened(process.command)}) loaded JAX without the guard: its "
        "environment or an option (-I, -E, -S) kept perfkit's hook out"
    )


def shortened(command: str) -> str:
    """A command line on one line, of at most :data:`SHOWN_CHARACTERS` characters."""
    line = " ".join(command.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]} ..."
