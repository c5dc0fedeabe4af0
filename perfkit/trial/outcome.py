"""The outcome of a trial, from the child's reports and from its death."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit.answers.agreement import AgreementClass
from perfkit.records.schema import Outcome
from perfkit.trial.memory_evidence import (
    MemoryEvidence,
    address_space_reason,
    memory_kill_reason,
    other_kill_reason,
)
from perfkit.trial.messages import reports_out_of_memory

LOG_TAIL_BYTES = 4000
"""End of a log that is searched for the cause of a death."""

SEARCHED_BYTES = 1 << 20
"""Size of the begin and of the end of a log that are searched for the cause of a death."""

MAX_LINE_LENGTH = 300
"""Most characters of a log line that a reason quotes."""

_REFUSED_FLAGS = (
    (re.compile(r"Unknown flags? in XLA_FLAGS:(.*)"), "XLA does not know a flag"),
    (re.compile(r"Couldn't interpret (value .*)\."), "XLA does not take a flag's value"),
    (re.compile(r"Illegal value for (.*)"), "XLA does not take a flag's value"),
    (re.compile(r"Flag parsing failed\.\s*usage:(.*)"), "XLA does not take a flag's value"),
)
"""What XLA prints before it aborts over ``XLA_FLAGS``, most specific first (jaxlib 0.12.0.1)."""


def last_line(log: Path) -> str:
    """The last line of what a child printed, cut to fit a reason; empty if there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - LOG_TAIL_BYTES))
            lines = stream.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip()[:MAX_LINE_LENGTH] if lines else ""


def outcome_of_death(
    returncode: int, log: Path, evidence: MemoryEvidence, log_begin: int = 0
) -> tuple[Outcome, str]:
    """Outcome and reason of a child that ended without a report.

    The outcome is ``out_of_memory`` only if something shows it; the reason names the evidence.

    Parameters
    ----------
    returncode
        Return code as in :attr:`subprocess.Popen.returncode`: negative for a signal.
    log
        File of what the child printed.
    evidence
        What was observed of memory.
    log_begin
        Position in the log, in bytes, from which the child worked for the trial.
    """
    printed = _printed(log, log_begin)
    for pattern, sentence in _REFUSED_FLAGS:
        refused = pattern.search(printed)
        if refused is not None:
            return Outcome.REJECTED, f"{sentence}: {refused[1].strip()}"
    # Programs that watch memory send SIGTERM before they kill.
    reason = memory_kill_reason(evidence)
    if returncode in (-signal.SIGKILL, -signal.SIGTERM) and reason is not None:
        return Outcome.OUT_OF_MEMORY, f"killed by signal {-returncode}; {reason}"
    if returncode == -signal.SIGKILL:
        return Outcome.CRASHED, f"killed by signal 9; {other_kill_reason(evidence)}"
    message = allocation_failure(printed[-LOG_TAIL_BYTES:])
    if message is not None:
        return Outcome.OUT_OF_MEMORY, f"an allocation failed: {message}"
    last_output = f"last output: {last_line(log)}"
    full = address_space_reason(evidence)
    if full is not None:
        return Outcome.OUT_OF_MEMORY, f"{_end_of(returncode)}; {full}; {last_output}"
    return Outcome.CRASHED, f"{_end_of(returncode)}; {last_output}"


def _printed(log: Path, begin: int) -> str:
    """Begin and end of what a child printed from a position on; all of it if it is short."""
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, 2)
            # A log that was cut meanwhile is shorter.
            stream.seek(begin if begin <= size else 0)
            first = stream.read(SEARCHED_BYTES)
            stream.seek(max(stream.tell(), size - SEARCHED_BYTES))
            return (first + stream.read(SEARCHED_BYTES)).decode(errors="replace")
    except OSError:
        return ""


def allocation_failure(printed: str) -> str | None:
    """The last line of a log that reports a failed allocation, None if there is none."""
    lines = (line.strip() for line in reversed(printed.splitlines()))
    return next((line[:MAX_LINE_LENGTH] for line in lines if reports_out_of_memory(line)), None)


def outcome_of_check(checked: Mapping[str, Any] | None) -> tuple[Outcome, str]:
    """Outcome and reason of a child that ran to its end, from the report of its check.

    Parameters
    ----------
    checked
        Data of the event ``checked``, None without one.
    """
    if checked is None:
        return Outcome.CRASHED, "the child ended without checking its answer"
    if not checked["finite"]["finite"]:
        return Outcome.NONFINITE, checked["finite_sentence"]
    agreement = checked["agreement"]
    if agreement is not None and not agreement["within"]:
        return Outcome.DISAGREES, _disagreement(agreement)
    return Outcome.OK, ""


def _end_of(returncode: int) -> str:
    if returncode >= 0:
        return f"exited with code {returncode}"
    try:
        return f"died of {signal.Signals(-returncode).name}"
    except ValueError:
        # Real-time signals have no names.
        return f"died of signal {-returncode}"


def _disagreement(agreement: Mapping[str, Any]) -> str:
    declared = AgreementClass[agreement["declared"].upper()]
    outside = [
        f"{entry['name']} ({entry['reason'] or format(entry['distance'], '.3g')})"
        for entry in agreement["quantities"]
        if AgreementClass[entry["class"].upper()] > declared
    ]
    return f"outside its agreement class {declared.label}: {', '.join(outside)}"
