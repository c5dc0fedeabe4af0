"""The fit of a model's laws, which plans and tables rest on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.api.progress import ProgressLike, as_progress, run_interruptibly
from perfkit.api.reporting import PAGE_NAME
from perfkit.api.subject import (
    Fidelity,
    KnobValue,
    OptionValue,
    Subject,
    default_folder,
    make_subject,
    seconds_of,
)
from perfkit.api.versions.jaxlib_check import jaxlib_warnings
from perfkit.capacity.bounds import MOST_PASSES
from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.fit import FIT_NAME, ModelFit
from perfkit.capacity.laws.fit_plan import FitPlan, contrasting, parse_cpu_counts
from perfkit.capacity.laws.measure import FitMeasurement
from perfkit.capacity.laws.runner import LiveFitRunner
from perfkit.capacity.laws.terms import features_of
from perfkit.errors import UserError
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.cpus import allowed_cpus
from perfkit.models import DEFAULT_MODEL, get_model
from perfkit.models.workload import Workload
from perfkit.observers.roofline.ceilings import measured_ceilings
from perfkit.records.schema import Record
from perfkit.records.store import Store, read_records
from perfkit.report.fit_page import fit_page
from perfkit.report.writing import write_report
from perfkit.tuning.preset import load_preset

BUDGET_S = 30 * 60.0
"""Default wall seconds after which a fit starts no trial that it can do without."""


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


def fit_model(
    *,
    model: str = DEFAULT_MODEL,
    sizes: str | None = None,
    shallow_sizes: str | None = None,
    held_out: str = "",
    compile_sizes: str | None = None,
    cpus: str = "1",
    rounds: int = 5,
    repeats: int = 1,
    budget: str | float = BUDGET_S,
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
    shallow_sizes
        Sizes whose times are predicted from the shallow network, which takes a fraction of the
        time; None takes the model's own, or none if `sizes` is given.
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
    budget
        Time after which no more shallow sizes, CPU counts and instances side by side are measured:
        seconds, or text such as ``30m``. Trials that the fit needs are always made.
    knobs, preset
        Configuration to fit, as for :func:`perfkit.api.running.run`. Without a preset, inputs are
        padded as little as possible, unless a knob sets the padding.
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
    ensure_count("rounds", rounds)
    ensure_count("repeats", repeats)
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
    budget_s = seconds_of(budget)
    configuration = fit_configuration(subject, knobs or {}, preset)
    workloads = _workloads(subject, options, sizes or costs.sizes.fit)
    _refuse_alike(workloads, configuration)
    if shallow_sizes is None:
        shallow_sizes = costs.sizes.shallow if sizes is None else ""
    compiled = compile_sizes if compile_sizes is not None else costs.sizes.compiled
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
        further=_shallow_workloads(subject, options, shallow_sizes),
        budget_s=budget_s,
    )
    for workload in (*measured.workloads, *measured.held_out):
        subject.refuse_without_memory(configuration, workload)
    warnings = jaxlib_warnings(as_progress(progress), configuration)
    records = measure_missing(measured, subject, folder, progress, warnings)
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


def fit_configuration(
    subject: Subject, knobs: Mapping[str, KnobValue], preset: Path | str | None
) -> Configuration:
    """Return the configuration of a fit or calibration.

    Parameters
    ----------
    subject
        What is measured.
    knobs, preset
        As a user gives them. Without a preset,
        :attr:`perfkit.models.costs.CostModel.fit_settings` apply, unless a knob overrides them.
    """
    own = subject.model.costs.fit_settings if preset is None else {}
    values: dict[str, KnobValue] = {**own, **knobs}
    return subject.configuration(values, preset)


def ensure_count(name: str, value: int) -> None:
    """Refuse a number of passes or trials that is not sensible.

    Raises
    ------
    UserError
        Names the option.
    """
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


def _shallow_workloads(
    subject: Subject, options: Mapping[str, OptionValue], text: str
) -> tuple[Workload, ...]:
    """The same with the shallow network.

    Raises
    ------
    UserError
        The model has no shallow network.
    """
    full = _workloads(subject, options, text)
    found = [one for each in full if (one := subject.model.shallow(each)) is not None]
    if len(found) < len(full):
        raise UserError(f"{subject.model.name} has no shallow network: leave out --shallow-sizes")
    return tuple(found)


def _refuse_alike(workloads: Sequence[Workload], configuration: Configuration) -> None:
    """Refuse sizes that are all padded to one: they say nothing about a law.

    Raises
    ------
    UserError
        Names the sizes and the knob.
    """
    settings = configuration.as_dict()
    found = {tuple(sorted(features_of(one, settings).items())) for one in workloads}
    if len(workloads) > 1 and len(found) == 1:
        knob = get_model(workloads[0].model).costs.padding_knob
        listed = ", ".join(str(one.size) for one in workloads)
        raise UserError(
            f"the sizes {listed} are all padded alike in configuration {configuration.label!r}, so "
            f"that a fit cannot distinguish them: set the knob {knob!r}, or give larger --sizes"
        )


def measure_missing(
    measured: FitPlan,
    subject: Subject,
    folder: Path,
    progress: ProgressLike,
    warnings: Sequence[str] = (),
) -> list[Record]:
    """Run the trials of a fit or calibration that its store does not hold.

    Parameters
    ----------
    measured
        The trials.
    subject
        What is measured, with the limits of each trial.
    folder
        Folder of the store.
    progress
        Reports trials.
    warnings
        Sentences to report first.

    Returns
    -------
    list of Record
        All records of the study.

    Raises
    ------
    KeyboardInterrupt
        The user interrupted the measurement; all finished trials are kept.
    """
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
