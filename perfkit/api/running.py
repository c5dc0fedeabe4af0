"""Measured predictions: plain ones, and a profiled one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from perfkit.api.predictions import RunArguments, measure, planned_runs, predict, predictions
from perfkit.api.progress import ProgressLike, as_progress
from perfkit.api.results import RunResult
from perfkit.api.subject import (
    Fidelity,
    KnobValue,
    OptionValue,
    at_least,
    default_folder,
    make_subject,
    preset_warnings,
)
from perfkit.errors import UserError
from perfkit.models import DEFAULT_MODEL
from perfkit.observers.registry import OBSERVERS, make_observers
from perfkit.trial.messages import GUARD_LIFT
from perfkit.trial.request import TrialRequest


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
    force_output_dir: bool = False,
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
        Folder for the prediction and the record; by default below ``perfkit-results``. Models that
        name their folders, such as AlphaFold 3, write the prediction to a folder in it.
    fidelity
        ``low`` or ``production``; None takes production with real weights, else low.
    time_limit
        Wall time of the trial: seconds, or text such as ``20m``.
    memory_limit
        Resident memory of the trial: bytes, or text such as ``16GB``.
    force
        Whether to run even where memory is predicted not to suffice.
    force_output_dir
        Whether the files of an earlier prediction of the same input are replaced, where the
        prediction would otherwise go to a new folder with the time in its name.
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
        An argument is impossible, the options name several inputs, an input is bad, or the folder
        cannot be written.

    Examples
    --------
    >>> result = perfkit.run(model="gencast", resolution=10, mesh=1)  # doctest: +SKIP
    >>> result.record.outcome  # doctest: +SKIP
    <Outcome.OK: 'ok'>
    """
    arguments = RunArguments(
        model=model,
        knobs=knobs,
        preset=preset,
        guard=guard,
        locate=locate,
        observe=observe,
        passes=passes,
        compile_cache=compile_cache,
        out=out,
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
        force_output_dir=force_output_dir,
        progress=progress,
    )
    planned = planned_runs(arguments, options)
    if len(planned) > 1:
        raise UserError(
            f"the options name {len(planned)} inputs: perfkit.run_each takes the same arguments "
            "and predicts them in turn"
        )
    return predict(arguments, planned[0])


def run_each(**arguments: Any) -> Iterator[RunResult]:
    """Run one prediction per input, one after the other, as ``perfkit run`` does.

    All arguments and inputs are checked before the first prediction starts.

    Parameters
    ----------
    **arguments
        As for :func:`run`. The model's options may name several inputs, such as the folder
        ``input_dir`` or a file of several AlphaFold Server jobs.

    Returns
    -------
    iterator of RunResult
        The result of each prediction as soon as it has ended. A failed prediction does not end the
        others; an interrupted one does.

    Raises
    ------
    UserError
        An argument is impossible, an input is bad, or the folder cannot be written.

    Examples
    --------
    >>> for result in perfkit.run_each(model="af3", input_dir="inputs"):  # doctest: +SKIP
    ...     print(result.record.workload.name, result.record.outcome)
    """
    own = {field.name for field in fields(RunArguments)}
    common = RunArguments(**{name: value for name, value in arguments.items() if name in own})
    options = {name: value for name, value in arguments.items() if name not in own}
    return predictions(common, planned_runs(common, options))


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
    warnings = preset_warnings(preset)
    result = measure(subject, request, passes, as_progress(progress), warnings)
    # Drawing takes most of the import of this module, and a plain run draws nothing.
    from perfkit.api.report_sources import PROFILE_PAGE_NAME
    from perfkit.report.profile.page import profile_page
    from perfkit.report.writing import write_report

    page = folder / PROFILE_PAGE_NAME
    write_report(page, profile_page(result.record, folder))
    return RunResult(result.record, folder, result.interrupted, page=page)
