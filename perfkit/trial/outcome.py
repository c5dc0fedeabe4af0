"""How a trial ended, from what the child said and how it died."""

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
    address_space_full,
    killed_for_memory,
    nothing_shown,
)
from perfkit.trial.messages import says_out_of_memory

LOG_TAIL_BYTES = 4000

_REFUSED_FLAGS = (
    (re.compile(r"Unknown flags? in XLA_FLAGS:(.*)"), "XLA does not know a flag"),
    (re.compile(r"Couldn't interpret (value .*)\."), "XLA does not take a flag's value"),
    (re.compile(r"Illegal value for (.*)"), "XLA does not take a flag's value"),
    (re.compile(r"Flag parsing failed\.\s*usage:(.*)"), "XLA does not take a flag's value"),
)
"""What XLA prints before it aborts over ``XLA_FLAGS``, most telling first (jaxlib 0.12.0.1)."""


def last_words(log: Path) -> str:
    """The last line that the child printed, for a reason in one sentence."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - LOG_TAIL_BYTES))
            lines = stream.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip()[:300] if lines else ""


def outcome_of_death(returncode: int, log: Path, evidence: MemoryEvidence) -> tuple[Outcome, str]:
    """Outcome and reason of a child that ended without saying why.

    Want of memory is claimed where something shows it; the reason says what.

    Parameters
    ----------
    returncode
        As :class:`subprocess.Popen` gives it: negative for a signal.
    log
        What the child printed.
    evidence
        What was seen of memory.
    """
    try:
        printed = log.read_text(errors="replace")
    except OSError:
        printed = ""
    for pattern, sentence in _REFUSED_FLAGS:
        refused = pattern.search(printed)
        if refused is not None:
            return Outcome.REJECTED, f"{sentence}: {refused[1].strip()}"
    # Programs that watch over memory ask with SIGTERM before they kill.
    shown = killed_for_memory(evidence)
    if returncode in (-signal.SIGKILL, -signal.SIGTERM) and shown is not None:
        return Outcome.OUT_OF_MEMORY, f"killed by signal {-returncode}; {shown}"
    if returncode == -signal.SIGKILL:
        return Outcome.CRASHED, f"killed by signal 9; {nothing_shown(evidence)}"
    complaint = failed_allocation(printed[-LOG_TAIL_BYTES:])
    if complaint is not None:
        return Outcome.OUT_OF_MEMORY, f"an allocation failed: {complaint}"
    words = f"last words: {last_words(log)}"
    full = address_space_full(evidence)
    if full is not None:
        return Outcome.OUT_OF_MEMORY, f"{_how(returncode)}; {full}; {words}"
    return Outcome.CRASHED, f"{_how(returncode)}; {words}"


def failed_allocation(printed: str) -> str | None:
    """The last line of a log that says that an allocation failed, None if none does."""
    lines = (line.strip() for line in reversed(printed.splitlines()))
    return next((line[:300] for line in lines if says_out_of_memory(line)), None)


def _how(returncode: int) -> str:
    if returncode >= 0:
        return f"ended with code {returncode}"
    try:
        return f"died of {signal.Signals(-returncode).name}"
    except ValueError:
        # Real-time signals have numbers, and no names.
        return f"died of signal {-returncode}"


def outcome_of_check(checked: Mapping[str, Any] | None) -> tuple[Outcome, str]:
    """Outcome and reason of a child that ran to its end, from what its check told."""
    if checked is None:
        return Outcome.CRASHED, "the child ended without a word"
    if not checked["finite"]["finite"]:
        return Outcome.NONFINITE, checked["finite_sentence"]
    agreement = checked["agreement"]
    if agreement is not None and not agreement["within"]:
        return Outcome.DISAGREES, _disagreement(agreement)
    return Outcome.OK, ""


def _disagreement(agreement: Mapping[str, Any]) -> str:
    declared = AgreementClass[agreement["declared"].upper()]
    outside = [
        f"{entry['name']} ({entry['reason'] or format(entry['distance'], '.3g')})"
        for entry in agreement["quantities"]
        if AgreementClass[entry["class"].upper()] > declared
    ]
    return f"outside its agreement class {declared.label}: {', '.join(outside)}"
