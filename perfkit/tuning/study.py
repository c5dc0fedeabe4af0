"""The study of one workload: executes the decisions of a strategy and stores every record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfkit.files import remove, short_digest, write_whole
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.trial.answers import holds_answers
from perfkit.trial.request import reference_file
from perfkit.tuning.costs import MeasuredCosts
from perfkit.tuning.goals.confirming import worth_confirming
from perfkit.tuning.goals.objectives import Latency, memory_ratio
from perfkit.tuning.memory_exchange import SAME_MEMORY
from perfkit.tuning.parts import PartsMeasurement
from perfkit.tuning.progress import Progress
from perfkit.tuning.recommend import Recommendation, measured_at_own_fidelity, recommend
from perfkit.tuning.search.evidence import ATTEMPTS, Evidence
from perfkit.tuning.search.processes import common_rounds
from perfkit.tuning.search.strategy import (
    Budget,
    Confirm,
    Decision,
    Screen,
    SearchSpace,
    Stop,
    Strategy,
)
from perfkit.tuning.session import Session
from perfkit.tuning.side_by_side.measuring import InstanceCosts, measure_instances
from perfkit.tuning.space import search_space
from perfkit.tuning.study_plan import StudyPlan
from perfkit.tuning.study_records import StudyRecords
from perfkit.tuning.study_trials import SharingRunner, StudyTrials

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
        needed = {workload.digest: workload for workload in (plan.workload, plan.screened)}
        for workload in needed.values():
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
            passes = self._costs.passes_in_block(finalists)
            needed_s = self._costs.block_s(finalists, passes)
            if self._remaining_s() < needed_s + self._costs.parts_s((STOCK, finalists[0])):
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
        found = self.recommendation()
        larger = (
            found.best is not None
            and found.stock is not None
            and memory_ratio(found.best, found.stock) > SAME_MEMORY
        )
        if isinstance(goal.objective, Latency) and not goal.pareto and not larger:
            return ()
        wanted = map(self._plan.catalogue.configuration, worth_confirming(self.records(), goal))
        return tuple(
            configuration
            for configuration in wanted
            if not evidence.failed(configuration.digest)
            and len(evidence.confirmed(STOCK.digest, configuration.digest))
            < evidence.first_look(configuration.digest)
        )

    def _search(self, session: Session) -> Stop:
        while True:
            match decision := self._decide(self._remaining_s() - self._reserved_s()):
                case Screen():
                    self._screen(session, decision)
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

    def _screen(self, session: Session, screen: Screen) -> None:
        """Measure candidates in turns with their base; a winner with a right answer stays open.

        The base is closed if a candidate won, because that one is the base of the next candidates.
        """
        candidates = self._trials.side_by_side(screen, session.living())
        wanted = [
            self._trials.screening(configuration, Role.SCREEN) for configuration in candidates
        ]
        if screen.fresh or not session.is_open(screen.base):
            session.close_all()
            self._trials.renew(screen)
            base = self._trials.screening(screen.base, Role.BASE)
            if not base.shared_process:
                wanted.insert(0, base)
            elif not session.open_all([base])[0]:
                # Without a base, there is nothing to measure the candidates with.
                return
        opened = session.open_all(wanted)
        alive = [
            start.configuration
            for start, lives in zip(wanted, opened, strict=True)
            if lives and start.configuration != screen.base
        ]
        for _ in range(screen.rounds_most):
            undecided = self._undecided(session, screen.base, alive)
            if not undecided or not session.is_open(screen.base) or self._remaining_s() <= 0:
                break
            session.rounds([screen.base, *undecided], 1)
        winners = self._strategy.winners(self._evidence(), self._space, screen.base, alive)
        right = next(
            (configuration for configuration in winners if session.check(configuration)), None
        )
        for configuration in [screen.base, *alive]:
            if configuration != right and (configuration != screen.base or right is not None):
                session.close(configuration)

    def _undecided(
        self, session: Session, base: Configuration, candidates: Sequence[Configuration]
    ) -> list[Configuration]:
        """The open candidates that need another round.

        Where memory holds one trial only, the others are parked, and there are no common rounds.
        """
        living = {process.digest: process for process in session.processes()}
        own = living.get(base.digest)

        def is_undecided(candidate: Configuration) -> bool:
            other = living.get(candidate.digest)
            if own is None or other is None:
                return self._strategy.needs_round([])
            return self._strategy.needs_round(common_rounds(own, other), own.shares_process(other))

        return [one for one in candidates if session.is_open(one) and is_undecided(one)]

    def _confirm(self, confirm: Confirm) -> None:
        """Run one block: fresh processes of stock and of each finalist, passed in turns.

        Stock goes first in every other block, so that a machine that becomes steadily slower
        favours neither side.
        """
        done = {record.block for record in self.records() if record.role == Role.CONFIRM}
        members = [STOCK, *confirm.finalists][:: 1 if len(done) % 2 == 0 else -1]
        starts = [self._trials.confirmation(configuration) for configuration in members]
        # They would hold memory that the block needs.
        self._runner.end_shared()
        # Where memory does not hold all of them, each pass costs a start, and one pass is enough.
        passes = confirm.passes if self._trials.fit(starts) else 1
        with self._trials.session() as block:
            block.open_all(starts)
            block.rounds(members, passes)

    def _reserved_s(self) -> float:
        """Seconds that are kept for instances side by side, if the goal needs them."""
        if not self._plan.goal.objective.instances:
            return 0.0
        return min(MOST_RESERVED * self._plan.budget_s, self._instance_costs(STOCK).least_s())

    def _instance_costs(self, configuration: Configuration) -> InstanceCosts:
        return InstanceCosts(self._costs.start_s(), self._costs.confirmed_pass_s(configuration))

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
            self._instance_costs(configuration),
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
