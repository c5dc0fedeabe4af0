"""One measured prediction: plain, or profiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from perfkit.api.jaxlib_check import jaxlib_warnings
from perfkit.api.progress import CallProgress, ProgressLike, as_progress
from perfkit.api.results import RunResult
from perfkit.api.subject import (
    Fidelity,
    KnobValue,
    OptionValue,
    Subject,
    at_least,
    default_folder,
    make_subject,
)
from perfkit.diagnose.locate.record import with_location
from perfkit.errors import unknown_name
from perfkit.models import DEFAULT_MODEL
from perfkit.observers.registry import OBSERVERS, make_observers
from perfkit.records.schema import Outcome
from perfkit.records.store import Store
from perfkit.trial.launcher import run_trial
from perfkit.trial.messages import GUARD_LIFT, GUARD_OFF, GUARD_ZERO
from perfkit.trial.observed import ObservedTrial
from perfkit.trial.request import TrialFiles, TrialRequest
from perfkit.trial.worker.output_folder import ensure_own_folder

GUARDS = (GUARD_OFF, GUARD_LIFT, GUARD_ZERO)
"""Modes of the domain guard."""

PROFILE_PAGE_NAME = "profile.html"
"""File name of the page of a profile, in its folder."""


def run(
    *,
    model: str = DEFAULT_MODEL,
    knobs: Mapping[str, KnobValue] | None = None,
    preset: Path | str | None = None,
    guard: str = GUARD_LIFT,
    locate: bool = False,
    observe: Sequence[str] = (),
    passes: int = 1,
    compile_cache: Path | str | None = None,
    out: Path | str | None = None,
    fidelity: Fidelity | None = None,
    time_limit: str | float | None = None,
    memory_limit: str | int | None = None,
    force: bool = False,
    progress: ProgressLike = None,
    **options: OptionValue,
) -> RunResult:
    """Run one guarded, measured prediction in a process of its own, as ``perfkit run`` does.

    Parameters
    ----------
    model
        Name of the model.
    knobs
        Knob values by name, e.g. ``{"cpus": 1}``; they override the preset's.
    preset
        File of the preset to start from; None starts from stock.
    guard
        Mode of the domain guard. ``lift`` lifts operands that left their domain by rounding,
        ``zero`` also returns zero for differences that are rounding, ``off`` does nothing.
    locate
        Whether to search for the first bad value if the answer is not finite.
    observe
        Names of the observers that look at the trial, e.g. ``cpu`` or ``memory``.
    passes
        Number of timed passes after the first.
    compile_cache
        Folder of compiled programs to read from and add to; None compiles everything.
    out
        Folder for the prediction and the record; by default below ``perfkit-results``.
    fidelity
        ``low`` or ``production``; None takes production with real weights, else low.
    time_limit
        Wall time of the trial: seconds, or text such as ``20m``.
    memory_limit
        Resident memory of the trial: bytes, or text such as ``16GB``.
    force
        Whether to run even where memory is predicted not to suffice.
    progress
        Function that receives one line of progress at a time, e.g. ``print``; None is silent.
    **options
        The model's own options and fidelity axes, as on the command line: ``size=76``,
        ``input="fold.json"``, ``steps=20``.

    Returns
    -------
    RunResult
        The record and the folder; a trial that fails is a record too, not an exception.

    Raises
    ------
    UserError
        An argument is impossible, the input is bad, or the folder cannot be written.

    Examples
    --------
    >>> result = perfkit.run(model="gencast", resolution=10, mesh=1)  # doctest: +SKIP
    >>> result.record.outcome  # doctest: +SKIP
    <Outcome.OK: 'ok'>
    """
    at_least("passes", passes, 0)
    if guard not in GUARDS:
        raise unknown_name("guard", guard, GUARDS)
    subject = make_subject(
        model,
        options,
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
        predicts=True,
    )
    configuration = subject.configuration(knobs or {}, preset)
    observers = tuple(make_observers(observe))
    subject.refuse_without_memory(configuration)
    folder = Path(out) if out is not None else default_folder("run", subject.workload.name)
    ensure_own_folder(folder, subject.workload)
    cache = None if compile_cache is None else Path(compile_cache)
    request = TrialRequest(
        subject.workload,
        configuration,
        folder,
        subject.limits,
        files=TrialFiles(output_folder=folder, compile_cache=cache),
        guard=guard,
        observers=observers,
    )
    return _measure(subject, request, passes, as_progress(progress), locate)


def profile(
    *,
    model: str = DEFAULT_MODEL,
    knobs: Mapping[str, KnobValue] | None = None,
    preset: Path | str | None = None,
    observe: Sequence[str] = tuple(OBSERVERS),
    passes: int = 1,
    out: Path | str | None = None,
    fidelity: Fidelity | None = None,
    time_limit: str | float | None = None,
    memory_limit: str | int | None = None,
    force: bool = False,
    progress: ProgressLike = None,
    **options: OptionValue,
) -> RunResult:
    """Measure where time and memory of a prediction go, as ``perfkit profile`` does.

    Runs one timed trial, and further trials for the observers that would disturb it.

    Parameters
    ----------
    model, knobs, preset, time_limit, memory_limit, force, progress, **options
        As for :func:`run`.
    observe
        Names of the observers; all by default.
    passes
        Number of timed passes after the first; at least 1.
    out
        Folder for the record, the observers' files and the page.
    fidelity
        ``low`` (the default) or ``production``.

    Returns
    -------
    RunResult
        The record with the observers' findings, and the page.

    Raises
    ------
    UserError
        An argument is impossible, the input is bad, or the folder cannot be written.

    Examples
    --------
    >>> profiled = perfkit.profile(model="af3", size=16, observe=["cpu"])  # doctest: +SKIP
    >>> profiled.record.observations["cpu"].data  # doctest: +SKIP
    """
    at_least("passes", passes, 1)
    subject = make_subject(
        model,
        options,
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
    )
    configuration = subject.configuration(knobs or {}, preset)
    observers = tuple(make_observers(observe))
    subject.refuse_without_memory(configuration)
    names = ("profile", subject.model.name, subject.workload.name)
    folder = Path(out) if out is not None else default_folder(*names)
    request = TrialRequest(
        subject.workload, configuration, folder, subject.limits, observers=observers
    )
    result = _measure(subject, request, passes, as_progress(progress))
    # Drawing takes most of the import of this module, and a plain run draws nothing.
    from perfkit.report.profile_page import profile_page
    from perfkit.report.writing import write_report

    page = folder / PROFILE_PAGE_NAME
    write_report(page, profile_page(result.record, folder))
    return RunResult(result.record, folder, result.interrupted, page=page)


def _measure(
    subject: Subject,
    request: TrialRequest,
    passes: int,
    progress: CallProgress,
    locate: bool = False,
) -> RunResult:
    """Run a trial and keep its record."""
    folder = request.store_folder
    store = Store(folder)
    warnings = jaxlib_warnings(progress, request.configuration)
    progress.announce(subject.model, [subject.workload], warnings)
    trial = ObservedTrial(request)
    with progress.trial(request.configuration.label) as show_stage:
        trial.on_stage = show_stage
        record = run_trial(trial, passes)
    if locate:
        record = with_location(record, folder)
    store.append(record)
    interrupted = record.outcome is Outcome.INTERRUPTED or trial.interrupted
    return RunResult(record, folder, interrupted, trial.not_written)
