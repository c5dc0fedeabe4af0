"""What a tuning searches, and for what: its arguments, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from perfkit.api.knob_values import Values, searched_knobs
from perfkit.api.subject import (
    RESULTS_FOLDER,
    Fidelity,
    OptionValue,
    Subject,
    make_subject,
    seconds_of,
)
from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK
from perfkit.knobs.host import this_host
from perfkit.models import DEFAULT_MODEL
from perfkit.observers.registry import make_observers
from perfkit.presets.starting import StartingPoint, starting_points
from perfkit.tuning.goals.goal import DEFAULT_OBJECTIVE, Goal, make_goal
from perfkit.tuning.search.registry import make_strategy
from perfkit.tuning.search.strategy import SearchSpace, Strategy
from perfkit.tuning.space import search_space
from perfkit.tuning.studies.run import DEFAULT_BUDGET


@dataclass(frozen=True)
class TuningSetup:
    """A tuning that is ready to begin.

    Attributes
    ----------
    subject
        Model, workload and limits.
    budget_s
        Wall seconds.
    goal
        Objective and constraints.
    strategy, space
        The strategy, and the space that it searches.
    starts
        Configurations that won elsewhere.
    """

    subject: Subject
    budget_s: float
    goal: Goal
    strategy: Strategy
    space: SearchSpace
    starts: tuple[StartingPoint, ...]


def tuning_setup(
    *,
    model: str = DEFAULT_MODEL,
    budget: str | float = DEFAULT_BUDGET,
    knobs: Sequence[str] | Mapping[str, Values | None] | None = None,
    space: Path | str | None = None,
    widen: bool = False,
    strategy: Strategy | str | None = None,
    observe: Sequence[str] = (),
    fidelity: Fidelity | None = None,
    time_limit: str | float | None = None,
    memory_limit: str | int | None = None,
    force: bool = False,
    objective: str = DEFAULT_OBJECTIVE,
    slack: str | float | None = None,
    memory_exchange: str | float | None = None,
    price: str | float | None = None,
    agreement: str | None = None,
    preload: bool = True,
    pareto: bool = False,
    cold: bool = False,
    **options: OptionValue,
) -> TuningSetup:
    """Check the arguments of a tuning; they are those of :func:`perfkit.tune`.

    Raises
    ------
    UserError
        An argument is impossible, the input is bad, a package of the strategy is missing, or memory
        does not suffice for the reference.
    """
    budget_s = seconds_of(budget)
    subject = make_subject(
        model,
        options,
        fidelity=fidelity,
        time_limit=time_limit,
        memory_limit=memory_limit,
        force=force,
    )
    make_observers(observe)
    goal = make_goal(
        objective,
        slack=slack,
        memory_exchange=memory_exchange,
        price=price,
        agreement=agreement,
        preload=preload,
        memory_bytes=subject.limits.memory_bytes,
        pareto=pareto,
    )
    chosen = make_strategy(strategy) if isinstance(strategy, str) else strategy or make_strategy()
    searched = _space(subject, searched_knobs(subject.catalogue, knobs, space), widen=widen)
    chosen.check(searched)
    reference = subject.catalogue.configuration(subject.model.reference_values)
    for configuration in (STOCK, reference):
        subject.refuse_without_memory(configuration)
    starts = () if cold else _starts(subject, searched)
    return TuningSetup(subject, budget_s, goal, chosen, searched, starts)


def _starts(subject: Subject, space: SearchSpace) -> tuple[StartingPoint, ...]:
    """Configurations that won elsewhere, from the shipped presets and those of earlier tunings."""
    return starting_points(
        subject.model.name,
        subject.workload.size,
        this_host(),
        subject.catalogue,
        Path(RESULTS_FOLDER),
        knobs=space.values.keys(),
        worth_trying=partial(subject.model.worth_trying, subject.workload),
    )


def _space(subject: Subject, knobs: dict[str, list[str]] | None, *, widen: bool) -> SearchSpace:
    if widen and knobs is None:
        raise UserError("--widen adds to the knobs of --knob or --space: give one of them")
    return search_space(
        subject.model, subject.workload, subject.catalogue, knobs=knobs, widen=widen
    )
