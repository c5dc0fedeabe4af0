"""The study of one workload: executes the decisions of a strategy and stores every record."""

from __future__ import annotations

from pathlib import Path

from perfkit.files import remove, short_digest, write_whole
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.trial.answers import holds_answers
from perfkit.trial.request import reference_file
from perfkit.tuning.choice.memory_exchange import SAME_MEMORY
from perfkit.tuning.choice.parts import PartsMeasurement
from perfkit.tuning.choice.recommend import Recommendation, measured_at_own_fidelity, recommend
from perfkit.tuning.goals.confirming import smaller_equal, worth_confirming
from perfkit.tuning.goals.objectives import Latency, memory_ratio
from perfkit.tuning.search.confirmation import (
    is_confirmed,
    missing_blocks,
    passes_before_interval,
)
from perfkit.tuning.search.evidence import ATTEMPTS, Evidence
from perfkit.tuning.search.strategy import (
    Budget,
    Confirm,
    Decision,
    Screen,
    SearchSpace,
    Stop,
    Strategy,
)
from perfkit.tuning.side_by_side.measuring import InstanceCosts, measure_instances
from perfkit.tuning.space import search_space
from perfkit.tuning.studies.costs import MeasuredCosts
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.session import Session
from perfkit.tuning.studies.steps import Steps
from perfkit.tuning.studies.study_plan import StudyPlan
from perfkit.tuning.studies.study_records import StudyRecords
from perfkit.tuning.studies.study_trials import SharingRunner, StudyTrials

NO_REFERENCE = Stop(
    (
        f"the reference failed {ATTEMPTS} times, so that no answer can be checked; run the same "
        "command to try again",
    ),
    final=False,
)

MOST_RESERVED = 0.4
"""Largest share of the budget that is kept for instances side by side: without a search, there
would be nothing to run in them."""


class Study:
    """Runs a plan; :meth:`run` may be interrupted at any moment and called again.

    Decisions follow from the records of the study and from the living trials only, so that a
    resumed study continues as if it had not been interrupted.

    Parameters
    ----------
    plan
        The workload, the store, and the budget.
    strategy
        Decides what is measured next.
    runner
        Makes the trials.
    progress
        Receives the events.
    space
        Changes to try; by default those that are worth trying on this machine.

    Attributes
    ----------
    unfinished
        What :meth:`run` left undone: one sentence for each step, with the reason.
    """

    def __init__(
        self,
        plan: StudyPlan,
        strategy: Strategy,
        runner: SharingRunner,
        progress: Progress,
        space: SearchSpace | None = None,
    ) -> None:
        self._plan = plan
        self._strategy = strategy
        self._runner = runner
        self._progress = progress
        self._space = space or search_space(plan.model, plan.workload, plan.catalogue)
        self._deadline_s = runner.now_s() + plan.budget_s
        self._session: Session | None = None
        self._kept = StudyRecords(plan.store, plan.study)
        self._trials = StudyTrials(plan, runner, progress, self._kept)
        self._steps = Steps(self._trials, runner, strategy, self._space)
        self._costs = MeasuredCosts(
            plan.model,
            plan.workload,
            plan.screened,
            self.records,
            self._live_pass_s,
            extrapolates=plan.extrapolate,
        )
        self._earlier = {record.id for record in self.records()}
        self.unfinished: tuple[str, ...] = ()

    def run(self) -> None:
        """Measure until the strategy stops or the budget is spent."""
        if self._is_settled():
            self._stop(self._decide(remaining_s=0.0))
        else:
            try:
                stop = self._searched() if self._has_references() else NO_REFERENCE
            finally:
                self._runner.end_shared()
            self._stop(stop)
            if stop.final:
                self._settle()
        if self._plan.extrapolate:
            parts = PartsMeasurement(self._plan, self._trials, self._costs, self._progress)
            parts.run(self.records, self.recommendation().best, self._remaining_s)
        if self._plan.goal.objective.instances:
            self._measure_instances()

    def records(self) -> list[Record]:
        """All records of the study so far, of every role."""
        return self._kept.all()

    def recommendation(self) -> Recommendation:
        """The recommendation that the records so far support."""
        return recommend(self.records(), self._plan.goal)

    @property
    def compiled_folder(self) -> Path:
        """Folder in which the trials of this study share their compiled programs."""
        return self._trials.compiled_folder

    # -- finished searches --------------------------------------------------------------------

    def _settled_key(self) -> str:
        """Digest of the search: another strategy or another search space makes it a new one."""
        same = [self._strategy.key, self._space.key, self._plan.goal.key()]
        return short_digest(same)

    @property
    def _settled_file(self) -> Path:
        return self._plan.store.folder / f"settled-{self._plan.study}-{self._settled_key()}"

    def _is_settled(self) -> bool:
        """Whether an earlier call finished the same search with at least the same budget."""
        try:
            return self._plan.budget_s <= float(self._settled_file.read_text())
        except (OSError, ValueError):
            # There is no such file, or a crash left it empty.
            return False

    def _settle(self) -> None:
        """Mark the search as finished and delete its compiled programs (half a gigabyte)."""
        remove(self.compiled_folder)
        write_whole(self._settled_file, f"{self._plan.budget_s}\n", "mark of a settled study")

    # -- steps --------------------------------------------------------------------------------

    def _has_references(self) -> bool:
        """Whether there are references to compare answers with; missing ones are measured.

        The answer of a shallow network is compared with that of the reference at the same depth.
        """
        plan = self._plan
        for workload in plan.referenced:
            answers = reference_file(plan.store.folder, workload)
            for _ in range(ATTEMPTS):
                if holds_answers(answers):
                    break
                with self._trials.session() as session:
                    session.open_all([self._trials.reference(workload)])
            if not holds_answers(answers):
                return False
        return True

    def _searched(self) -> Stop:
        """Follow the strategy until it stops."""
        with self._trials.session() as session:
            self._session = session
            stop = self._search(session)
        self._session = None
        self._confirm_for_goal()
        return stop

    def _confirm_for_goal(self) -> None:
        """Confirm what the goal needs in addition to the strategy's finalists, if time allows.

        A strategy confirms what is fastest. Configurations that need less memory, or cost less,
        have to be compared with that.
        """
        plan = self._plan
        while finalists := self._unconfirmed_for_goal():
            evidence = self._evidence()
            blocks = max(missing_blocks(evidence, finalist) for finalist in finalists)
            left_s = self._remaining_s() - self._costs.parts_s((STOCK, finalists[0]))
            passes = passes_before_interval(finalists, blocks, self._costs, left_s)
            if blocks * self._costs.block_s(finalists, passes) > left_s:
                names = ", ".join(configuration.label for configuration in finalists)
                self._progress.say(
                    f"not confirmed, because the budget is too short: {names}, which the objective "
                    f"{plan.goal.objective.text} would compare with the fastest"
                )
                return
            self._confirm(Confirm(finalists, passes))

    def _unconfirmed_for_goal(self) -> tuple[Configuration, ...]:
        """The configurations that the goal needs, and that have too few blocks for an interval."""
        goal, evidence = self._plan.goal, self._evidence()
        known_memory = self._plan.catalogue.known_memory
        records, found = self.records(), self.recommendation()
        if isinstance(goal.objective, Latency) and not goal.pareto and not _needs_more(found):
            best = found.best
            smaller = best and smaller_equal(records, goal, best.digest, known_memory)
            wanted = [smaller] if smaller else []
        else:
            wanted = list(worth_confirming(records, goal, known_memory=known_memory))
        return tuple(
            configuration
            for configuration in map(self._plan.catalogue.configuration, wanted)
            if not evidence.failed(configuration.digest)
            and not is_confirmed(evidence, configuration)
        )

    def _search(self, session: Session) -> Stop:
        while True:
            match decision := self._decide(
                self._remaining_s() - reserved_s(self._plan, self._costs)
            ):
                case Screen():
                    self._steps.screen(
                        session, decision, self._evidence, lambda: self._remaining_s() > 0
                    )
                case Confirm():
                    session.close_all()
                    self._confirm(decision)
                case Stop():
                    return decision

    def _decide(self, remaining_s: float) -> Decision:
        budget = Budget(remaining_s, self._costs, self._plan.shared_processes)
        return self._strategy.decide(self._evidence(), self._space, budget)

    def _stop(self, decision: Decision) -> None:
        """Report what is left undone."""
        self.unfinished = decision.reasons if isinstance(decision, Stop) else ()
        for reason in self.unfinished:
            self._progress.say(reason)

    def _confirm(self, confirm: Confirm) -> None:
        done = {record.block for record in self.records() if record.role == Role.CONFIRM}
        self._steps.confirm(confirm, len(done))

    def _measure_instances(self) -> None:
        """Measure the best configuration in several instances side by side."""
        best = self.recommendation().best
        if best is None:
            return
        configuration = self._plan.catalogue.configuration(best.settings)
        measure_instances(
            self._runner,
            self._plan,
            configuration,
            best.peak_rss_bytes,
            _instance_costs(self._costs, configuration),
            remaining_s=self._remaining_s,
            progress=self._progress,
            cache=self.compiled_folder,
        )
        # It has stored records of its own.
        self._kept.read_again()

    # -- evidence -----------------------------------------------------------------------------

    def _evidence(self) -> Evidence:
        alive = self._session.processes() if self._session is not None else ()
        compared = measured_at_own_fidelity(self.records())
        counted = [record for record in compared if not self._is_forgiven(record)]
        return Evidence.of_records(counted, alive)

    def _is_forgiven(self, record: Record) -> bool:
        """Whether stock crashed in an earlier run: each run tries stock again."""
        crashed = record.outcome in (Outcome.CRASHED, Outcome.OUT_OF_MEMORY, Outcome.TIMEOUT)
        return crashed and not record.configuration.settings and record.id in self._earlier

    def _live_pass_s(self, configuration: Configuration) -> float | None:
        return self._session.pass_s(configuration) if self._session is not None else None

    def _remaining_s(self) -> float:
        return self._deadline_s - self._runner.now_s()


def _needs_more(found: Recommendation) -> bool:
    """Whether the recommended configuration needs more memory than stock."""
    if found.best is None or found.stock is None:
        return False
    return memory_ratio(found.best, found.stock) > SAME_MEMORY


def reserved_s(plan: StudyPlan, costs: MeasuredCosts) -> float:
    """Seconds of the budget that are kept for instances side by side, if the goal needs them."""
    if not plan.goal.objective.instances:
        return 0.0
    return min(MOST_RESERVED * plan.budget_s, _instance_costs(costs, STOCK).least_s())


def _instance_costs(costs: MeasuredCosts, configuration: Configuration) -> InstanceCosts:
    return InstanceCosts(costs.start_s(), costs.confirmed_pass_s(configuration))
