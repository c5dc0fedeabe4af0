"""The measurements that plans rest on: the fit of a model's laws, and a machine's calibration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.api.jaxlib_check import jaxlib_warnings
from perfkit.api.progress import ProgressLike, as_progress, run_interruptibly
from perfkit.api.reporting import PAGE_NAME
from perfkit.api.subject import (
    Fidelity,
    KnobValue,
    OptionValue,
    Subject,
    default_folder,
    make_subject,
    preset_warnings,
)
from perfkit.capacity.bounds import MOST_PASSES
from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.calibration import Calibration, calibrate, earlier_calibration
from perfkit.capacity.laws.fit import FIT_NAME, ModelFit
from perfkit.capacity.laws.measure import (
    FitMeasurement,
    FitPlan,
    contrasting,
    parse_cpu_counts,
)
from perfkit.capacity.laws.runner import LiveFitRunner
from perfkit.errors import UserError
from perfkit.knobs.cpus import allowed_cpus
from perfkit.models import DEFAULT_MODEL
from perfkit.models.workload import Workload
from perfkit.observers.roofline.ceilings import measured_ceilings
from perfkit.records.schema import Record
from perfkit.records.store import Store, read_records
from perfkit.report.fit_page import fit_page
from perfkit.report.writing import write_report
from perfkit.tuning.preset import load_preset

CALIBRATION_NAME = "calibration.toml"
"""File name of a calibration in its folder."""


@dataclass(frozen=True)
class FitResult:
    """The fitted laws of a model.

    Attributes
    ----------
    fit
        Laws of time and memory.
    path
        File of the fit, for plans.
    page
        File of the page.
    """

    fit: ModelFit
    path: Path
    page: Path


@dataclass(frozen=True)
class CalibrationResult:
    """The measured speed of this machine.

    Attributes
    ----------
    calibration
        Trials and rates of the machine.
    path
        File of the calibration, for inventories.
    dropped
        Models of an earlier calibration in the same file that was dropped, because it was measured
        on another machine or with other packages.
    """

    calibration: Calibration
    path: Path
    dropped: tuple[str, ...] = ()


def fit_model(
    *,
    model: str = DEFAULT_MODEL,
    sizes: str | None = None,
    held_out: str = "",
    compile_sizes: str | None = None,
    cpus: str = "1",
    rounds: int = 5,
    repeats: int = 1,
    knobs: Mapping[str, KnobValue] | None = None,
    preset: Path | str | None = None,
    out: Path | str | None = None,
    fidelity: Fidelity | None = None,
    time_limit: str | float | None = None,
    memory_limit: str | int | None = None,
    force: bool = False,
    progress: ProgressLike = None,
    **options: OptionValue,
) -> FitResult:
    """Measure a model's parts at small sizes and fit its laws, as ``perfkit plan fit`` does.

    The same call resumes an interrupted measurement.

    Parameters
    ----------
    model
        Name of the model.
    sizes
        Sizes to fit, in the model's unit and with commas; None takes the model's own.
    held_out
        Sizes that only judge the fit, at most twice the largest.
    compile_sizes
        Sizes that are only compiled, for their memory; None takes the model's own.
    cpus
        CPU counts in addition to all CPUs, with commas.
    rounds
        Number of timed passes of each trial.
    repeats
        Number of trials of each size.
    knobs, preset
        Configuration to fit, as for :func:`perfkit.api.running.run`.
    out
        Folder for records, fit and page; by default below ``perfkit-results``.
    fidelity, time_limit, memory_limit, force, progress, **options
        As for :func:`perfkit.api.running.run`.

    Raises
    ------
    UserError
        An argument is impossible, or the trials do not support a fit.
    KeyboardInterrupt
        The user interrupted the measurement; all finished trials are kept.
    """
    _ensure_count("rounds", rounds)
    _ensure_count("repeats", repeats)
    subject = make_subject(
        model,
        options,
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
        plans=True,
    )
    if "input" in subject.workload.source:
        raise UserError("a fit makes its own inputs: leave out --input")
    costs = subject.model.costs
    workloads = _workloads(subject, options, sizes or costs.sizes.fit)
    compiled = compile_sizes if compile_sizes is not None else costs.sizes.compiled
    configuration = subject.configuration(knobs or {}, preset)
    folder = Path(out) if out is not None else default_folder("fit", subject.model.name)
    measured = FitPlan(
        model=subject.model,
        workloads=(*workloads, *contrasting(workloads, costs.contrast)),
        held_out=tuple(_workloads(subject, options, held_out)),
        compiled=tuple(_workloads(subject, options, compiled)),
        configuration=configuration,
        cpu_counts=parse_cpu_counts(cpus, len(allowed_cpus())),
        store=Store(folder),
        rounds=rounds,
        repeats=repeats,
    )
    for workload in (*measured.workloads, *measured.held_out):
        subject.refuse_without_memory(configuration, workload)
    warnings = jaxlib_warnings(as_progress(progress), configuration)
    records = _measure(measured, subject, folder, progress, warnings)
    instances = None if preset is None else load_preset(Path(preset)).instances
    found = {
        "ceilings": dataclasses.asdict(measured_ceilings()),
        "instance_cpus": None if instances is None else instances.cpus,
    }
    return _finish_fit(records, folder, found)


def fit_records(
    folder: Path | str, *, configuration: str | None = None, out: Path | str | None = None
) -> FitResult:
    """Fit the laws to records that exist, as ``perfkit plan fit --from`` does.

    Parameters
    ----------
    folder
        Folder of the records.
    configuration
        Label of the configuration to fit; needed if the folder holds several.
    out
        Folder for fit and page; None takes the folder of the records.

    Raises
    ------
    UserError
        There are no such records, or they do not support a fit.
    """
    records = read_records(Path(folder))
    if configuration is not None:
        records = [one for one in records if one.configuration.label == configuration]
        if not records:
            raise UserError(f"{folder} holds no records of {configuration!r}")
    return _finish_fit(records, Path(folder if out is None else out), {})


def calibrate_machine(
    *,
    model: str = DEFAULT_MODEL,
    rounds: int = 5,
    knobs: Mapping[str, KnobValue] | None = None,
    preset: Path | str | None = None,
    out: Path | str | None = None,
    fidelity: Fidelity | None = None,
    time_limit: str | float | None = None,
    memory_limit: str | int | None = None,
    force: bool = False,
    progress: ProgressLike = None,
    **options: OptionValue,
) -> CalibrationResult:
    """Measure how fast this machine is, as ``perfkit calibrate`` does.

    Measures a matrix product and a copy, and runs a small real trial on all CPUs, on one CPU, and
    in several processes at once. The same call resumes an interrupted measurement.

    Parameters
    ----------
    model
        Name of the model.
    rounds
        Number of timed passes of each trial.
    knobs, preset
        Configuration of the trials, as for :func:`perfkit.api.running.run`.
    out
        Folder for records and calibration; by default below ``perfkit-results``.
    fidelity, time_limit, memory_limit, force, progress, **options
        As for :func:`perfkit.api.running.run`.

    Raises
    ------
    UserError
        An argument is impossible, or the trial failed.
    KeyboardInterrupt
        The user interrupted the measurement; all finished trials are kept.
    """
    _ensure_count("rounds", rounds)
    subject = make_subject(
        model,
        options,
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
        plans=True,
    )
    workload = subject.workload
    costs = subject.model.costs
    if not set(costs.input_options) & set(workload.source):
        workload = subject.model.resized(workload, costs.sizes.calibration)
    workload = workload.with_fidelity(**subject.model.part_fidelity())
    configuration = subject.configuration(knobs or {}, preset)
    subject.refuse_without_memory(configuration, workload)
    folder = Path(out) if out is not None else default_folder("calibration")
    measured = FitPlan(
        model=subject.model,
        workloads=(workload,),
        held_out=(),
        compiled=(),
        configuration=configuration,
        cpu_counts=(1,) if len(allowed_cpus()) > 1 else (),
        store=Store(folder),
        rounds=rounds,
        cached=False,
    )
    # A file that cannot be used is reported before minutes are spent.
    path = folder / CALIBRATION_NAME
    before = earlier_calibration(path)
    shown = as_progress(progress)
    warnings = (*preset_warnings(preset), *jaxlib_warnings(shown, configuration))
    shown.announce(subject.model, [workload], warnings)
    ceilings = dataclasses.asdict(measured_ceilings())
    records = _measure(measured, subject, folder, progress)
    own = [one for one in records if one.workload.digest == workload.digest]
    made = calibrate(own, ceilings, before)
    made.save(path)
    dropped: tuple[str, ...] = ()
    if before is not None and not made.measured_like(before):
        dropped = tuple(sorted({trial.model for trial in before.trials}))
    return CalibrationResult(made, path, dropped)


def _ensure_count(name: str, value: int) -> None:
    if not 1 <= value <= MOST_PASSES:
        raise UserError(f"--{name} takes 1 or more, up to {MOST_PASSES}, not {value}")


def _workloads(subject: Subject, options: Mapping[str, OptionValue], text: str) -> list[Workload]:
    """Synthetic inputs of the sizes in ``text``, smallest first, at the fidelity of the parts."""
    fidelity = dict(subject.model.part_fidelity())
    for axis in subject.model.fidelity_axes:
        if options.get(axis.name) is not None:
            fidelity[axis.name] = subject.workload.fidelity[axis.name]
    sizes = dict.fromkeys(word.strip() for word in text.split(",") if word.strip())
    found = [subject.model.resized(subject.workload, size) for size in sizes]
    return sorted((one.with_fidelity(**fidelity) for one in found), key=lambda one: one.size)


def _measure(
    measured: FitPlan,
    subject: Subject,
    folder: Path,
    progress: ProgressLike,
    warnings: Sequence[str] = (),
) -> list[Record]:
    """Run the trials of a fit or calibration; the records of the study."""
    with as_progress(progress).study(trials=measured.trials) as study:
        for sentence in warnings:
            study.say(f"warning: {sentence}")
        runner = LiveFitRunner(folder, subject.limits, study.stage)
        measurement = FitMeasurement(measured, runner, study)
        interrupted = run_interruptibly(measurement.run, study)
    if interrupted:
        raise KeyboardInterrupt
    return measurement.records()


def _finish_fit(records: Sequence[Record], folder: Path, found: Mapping[str, object]) -> FitResult:
    """Fit, add what the records do not hold, save and draw."""
    fit = assemble(records).model_copy(update=dict(found))
    path, page = folder / FIT_NAME, folder / PAGE_NAME
    fit.save(path)
    write_report(page, fit_page(fit, records))
    return FitResult(fit, path, page)
