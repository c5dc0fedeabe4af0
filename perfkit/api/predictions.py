"""Predictions that ``perfkit run`` has checked and runs one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from perfkit.api.progress import CallProgress, ProgressLike, as_progress
from perfkit.api.results import RunResult
from perfkit.api.subject import (
    Fidelity,
    KnobValue,
    OptionValue,
    Subject,
    at_least,
    default_folder,
    make_subjects,
    preset_warnings,
)
from perfkit.api.versions.jaxlib_check import jaxlib_warnings
from perfkit.diagnose.locate.record import with_location
from perfkit.errors import UserError, unknown_name
from perfkit.file_names import file_name
from perfkit.knobs.configuration import Configuration
from perfkit.models import DEFAULT_MODEL
from perfkit.observers.registry import make_observers
from perfkit.records.schema import Outcome
from perfkit.records.store import Store
from perfkit.trial.launcher import run_trial
from perfkit.trial.messages import GUARD_LIFT, GUARD_OFF, GUARD_ZERO
from perfkit.trial.observed import ObservedTrial
from perfkit.trial.request import TrialFiles, TrialRequest
from perfkit.trial.worker.output_folder import (
    ensure_own_folder,
    manifest_next_to,
    unused_folder,
)

GUARDS = (GUARD_OFF, GUARD_LIFT, GUARD_ZERO)
"""Modes of the domain guard."""


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """The arguments of :func:`perfkit.run` that do not belong to a model.

    Attributes
    ----------
    model, knobs, preset, guard, locate, observe, passes, compile_cache, out, fidelity, time_limit
        As :func:`perfkit.run` takes them.
    memory_limit, force, force_output_dir, progress
        As :func:`perfkit.run` takes them.
    """

    model: str = DEFAULT_MODEL
    knobs: Mapping[str, KnobValue] | None = None
    preset: Path | str | None = None
    guard: str = GUARD_LIFT
    locate: bool = False
    observe: Sequence[str] = ()
    passes: int = 1
    compile_cache: Path | str | None = None
    out: Path | str | None = None
    fidelity: Fidelity | None = None
    time_limit: str | float | None = None
    memory_limit: str | int | None = None
    force: bool = False
    force_output_dir: bool = False
    progress: ProgressLike = None


@dataclass(frozen=True)
class PlannedRun:
    """A prediction whose arguments are checked.

    Attributes
    ----------
    subject
        Model, workload and limits.
    configuration
        Knob values.
    out
        Folder of the record.
    """

    subject: Subject
    configuration: Configuration
    out: Path

    @property
    def folder(self) -> Path:
        """Folder of the prediction, if it is not in use."""
        named = self.subject.model.named_folders
        return self.out / file_name(self.subject.workload.name) if named else self.out


def planned_runs(
    arguments: RunArguments, options: Mapping[str, OptionValue], *, here: bool = True
) -> list[PlannedRun]:
    """Check the arguments of a call, and list its predictions in the order in which they run.

    Parameters
    ----------
    arguments
        Arguments of the call.
    options
        The model's options and fidelity axes; they may name several inputs.
    here
        Whether this machine predicts all of them: its memory has to suffice.

    Raises
    ------
    UserError
        An argument is impossible, an input is bad, or a prediction would replace another one.
    """
    at_least("passes", arguments.passes, 0)
    if arguments.guard not in GUARDS:
        raise unknown_name("guard", arguments.guard, GUARDS)
    subjects = make_subjects(
        arguments.model,
        options,
        fidelity=arguments.fidelity,
        time_limit=arguments.time_limit,
        memory_limit=arguments.memory_limit,
        force=arguments.force,
        predicts=True,
    )
    make_observers(arguments.observe)
    first = subjects[0]
    name = first.workload.name if len(subjects) == 1 else first.model.name
    out = Path(arguments.out) if arguments.out is not None else default_folder("run", name)
    planned: list[PlannedRun] = []
    for subject in subjects:
        configuration = subject.configuration(arguments.knobs or {}, arguments.preset)
        if here:
            subject.refuse_without_memory(configuration)
        planned.append(PlannedRun(subject, configuration, out))
        _own_folder(arguments, planned[-1])
    if arguments.force_output_dir:
        _refuse_shared_folders(planned)
    return planned


def _refuse_shared_folders(planned: Sequence[PlannedRun]) -> None:
    """Refuse two inputs that would replace each other's prediction."""
    names: dict[Path, str] = {}
    for each in planned:
        name = each.subject.workload.name
        if each.folder in names:
            raise UserError(
                f"the inputs {names[each.folder]!r} and {name!r} share the folder {each.folder}: "
                "leave out --force-output-dir, or rename one of them"
            )
        names[each.folder] = name


def _own_folder(arguments: RunArguments, planned: PlannedRun) -> tuple[Path, Path | None]:
    """The folder of a prediction and its manifest; refused if another prediction would be lost."""
    folder, workload = planned.folder, planned.subject.workload
    if not planned.subject.model.named_folders:
        ensure_own_folder(folder, workload)
        return folder, None
    if not arguments.force_output_dir:
        folder = unused_folder(folder, datetime.now())
    manifest = manifest_next_to(folder)
    ensure_own_folder(folder, workload, manifest)
    return folder, manifest


def predictions(arguments: RunArguments, planned: Sequence[PlannedRun]) -> Iterator[RunResult]:
    """Run predictions one after the other, up to one that the user interrupts.

    Parameters
    ----------
    arguments
        Arguments of the call.
    planned
        The predictions, from :func:`planned_runs`.
    """
    for each in planned:
        result = predict(arguments, each)
        yield result
        if result.interrupted:
            return


def predict(arguments: RunArguments, planned: PlannedRun, store: Store | None = None) -> RunResult:
    """Run a prediction in a process of its own.

    Parameters
    ----------
    arguments
        Arguments of the call.
    planned
        The prediction, from :func:`planned_runs`.
    store
        Store of the record; by default the one in the folder of the predictions.

    Raises
    ------
    UserError
        The output folder cannot be read, or it holds the prediction of another input.
    """
    folder, manifest = _own_folder(arguments, planned)
    workload = planned.subject.workload
    if folder != planned.folder:
        sentence = (
            f"{planned.folder} is not empty: the prediction goes to {folder.name} next to it; "
            "--force-output-dir replaces an earlier prediction of the same input"
        )
        workload = replace(workload, notices=(*workload.notices, sentence))
    cache = None if arguments.compile_cache is None else Path(arguments.compile_cache)
    request = TrialRequest(
        workload,
        planned.configuration,
        planned.out,
        planned.subject.limits,
        files=TrialFiles(
            output_folder=folder,
            manifest=manifest,
            overwrite=arguments.force_output_dir,
            compile_cache=cache,
        ),
        guard=arguments.guard,
        observers=tuple(make_observers(arguments.observe)),
    )
    progress = as_progress(arguments.progress)
    warnings = preset_warnings(arguments.preset)
    return measure(
        planned.subject, request, arguments.passes, progress, warnings, arguments.locate, store
    )


def measure(
    subject: Subject,
    request: TrialRequest,
    passes: int,
    progress: CallProgress,
    warnings: Sequence[str],
    locate: bool = False,
    store: Store | None = None,
) -> RunResult:
    """Run a trial and keep its record.

    Parameters
    ----------
    subject
        Model that is measured.
    request
        The trial; the folder of its store keeps the record.
    passes
        Number of timed passes after the first.
    progress
        Follows the trial.
    warnings
        Sentences that are printed before the trial starts.
    locate
        Whether to search for the first bad value if the answer is not finite.
    store
        Store of the record; by default the one in the folder of the trial.
    """
    folder = request.store_folder
    store = Store(folder) if store is None else store
    warnings = (*warnings, *jaxlib_warnings(progress, request.configuration))
    progress.announce(subject.model, [request.workload], warnings)
    trial = ObservedTrial(request)
    with progress.trial(request.configuration.label) as show_stage:
        trial.on_stage = show_stage
        record = run_trial(trial, passes)
    if locate:
        record = with_location(record, folder)
    store.append(record)
    interrupted = record.outcome is Outcome.INTERRUPTED or trial.interrupted
    return RunResult(record, folder, interrupted, trial.not_written)
