"""A search that several workers share: its next steps follow from the records of all of them.

Each worker computes the steps anew from the records, takes one that no other worker holds, and
measures it on its own node. No worker coordinates the others, and none keeps anything that the
records do not say.

* A step is one candidate with the incumbent as its control, or one confirmation block with stock.
  Ratios are therefore formed within one node, and a lost worker costs one step.
* A step is named by what is measured and by how often that was measured before, so that two workers
  that come to the same conclusion mean the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from perfkit.files import JsonData, short_digest
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.trial.answers import holds_answers
from perfkit.trial.request import reference_file
from perfkit.tuning.choice.recommend import measured_at_own_fidelity
from perfkit.tuning.search.confirmation import missing_blocks
from perfkit.tuning.search.evidence import ATTEMPTS, Evidence
from perfkit.tuning.search.processes import Process
from perfkit.tuning.search.strategy import (
    Budget,
    Confirm,
    Decision,
    Screen,
    SearchSpace,
    Stop,
    Strategy,
)
from perfkit.tuning.studies.costs import MeasuredCosts
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.steps import Steps
from perfkit.tuning.studies.study import NO_REFERENCE, reserved_s
from perfkit.tuning.studies.study_plan import StudyPlan
from perfkit.tuning.studies.study_records import StudyRecords
from perfkit.tuning.studies.study_trials import SharingRunner, StudyTrials


class SearchStep(BaseModel):
    """A step of a search that one worker measures.

    Attributes
    ----------
    kind
        The reference, a screening of one candidate, or a confirmation block.
    workload
        Digest of the workload of a reference; empty for other steps.
    base
        Settings of the incumbent of a screening; empty for stock.
    candidates
        Settings of the candidate, or of the finalists.
    number
        Number of steps that measured the same before.
    count
        Most rounds of a screening, or passes of a block.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["reference", "screen", "confirm"]
    workload: str = ""
    base: dict[str, str] = Field(default_factory=dict)
    candidates: tuple[dict[str, str], ...] = ()
    number: Annotated[int, Field(ge=0)] = 0
    count: Annotated[int, Field(ge=0)] = 0

    @property
    def subject(self) -> str:
        """Digest of what is measured."""
        same: list[JsonData] = [self.kind, self.workload, self.base, self.candidates]
        return short_digest(same)

    @property
    def key(self) -> str:
        """Digest that names the step within its search."""
        return short_digest([self.subject, self.number])


@dataclass(frozen=True)
class Taken:
    """Steps that workers have taken.

    Attributes
    ----------
    finished
        Those whose records are committed.
    given_up
        Those that cost too many workers. They count as crashes of their first candidate.
    """

    finished: Sequence[SearchStep] = ()
    given_up: Sequence[SearchStep] = ()

    def count(self, step: SearchStep) -> int:
        """Number of closed steps that measured the same."""
        return len(self.numbers(step))

    def numbers(self, step: SearchStep) -> set[int]:
        """Numbers of the closed steps that measured the same."""
        closed = (*self.finished, *self.given_up)
        return {one.number for one in closed if one.subject == step.subject}


class StepCosts(MeasuredCosts):
    """Costs of steps that start their own processes, the control included."""

    def screening_s(
        self, base: Configuration, candidates: Sequence[Configuration], rounds: int
    ) -> float:
        """Seconds to start each candidate with ``base``, and to measure them in turns."""
        return len(candidates) * self.start_s() + super().screening_s(base, candidates, rounds)


class SharedSearch:
    """Finds the next steps of a search, and measures one.

    Parameters
    ----------
    plan
        The workload, the folder and the budget of the study.
    strategy, space
        The strategy, and the space that it searches.
    workers
        Number of workers that share the search.
    """

    def __init__(
        self, plan: StudyPlan, strategy: Strategy, space: SearchSpace, workers: int
    ) -> None:
        self._plan = plan
        self._strategy = strategy
        self._space = space
        self._workers = workers
        self._workloads = {workload.digest: workload for workload in plan.referenced}
        self._answered: set[str] = set()

    def next_steps(
        self, records: Sequence[Record], taken: Taken, remaining_s: float
    ) -> list[SearchStep] | Stop:
        """The steps that are worth taking now, best first; those that are held are among them.

        Parameters
        ----------
        records
            Records of all finished steps.
        taken
            The steps that are closed.
        remaining_s
            Seconds that are left of the budget.
        """
        references = self._references(taken)
        if references is None:
            return NO_REFERENCE
        if references:
            return references
        own = [record for record in records if record.study == self._plan.study]
        evidence = self._evidence(own, taken)
        match decision := self._decision(own, evidence, remaining_s):
            case Screen():
                return [
                    self._step(taken, "screen", decision.base, [candidate], decision.rounds_most)
                    for candidate in decision.candidates
                ]
            case Confirm():
                return self._blocks(decision, evidence, taken)
            case Stop():
                return decision

    def measure(
        self,
        step: SearchStep,
        store: Store,
        runner: SharingRunner,
        progress: Progress,
        deadline_s: float,
    ) -> None:
        """Measure a step on this machine.

        Parameters
        ----------
        step
            The step.
        store
            Shows the records of the study, and keeps those of the step.
        runner
            Makes the trials.
        progress
            Receives the events.
        deadline_s
            Time of the clock of ``runner`` after which a screening ends.
        """
        plan = replace(self._plan, store=store)
        kept = StudyRecords(store, plan.study)
        trials = StudyTrials(plan, runner, progress, kept)
        steps = Steps(trials, runner, self._strategy, self._space)
        candidates = tuple(map(plan.catalogue.configuration, step.candidates))
        try:
            if step.kind == "confirm":
                steps.confirm(Confirm(candidates, step.count), step.number)
                return
            with trials.session() as session:
                if step.kind == "reference":
                    session.open_all([trials.reference(self._workloads[step.workload])])
                    return
                base = plan.catalogue.configuration(step.base)
                steps.screen(
                    session,
                    Screen(base, candidates, step.count, fresh=True),
                    lambda: Evidence.of_records(
                        measured_at_own_fidelity(kept.all()), session.processes()
                    ),
                    lambda: runner.now_s() < deadline_s,
                )
        finally:
            runner.end_shared()

    def label(self, step: SearchStep) -> str:
        """What a step measures, in a few words."""
        configuration = self._plan.catalogue.configuration
        names = ", ".join(configuration(settings).label for settings in step.candidates)
        if step.kind == "reference":
            return f"reference of {self._workloads[step.workload].depth} depth"
        if step.kind == "confirm":
            return f"confirm {names}: block {step.number + 1}"
        again = f" ({step.number + 1})" if step.number else ""
        return f"screen {names} on {configuration(step.base).label}{again}"

    def _references(self, taken: Taken) -> list[SearchStep] | None:
        """The references that are missing; None if one of them has failed for good."""
        found = []
        for digest, workload in self._workloads.items():
            if digest in self._answered or holds_answers(
                reference_file(self._plan.store.folder, workload)
            ):
                self._answered.add(digest)
                continue
            step = SearchStep(kind="reference", workload=digest)
            number = taken.count(step)
            if number >= ATTEMPTS:
                return None
            found.append(step.model_copy(update={"number": number}))
        return found

    def _decision(
        self, records: Sequence[Record], evidence: Evidence, remaining_s: float
    ) -> Decision:
        plan = self._plan
        costs = StepCosts(
            plan.model,
            plan.workload,
            plan.screened,
            lambda: records,
            extrapolates=plan.extrapolate,
        )
        left_s = remaining_s - reserved_s(plan, costs)
        budget = Budget(left_s, costs, plan.shared_processes, self._workers)
        return self._strategy.decide(evidence, self._space, budget)

    def _evidence(self, records: Sequence[Record], taken: Taken) -> Evidence:
        crashes = [
            Process(
                configuration.digest,
                Role.SCREEN,
                None,
                outcome=Outcome.CRASHED,
                settings=configuration.settings,
            )
            for step in taken.given_up
            for configuration in map(self._plan.catalogue.configuration, step.candidates[:1])
            for _ in range(ATTEMPTS)
        ]
        return Evidence.of_records(measured_at_own_fidelity(records), crashes)

    def _blocks(self, confirm: Confirm, evidence: Evidence, taken: Taken) -> list[SearchStep]:
        """The blocks that are missing for the next interval: they do not depend on each other."""
        first = self._step(taken, "confirm", STOCK, confirm.finalists, confirm.passes)
        closed = taken.numbers(first)
        missing = max(1, missing_blocks(evidence, confirm.finalists[0]))
        return [
            first.model_copy(update={"number": number})
            for number in range(len(closed) + missing)
            if number not in closed
        ]

    def _step(
        self,
        taken: Taken,
        kind: Literal["screen", "confirm"],
        base: Configuration,
        candidates: Sequence[Configuration],
        count: int,
    ) -> SearchStep:
        step = SearchStep(
            kind=kind,
            base=base.as_dict(),
            candidates=tuple(candidate.as_dict() for candidate in candidates),
            count=count,
        )
        return step.model_copy(update={"number": taken.count(step)})


class Ended:
    """A strategy whose search has ended; what remains is measured once.

    Parameters
    ----------
    inner
        The strategy that searched.
    stop
        Its last decision.
    """

    def __init__(self, inner: Strategy, stop: Stop) -> None:
        self.name = inner.name
        self._inner = inner
        self._stop = stop

    @property
    def key(self) -> str:
        """Key of the strategy that searched."""
        return self._inner.key

    def check(self, space: SearchSpace) -> None:
        """Refuse a space that the strategy cannot search."""
        self._inner.check(space)

    def decide(self, evidence: Evidence, space: SearchSpace, budget: Budget) -> Decision:
        """The last decision."""
        return self._stop

    def needs_round(self, logarithms: Sequence[float], together: bool = False) -> bool:
        """As the strategy that searched."""
        return self._inner.needs_round(logarithms, together)

    def winners(
        self,
        evidence: Evidence,
        space: SearchSpace,
        base: Configuration,
        candidates: Sequence[Configuration],
    ) -> Sequence[Configuration]:
        """As the strategy that searched."""
        return self._inner.winners(evidence, space, base, candidates)
