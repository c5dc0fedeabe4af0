"""What an upgrade of jaxlib changes for one model: time, memory and answers, part by part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from perfkit.api.progress import ProgressLike, as_progress, run_interruptibly
from perfkit.api.subject import (
    Fidelity,
    KnobValue,
    OptionValue,
    at_least,
    default_folder,
    make_subject,
)
from perfkit.api.versions.jaxlib_check import jaxlib_warnings
from perfkit.errors import PerfkitError, UserError
from perfkit.files import reason_of
from perfkit.history.verdicts import FACTOR
from perfkit.knobs.environment import child_environment
from perfkit.models import DEFAULT_MODEL
from perfkit.records.store import Store
from perfkit.seal import DamagedError
from perfkit.trial.answers import load_answers
from perfkit.upgrade.answers import Answers, compare_answers
from perfkit.upgrade.comparison import UpgradeComparison, compare_pairs
from perfkit.upgrade.locate.finding import Located
from perfkit.upgrade.locate.request import LocateRequest, locate
from perfkit.upgrade.measuring import UpgradePlan, measure, pairs_of
from perfkit.upgrade.sides import NEW, OLD, Side, interpreter_of, make_side

PAIRS = 6
"""Blocks by default: the smallest number of pairs that gives an interval at 95 %."""


@dataclass(frozen=True, repr=False)
class UpgradeResult:
    """What an upgrade of jaxlib changes.

    Attributes
    ----------
    old, new
        The two environments.
    comparison
        Times, memory, modules and answers.
    located
        Which operations give another answer or are slower; None if nothing was searched for.
    pairs
        Number of pairs of processes that were compared.
    folder
        Folder of the records.
    interrupted
        Whether the user interrupted the measurement.
    """

    old: Side
    new: Side
    comparison: UpgradeComparison
    located: Located | None
    pairs: int
    folder: Path
    interrupted: bool = False

    @property
    def regressed(self) -> bool:
        """Whether the new version is slower, larger, gives another answer or fails."""
        return self.comparison.regressed

    def __repr__(self) -> str:
        comparison, located = self.comparison, self.located
        answers = [] if comparison.answers is None else comparison.answers.rows
        rows = [*(row.cells for row in (*comparison.rows, *comparison.modules)), *answers]
        return "\n".join(
            [
                f"{self.old.label} -> {self.new.label}",
                *(f"{name}: {', '.join(filter(None, cells))}" for name, *cells in rows),
                *comparison.failures,
                *([] if located is None else located.sentences()),
            ]
        )


def compare_jaxlib(
    old: str,
    new: str,
    *,
    model: str = DEFAULT_MODEL,
    knobs: Mapping[str, KnobValue] | None = None,
    preset: Path | str | None = None,
    pairs: int = PAIRS,
    passes: int = 3,
    factor: float = FACTOR,
    reproduce: Path | str | None = None,
    out: Path | str | None = None,
    fidelity: Fidelity | None = None,
    time_limit: str | float | None = None,
    memory_limit: str | int | None = None,
    force: bool = False,
    progress: ProgressLike = None,
    **options: OptionValue,
) -> UpgradeResult:
    """Compare a model under two versions of jaxlib, as ``perfkit compare --jaxlib`` does.

    Interrupting it keeps all finished trials; the same call resumes.

    Parameters
    ----------
    old, new
        Versions of jaxlib, or paths of interpreters. A version is installed once, in an
        environment of its own.
    model
        Name of the model.
    knobs, preset
        Configuration of both sides: knob values by name, on top of the file of a preset.
    pairs
        Number of pairs of processes; at least 6 for an interval.
    passes
        Timed passes of each process.
    factor
        Smallest ratio of times or memory that counts as a change; at least 1.
    reproduce
        New folder for programs that show a changed answer or a slowed operation without perfkit.
        Answers that differ within their class are then searched, too.
    out
        Folder for the records; by default below ``perfkit-results``.
    fidelity
        ``low`` (the default) or ``production``.
    time_limit, memory_limit, force, progress
        As for :func:`perfkit.run`.
    **options
        The model's own options and fidelity axes, as on the command line.

    Raises
    ------
    UserError
        An argument is impossible, a version does not install, the input is bad, or a folder
        cannot be written.
    """
    at_least("pairs", pairs, 1)
    at_least("passes", passes, 1)
    if not factor >= 1:
        raise UserError(f"--factor takes 1 or more, not {factor:g}")
    subject = make_subject(
        model,
        options,
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
    )
    configuration = subject.configuration(knobs or {}, preset)
    subject.refuse_without_memory(configuration)
    reproducers = None if reproduce is None else _new_folder(Path(reproduce))
    shown = as_progress(progress)
    with shown.study() as finding:
        old_side = make_side(OLD, interpreter_of(old, finding.say))
        new_side = make_side(NEW, interpreter_of(new, finding.say))
    name = ("upgrade", subject.model.name, subject.workload.name)
    plan = UpgradePlan(
        subject.model,
        subject.workload,
        configuration,
        old_side,
        new_side,
        store=Store(Path(out) if out is not None else default_folder(*name)),
        limits=subject.limits,
        pairs=pairs,
        passes=passes,
    )
    warnings = [
        sentence
        for side in (old_side, new_side)
        for sentence in jaxlib_warnings(shown, configuration, side.interpreter)
    ]
    shown.announce(subject.model, [subject.workload], list(dict.fromkeys(warnings)))
    with shown.study(trials=2 * pairs) as study:
        interrupted = run_interruptibly(lambda: measure(plan, study), study)
        comparison = _compared(plan, factor)
        located = None
        if not interrupted:
            located = _located(plan, comparison, reproducers, study.say)
    return UpgradeResult(
        plan.old, plan.new, comparison, located, len(pairs_of(plan)), plan.store.folder, interrupted
    )


def _new_folder(folder: Path) -> Path:
    """Create the folder of the reproducers, before anything is measured for them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
        (folder / ".perfkit").touch()
        (folder / ".perfkit").unlink()
    except OSError as error:
        raise UserError(
            f"the folder for reproducers {folder} cannot be written ({reason_of(error)})"
        ) from error
    if occupied:
        raise UserError(f"the folder for reproducers {folder} is not empty: give a new one")
    return folder.resolve()


def _compared(plan: UpgradePlan, factor: float) -> UpgradeComparison:
    pairs = pairs_of(plan)
    declared = plan.model.declared_class(plan.configuration.overrides())
    old, new = (_answers(plan, side) for side in (plan.old, plan.new))
    answers = compare_answers(old, new, plan.model.tolerances, declared)
    return compare_pairs([pairs[number] for number in sorted(pairs)], answers, factor)


def _answers(plan: UpgradePlan, side: Side) -> Sequence[Answers]:
    """The answers of a side in its first two blocks, as far as there are any."""
    found = []
    for number in range(min(2, plan.pairs)):
        try:
            found.append(load_answers(plan.answers_file(side, number)))
        except (DamagedError, OSError):
            return found
    return found


def _located(
    plan: UpgradePlan,
    comparison: UpgradeComparison,
    reproducers: Path | None,
    say: Callable[[str], None],
) -> Located | None:
    """Search for the operations that give another answer or are slower, if there are any."""
    answers = comparison.answers
    differs = comparison.one_breaks or (
        answers is not None
        and (answers.changed or (reproducers is not None and not answers.identical))
    )
    slowed = comparison.slower_modules if reproducers is not None else ()
    if not differs and not slowed:
        return None
    say("searching for the operations that differ: both versions compile ranges of the program")
    configuration = plan.configuration
    with _scratch_folder(plan.store.folder) as scratch:
        request = LocateRequest(
            workload=plan.workload.as_dict(),
            overrides=configuration.overrides(),
            affinity=configuration.affinity(),
            old=plan.old.python,
            new=plan.new.python,
            labels=(plan.old.label, plan.new.label),
            answer=differs,
            slowed=slowed,
            scratch=scratch,
            reproduce=reproducers,
        )
        older = min(plan.old, plan.new, key=lambda side: _numbers(side.jaxlib))
        try:
            return locate(request, older.python, child_environment(configuration))
        except UserError:
            raise
        except PerfkitError as error:
            return Located(notes=(str(error),))


@contextmanager
def _scratch_folder(folder: Path) -> Iterator[Path]:
    """A folder next to the records, which have more room than a folder in memory may have."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = TemporaryDirectory(prefix="search-", dir=folder)
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be written ({reason_of(error)})") from error
    with scratch as name:
        yield Path(name).resolve()


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
