"""How a trial ended, from what the child said and how it died."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit.guard.agreement import AgreementClass
from perfkit.records.schema import Outcome

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


def outcome_of_death(returncode: int, log: Path) -> tuple[Outcome, str]:
    """Outcome and reason of a child that ended without saying why.

    Parameters
    ----------
    returncode
        As :class:`subprocess.Popen` gives it: negative for a signal.
    log
        What the child printed.
    """
    try:
        printed = log.read_text(errors="replace")
    except OSError:
        printed = ""
    for pattern, sentence in _REFUSED_FLAGS:
        refused = pattern.search(printed)
        if refused is not None:
            return Outcome.REJECTED, f"{sentence}: {refused[1].strip()}"
    if returncode == -signal.SIGKILL:
        return (
            Outcome.OUT_OF_MEMORY,
            "killed by the kernel (signal 9), most likely for want of memory",
        )
    if "bad_alloc" in printed or "Cannot allocate memory" in printed:
        return Outcome.OUT_OF_MEMORY, "an allocation failed"
    if returncode < 0:
        name = signal.Signals(-returncode).name
        return Outcome.CRASHED, f"died of {name}; last words: {last_words(log)}"
    return Outcome.CRASHED, f"ended with code {returncode}; last words: {last_words(log)}"


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
