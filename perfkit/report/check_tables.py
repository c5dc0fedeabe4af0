"""Tables of a plan against what happened, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Callable

from perfkit.capacity.check.actual import Fate
from perfkit.capacity.check.check import Check
from perfkit.capacity.laws.prediction import Range
from perfkit.report.plain_table import NOTHING, PlainTable
from perfkit.report.plan_tables import memory_text, time_text
from perfkit.units import bytes_text, count_text, percent_text, seconds_text

SMALL = 0.001
"""Probability below which only this limit is shown."""


def check_sentence(check: Check) -> str:
    """Describe in one sentence how many jobs ended, and how many were within their intervals."""
    fates = [
        f"{count} {fate}" for fate in Fate if (count := check.count(fate)) and fate != Fate.FINISHED
    ]
    others = f" ({', '.join(fates)})" if fates else ""
    finished = f"{check.count(Fate.FINISHED)} of {count_text(len(check.jobs), 'job')} finished"
    inside = [
        f"{what} within its interval in {sum(map(bool, known))} of {len(known)}"
        for what, found in (
            ("time", [job.time_inside for job in check.jobs]),
            ("memory", [job.memory_inside for job in check.jobs]),
        )
        if (known := [each for each in found if each is not None])
    ]
    return f"{finished}{others}{': ' if inside else ''}{', '.join(inside)}"


def ended_table(check: Check) -> PlainTable:
    """One row per job that ended: predicted and measured time and memory.

    A value outside its interval is marked with its error.
    """
    rows = tuple(
        (
            job.planned.name,
            job.actual.fate.value,
            time_text(job.planned.time),
            _measured(job.actual.time_s, seconds_text, job.time_inside, job.time_ratio),
            memory_text(job.planned.memory),
            _measured(job.actual.memory_bytes, bytes_text, job.memory_inside, job.memory_ratio),
        )
        for job in check.jobs
        if not job.actual.fate.is_ahead
    )
    headers = ("job", "state", "predicted time", "measured time")
    return PlainTable("Ended", (*headers, "predicted memory", "measured memory"), rows)


def _measured(
    value: float | None, text: Callable[[float], str], inside: bool | None, ratio: float | None
) -> str:
    if value is None:
        return NOTHING
    if inside is not False or ratio is None:
        return text(value)
    return f"{text(value)}, outside ({percent_text(ratio - 1, signed=True)})"


def ahead_table(check: Check) -> PlainTable:
    """One row per job that is ahead: the probabilities that it fails or is late."""
    rows = tuple(
        (
            job.planned.name,
            job.actual.fate.value,
            risk_text(job.memory_risk),
            risk_text(job.time_risk),
            risk_text(job.deadline_risk),
        )
        for job in check.jobs
        if job.actual.fate.is_ahead
    )
    deadline = "" if check.deadline_s is None else f" ({seconds_text(check.deadline_s)})"
    headers = (
        "job",
        "state",
        "out of memory",
        "over its time limit",
        f"past the deadline{deadline}",
    )
    return PlainTable("Ahead: probabilities", headers, rows)


def risk_text(risk: float | None) -> str:
    """Format a probability; very small ones as a limit."""
    if risk is None:
        return NOTHING
    return f"< {percent_text(SMALL)}" if risk < SMALL else percent_text(risk)


def group_table(check: Check) -> PlainTable:
    """One row per preset and kind of machine: errors, and the correction for the next plan."""
    rows = tuple(
        (
            f"{group.model}: {group.preset}",
            group.machine,
            _group_text(group.times, group.times_inside, group.time_ratio),
            _group_text(group.memories, group.memories_inside, group.memory_ratio),
            _factor_text(group.time),
            _factor_text(group.memory),
        )
        for group in check.groups
    )
    headers = ("model and preset", "machine", "time")
    further = ("memory", "correction of time", "correction of memory")
    heading = (
        "Measured over predicted (median of the finished jobs), and what corrects the next plan"
    )
    return PlainTable(heading, (*headers, *further), rows)


def _group_text(count: int, inside: int, ratio: float | None) -> str:
    return NOTHING if ratio is None else f"{ratio:.2f} ({inside} of {count} inside)"


def _factor_text(factor: Range | None) -> str:
    """The factor on predictions of the fit, and on the ends of a corrected interval."""
    if factor is None:
        return NOTHING
    return f"x {factor.value:.2f} [{factor.low:.2f}, {factor.high:.2f}]"
