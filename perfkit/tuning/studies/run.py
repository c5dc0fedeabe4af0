"""Tune one workload: the function behind ``perfkit tune`` and behind notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.models import get_model
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.machine import available_memory_bytes
from perfkit.records.schema import Record
from perfkit.records.store import Store
from perfkit.trial.limits import SHARE_OF_AVAILABLE_MEMORY, Limits
from perfkit.tuning.choice.extrapolate import Extrapolation, extrapolate
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.tuning.choice.result import TuningResult
from perfkit.tuning.goals.constraints import constrained_space
from perfkit.tuning.goals.goal import Goal
from perfkit.tuning.goals.objectives import Latency
from perfkit.tuning.preset import PRESET_NAME, measured_context, save_front, save_preset
from perfkit.tuning.search.registry import make_strategy
from perfkit.tuning.search.strategy import SearchSpace, Strategy
from perfkit.tuning.space import search_space
from perfkit.tuning.studies.live import LiveRunner
from perfkit.tuning.studies.progress import Progress, SilentProgress
from perfkit.tuning.studies.study import Study
from perfkit.tuning.studies.study_plan import StudyPlan
from perfkit.tuning.studies.study_trials import SharingRunner
from perfkit.units import parse_duration

DEFAULT_BUDGET = "17m"
"""Leaves five of the twenty minutes that a first `make tune` may take for the installation."""

LEAST_LIMIT_S = 1800.0
"""Smallest default time limit of a trial, in seconds, however small the budget."""

INTERRUPTED = "interrupted: all measurements are kept; the same command resumes"


def tune_workload(
    workload: Workload,
    folder: Path,
    *,
    budget_s: float = parse_duration(DEFAULT_BUDGET),
    knobs: Sequence[str] | None = None,
    space: SearchSpace | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    observers: Sequence[str] = (),
    extrapolates: bool = True,
    model: Model | None = None,
    strategy: Strategy | None = None,
    runner: SharingRunner | None = None,
    goal: Goal | None = None,
    starts: Sequence[Configuration] = (),
) -> TuningResult:
    """Find the best configuration of a workload that gives the same answer as stock.

    Records are appended to the store in ``folder``. The same call resumes a study that was
    interrupted, and a larger budget continues it.

    Parameters
    ----------
    workload
        Model, input and the fidelity at which configurations are compared.
    folder
        Folder of the records and of the preset; created if necessary.
    budget_s
        Wall seconds from now.
    knobs
        Names of the knobs to search; by default all that are worth trying on this machine.
    space
        What is searched, instead of the values worth trying of ``knobs``.
    progress
        Receives the events of the study; by default nothing is shown.
    limits
        Time and memory limits of each trial. Without a time limit, a trial may take twice the
        budget, and at least :data:`LEAST_LIMIT_S`.
    observers
        Names of the observers of each trial, see :mod:`perfkit.observers.registry`.
    extrapolates
        Whether to measure the parts of the model to predict the time of a production prediction.
    model
        The model; by default the registered one of the workload's name.
    strategy
        Decides what is measured next, see :mod:`perfkit.tuning.search.registry`; by default
        coordinate ascent.
    runner
        Makes the trials; by default they run on this machine.
    goal
        Objective and constraints; by default the shortest prediction.
    starts
        Configurations that won elsewhere; they are tried first.

    Raises
    ------
    UserError
        A knob is unknown or has no value to try on this machine, the space is too large for the
        strategy, no value keeps the constraints, or the folder cannot be written.
    """
    model = get_model(workload.model) if model is None else model
    progress = SilentProgress() if progress is None else progress
    goal = Goal() if goal is None else goal
    if runner is None:
        runner = LiveRunner(folder, timed_limits(limits, budget_s), progress.stage, observers)
    plan = study_plan(
        model,
        workload,
        Store(folder),
        budget_s=budget_s,
        extrapolates=extrapolates,
        observers=observers,
        goal=goal,
    )
    if space is None:
        space = search_space(model, workload, plan.catalogue, knobs=knobs)
    space = goal_space(space, plan, starts)
    strategy = make_strategy() if strategy is None else strategy
    strategy.check(space)
    study = Study(plan, strategy, runner, progress, space)
    interrupted = False
    try:
        study.run()
    except KeyboardInterrupt:
        interrupted = True
        progress.say(INTERRUPTED)
    records, recommendation = study.records(), study.recommendation()
    preset: Path | None = None
    front: tuple[Path, ...] = ()
    if recommendation.best is not None:
        preset = folder / PRESET_NAME
        context = measured_context(records)
        save_preset(preset, model.name, recommendation, context)
        front = save_front(folder, model.name, recommendation, context)
    return TuningResult(
        records=tuple(records),
        recommendation=recommendation,
        extrapolations=tuple(production_times(model, workload, records, recommendation)),
        folder=folder,
        preset=preset,
        front=front,
        unfinished=study.unfinished,
        interrupted=interrupted,
    )


def study_plan(
    model: Model,
    workload: Workload,
    store: Store,
    *,
    budget_s: float,
    extrapolates: bool,
    observers: Sequence[str],
    goal: Goal,
) -> StudyPlan:
    """The plan of a tuning on this machine; the parameters are those of :func:`tune_workload`."""
    return StudyPlan(
        model=model,
        catalogue=Catalogue(model.knobs),
        workload=workload,
        store=store,
        budget_s=budget_s,
        memory_bytes=available_memory_bytes() * SHARE_OF_AVAILABLE_MEMORY,
        extrapolate=extrapolates,
        shared_processes=not observers,
        goal=goal,
    )


def goal_space(space: SearchSpace, plan: StudyPlan, starts: Sequence[Configuration]) -> SearchSpace:
    """The part of a space that the goal of a plan allows, with configurations to try first.

    Raises
    ------
    UserError
        No value keeps the constraints.
    """
    goal = plan.goal
    space = constrained_space(space.started_from(starts), goal.constraints, plan.model)
    if isinstance(goal.objective, Latency):
        space = replace(space, memory_exchange=goal.objective.memory_exchange)
    return space


def production_times(
    model: Model, workload: Workload, records: Sequence[Record], recommendation: Recommendation
) -> list[Extrapolation]:
    """Predicted times of a production prediction.

    Returns
    -------
    list of Extrapolation
        Of stock, then of the recommended configuration, where their parts were measured.
    """
    production = {axis.name: axis.production for axis in model.fidelity_axes}
    chosen = model.resolved_fidelity(production, workload)
    counts = model.part_counts(chosen, workload)
    rows = dict.fromkeys(
        row.digest for row in (recommendation.stock, recommendation.best) if row is not None
    )
    found = (extrapolate(records, digest, chosen, counts) for digest in rows)
    return [extrapolation for extrapolation in found if extrapolation is not None]


def timed_limits(limits: Limits | None, budget_s: float) -> Limits:
    """``limits`` with a time limit: a trial that hangs has to end some day."""
    limits = Limits() if limits is None else limits
    if limits.time_s is not None:
        return limits
    return replace(limits, time_s=max(2 * budget_s, LEAST_LIMIT_S))
