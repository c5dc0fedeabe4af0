"""What ``perfkit doctor`` prints: environment, answers, known faults, remedies, noise, verdict."""

from __future__ import annotations

from collections.abc import Iterator

from perfkit.cli.console import Console
from perfkit.diagnose.checkup import Checkup


def show_checkup(console: Console, checkup: Checkup) -> None:
    """Print everything that the doctor found; the verdict is the last line."""
    if checkup.environment:
        rows = [(fact.name, fact.value, fact.advice) for fact in checkup.environment]
        rows += [
            (f"model {model.name}", "starts" if model.starts else "does not start", model.refusal)
            for model in checkup.models
        ]
        console.table(("environment", "found", "advice"), rows)
    diagnosis = checkup.diagnosis
    flags = diagnosis.xla_flags or "none"
    console.line(f"jaxlib {diagnosis.jaxlib_version}, XLA_FLAGS: {flags}")
    answers = [
        (answer.question or answer.name, "right" if answer.right else "WRONG", answer.detail)
        for answer in diagnosis.answers
    ]
    console.table(("program", "answer", "detail"), answers)
    if diagnosis.notices:
        notices = [
            (
                notice.advisory.fault,
                notice.advisory.reference,
                notice.standing,
                notice.advisory.remedy,
            )
            for notice in diagnosis.notices
        ]
        console.table(("known fault", "reference", "standing", "reported remedy"), notices)
    else:
        console.line("no fault of this version is known under these flags")
    if checkup.remedies is not None:
        console.table(
            ("wrong answer", "right here with", "effect of the flags"), _remedy_rows(checkup)
        )
    for line in _lines_on_others(checkup):
        console.line(line)
    for sentence in () if checkup.noise is None else checkup.noise.sentences:
        console.line(sentence)
    console.line(checkup.verdict)


def _remedy_rows(checkup: Checkup) -> Iterator[tuple[str, str, str]]:
    """One row per wrong answer and candidate that mends it, each verified by runs."""
    remedies = checkup.remedies
    for answer in checkup.diagnosis.wrong:
        mending = () if remedies is None else remedies.mending(answer.name)
        for candidate in mending:
            note = " (not recommended)" if candidate.drastic else ""
            yield answer.name, candidate.flags, f"{candidate.effect}{note}"
        if not mending:
            yield answer.name, "none of the flags that were tried", ""


def _lines_on_others(checkup: Checkup) -> Iterator[str]:
    for other in checkup.others:
        if other.diagnosis is None:
            yield f"{other.python}: {other.reason}"
            continue
        wrong = ", ".join(other.diagnosis.wrong_names)
        count = len(other.diagnosis.answers)
        yield (
            f"jaxlib {other.diagnosis.jaxlib_version} ({other.python}): "
            + (f"wrong: {wrong}" if wrong else f"all {count} answers are right")
        )
