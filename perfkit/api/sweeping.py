"""The full grid of sizes, CPU counts and knob values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from perfkit.api.jaxlib_check import jaxlib_warnings
from perfkit.api.jaxlib_files import comparisons_of, save_known_answers
from perfkit.api.jaxlibs import make_versions
from perfkit.api.knob_values import Values, knob_values, texts_of
from perfkit.api.progress import ProgressLike, as_progress, run_interruptibly
from perfkit.api.reporting import PAGE_NAME
from perfkit.api.study_results import SweepResult
from perfkit.api.subject import (
    Fidelity,
    OptionValue,
    Subject,
    at_least,
    default_folder,
    make_subject,
)
from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.knobs.space import grid, read_configurations
from perfkit.models import DEFAULT_MODEL
from perfkit.models.workload import Workload
from perfkit.observers.registry import make_observers
from perfkit.records.schema import Record
from perfkit.records.store import Store
from perfkit.report.study_page import study_page
from perfkit.report.writing import write_report
from perfkit.tuning.jaxlibs import JaxlibComparison
from perfkit.tuning.live import LiveRunner
from perfkit.tuning.recommend import recommend
from perfkit.tuning.sweep import Sweep, SweepPlan


def sweep(
    *,
    model: str = DEFAULT_MODEL,
    sizes: Values | None = None,
    cpus: Values | None = None,
    knobs: Mapping[str, Values] | None = None,
    configurations: Path | str | None = None,
    jaxlib: str | Sequence[str] | None = None,
    rounds: int = 3,
    observe: Sequence[str] = (),
    out: Path | str | None = None,
    fidelity: Fidelity | None = None,
    time_limit: str | float | None = None,
    memory_limit: str | int | None = None,
    force: bool = False,
    progress: ProgressLike = None,
    **options: OptionValue,
) -> SweepResult:
    """Measure every combination of sizes, CPU counts and knob values, as ``perfkit sweep`` does.

    Interrupting a sweep keeps all finished trials; the same call resumes.

    Parameters
    ----------
    model
        Name of the model.
    sizes
        Sizes of synthetic inputs in the model's unit, e.g. ``[32, 64]`` or ``"32,64"``; None
        measures the input.
    cpus
        Numbers of CPUs, e.g. ``[1, 2]``.
    knobs
        Values of each knob, e.g. ``{"allocator": ["glibc", "jemalloc"]}``.
    configurations
        TOML file with a list ``[[configuration]]`` of knob values, instead of `cpus` and `knobs`.
    jaxlib
        Versions of jaxlib, e.g. ``"0.11.0,0.12.0.1"``: each combination is measured under each of
        them, in turns. A version is installed once, in an environment of its own.
    rounds
        Number of timed passes of each trial.
    observe
        Names of the observers that look at each trial.
    out
        Folder for records and page; by default below ``perfkit-results``.
    fidelity
        ``low`` (the default) or ``production``.
    time_limit
        Wall time of each trial: seconds, or text such as ``20m``.
    memory_limit
        Resident memory of each trial: bytes, or text such as ``16GB``.
    force
        Whether to run even where memory is predicted not to suffice.
    progress
        Function that receives one line of progress at a time, e.g. ``print``; None is silent.
    **options
        The model's own options and fidelity axes, as on the command line.

    Returns
    -------
    SweepResult
        Records, the ranking of each workload, and the path of the page.

    Raises
    ------
    UserError
        An argument is impossible, the input is bad, a version of jaxlib does not install, or the
        folder cannot be written.

    Examples
    --------
    >>> swept = perfkit.sweep(model="af3", sizes=[32, 64], cpus=[1, 2])  # doctest: +SKIP
    >>> frame = perfkit.read_records(swept.folder)  # doctest: +SKIP
    """
    at_least("rounds", rounds, 1)
    subject = make_subject(
        model,
        options,
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
    )
    workloads = _workloads(subject, sizes)
    chosen = _configurations(subject, cpus, knobs or {}, configurations)
    shown = as_progress(progress)
    versions = None if jaxlib is None else make_versions(jaxlib, shown)
    impossible: list[str] = []
    if versions is not None:
        crossed, impossible = versions.configurations(subject.model, chosen)
        chosen = sorted(crossed, key=lambda configuration: configuration != STOCK)
        if not chosen:
            raise UserError(f"there is nothing to measure: {impossible[0]}")
    for configuration in chosen:
        configuration.ensure_possible()
        for workload in workloads:
            subject.refuse_without_memory(configuration, workload)
    make_observers(observe)
    folder = Path(out) if out is not None else default_folder("sweep", subject.model.name)
    plan = SweepPlan(
        model=subject.model,
        catalogue=subject.catalogue if versions is None else versions.catalogue(subject.model),
        workloads=tuple(workloads),
        configurations=tuple(chosen),
        store=Store(folder),
        rounds=rounds,
        interpreters={} if versions is None else versions.interpreters,
        reference_jaxlib=None if versions is None else versions.reference,
    )
    shown.announce(subject.model, workloads, jaxlib_warnings(shown))
    # Each workload has a reference trial in addition to its cells.
    with shown.study(trials=plan.trials + len(workloads)) as study:
        for sentence in impossible:
            study.say(sentence)
        runner = LiveRunner(folder, subject.limits, study.stage, observe, plan.interpreters)
        measuring = Sweep(plan, runner, study)
        interrupted = run_interruptibly(measuring.run, study)
    comparisons: tuple[JaxlibComparison, ...] = ()
    if versions is not None:
        save_known_answers(folder, versions.known)
        comparisons = comparisons_of(measuring.records(), versions.known)
    return _finish(plan, measuring.records(), folder, interrupted, comparisons)


def _workloads(subject: Subject, sizes: Values | None) -> list[Workload]:
    if sizes is None:
        return [subject.workload]
    if "input" in subject.workload.source:
        raise UserError("--sizes makes its own inputs: leave out --input")
    return [
        subject.model.resized(subject.workload, size) for size in dict.fromkeys(texts_of(sizes))
    ]


def _configurations(
    subject: Subject,
    cpus: Values | None,
    knobs: Mapping[str, Values],
    file: Path | str | None,
) -> list[Configuration]:
    """Stock first where the grid holds it: the others are paired with the first one."""
    if file is not None:
        if knobs or cpus is not None:
            raise UserError("--configurations replaces --knob and --cpus: leave them out")
        return read_configurations(subject.catalogue, Path(file))
    if cpus is not None and CPUS_KNOB.name in knobs:
        raise UserError(f"knob {CPUS_KNOB.name!r} is given twice: write its values in one place")
    given = dict(knobs) if cpus is None else {**knobs, CPUS_KNOB.name: cpus}
    axes = {name: knob_values(subject.catalogue, name, values) for name, values in given.items()}
    found = grid(subject.catalogue, axes)
    return sorted(found, key=lambda configuration: configuration != STOCK)


def _finish(
    plan: SweepPlan,
    records: Sequence[Record],
    folder: Path,
    interrupted: bool,
    comparisons: tuple[JaxlibComparison, ...],
) -> SweepResult:
    """Rank the configurations of each workload and write the page."""
    rankings = []
    for workload in plan.workloads:
        own = [one for one in records if one.workload.digest == workload.digest]
        if own:
            title = f"{workload.name} ({workload.size} {plan.model.size_unit})"
            rankings.append((title, recommend(own)))
    page = None
    if records:
        page = folder / PAGE_NAME
        title = f"sweep of {len(plan.workloads)} inputs with {plan.model.name}"
        document = study_page(records, None, [], title, None, jaxlibs=comparisons)
        write_report(page, document)
    return SweepResult(tuple(records), tuple(rankings), folder, page, interrupted, comparisons)
