"""The study of one workload: executes the decisions of a strategy and stores every record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from perfkit.files import remove, short_digest, write_whole
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.trial.answers import holds_answers
from perfkit.trial.request import TrialFiles, reference_file
from perfkit.tuning.costs import MeasuredCosts
from perfkit.tuning.progress import Progress
from perfkit.tuning.recommend import Recommendation, measured_at_own_fidelity, recommend
from perfkit.tuning.search.evidence import ATTEMPTS, Evidence, gives_up
from perfkit.tuning.search.strategy import (
    Budget,
    Confirm,
    Decision,
    Screen,
    SearchSpace,
    Stop,
    Strategy,
)
from perfkit.tuning.session import Runner, Session, Start
from perfkit.tuning.side_by_side.measuring import InstanceCosts, measure_instances
from perfkit.tuning.space import search_space
from perfkit.tuning.study_plan import StudyPlan

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

COMPILED_FOLDER = "compiled"
"""Folder in the store with the compilation caches of the configurations of each study."""


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
        runner: Runner,
        progress: Progress,
        space: SearchSpace | None = None,
    ) -> None:
        self._plan = plan
        self._strategy = strategy
        self._runner = runner
        self._progress = progress
        self._space = space or search_space(plan.model, plan.workload, plan.catalogue)
        self._deadline_s = runner.now_s() + plan.budget_s
        self._reference_file = reference_file(plan.store.folder, plan.workload)
        self._session: Session | None = None
        self._costs = MeasuredCosts(
            plan.model,
            plan.workload,
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
            with self._new_session() as session:
                self._session = session
                stop = self._search(session) if self._begin(session) else NO_REFERENCE
            self._session = None
            self._stop(stop)
            if stop.final:
                self._settle()
        if self._plan.extrapolate:
            self._measure_parts()
        if self._plan.goal.objective.instances:
            self._measure_instances()

    def records(self) -> list[Record]:
        """All records of the study so far, of every role."""
        return [record for record in self._plan.store.records() if record.study == self._plan.study]

    def recommendation(self) -> Recommendation:
        """The recommendation that the records so far support."""
        return recommend(self.records(), self._plan.goal)

    @property
    def compiled_folder(self) -> Path:
        """Folder in which the trials of this study share their compiled programs."""
        return self._plan.store.folder / COMPILED_FOLDER / self._plan.study

    # -- finished searches --------------------------------------------------------------------

    def _settled_key(self) -> str:
        """Digest of the search: another strategy or another search space makes it a new one."""
        same = [self._strategy.name, self._space.changes, self._plan.goal.key()]
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

    def _begin(self, session: Session) -> bool:
        """Measure the reference where it is missing, and start stock side by side with it.

        Returns
        -------
        bool
            Whether there is a reference to compare answers with.
        """
        plan = self._plan
        for _ in range(ATTEMPTS):
            if holds_answers(self._reference_file):
                break
            reference = plan.catalogue.configuration(plan.model.reference_values)
            start = Start(
                plan.workload,
                reference,
                Role.REFERENCE,
                TrialFiles(save_compared=self._reference_file),
            )
            if reference == STOCK:
                # A session holds one trial per configuration, and the trial of stock is compared
                # with the file.
                with self._new_session() as first:
                    first.open_all([start])
            else:
                stock = [] if session.is_open(STOCK) else [self._start(STOCK, Role.BASE)]
                session.open_all([start, *stock])
                session.close(reference)
        return holds_answers(self._reference_file)

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
        budget = Budget(remaining_s, self._costs)
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
        wanted = [self._start(configuration, Role.SCREEN) for configuration in screen.candidates]
        if screen.fresh or not session.is_open(screen.base):
            session.close_all()
            wanted.insert(0, self._start(screen.base, Role.BASE))
        opened = session.open_all(wanted)
        alive = [
            start.configuration
            for start, lives in zip(wanted, opened, strict=True)
            if lives and start.configuration != screen.base
        ]
        for _ in range(screen.rounds_most):
            undecided = [
                configuration
                for configuration in alive
                if session.is_open(configuration)
                and self._strategy.needs_round(
                    self._living_rounds(session, screen.base, configuration)
                )
            ]
            if not undecided or not session.is_open(screen.base) or self._remaining_s() <= 0:
                break
            session.rounds([screen.base, *undecided], 1)
        winners = self._strategy.winners(self._evidence(), screen.base, alive)
        right = next(
            (configuration for configuration in winners if session.check(configuration)), None
        )
        for configuration in [screen.base, *alive]:
            if configuration != right and (configuration != screen.base or right is not None):
                session.close(configuration)

    def _living_rounds(
        self, session: Session, base: Configuration, candidate: Configuration
    ) -> list[float]:
        """Logarithms of ``base / candidate`` for the rounds of the living processes."""
        groups = self._evidence().screened(base.digest, candidate.digest)
        # The newest processes come last; before their first round they have no group.
        return groups[-1] if groups and session.passes_s(candidate) else []

    def _confirm(self, confirm: Confirm) -> None:
        """Run one block: fresh processes of stock and of each finalist, passed in turns.

        Stock goes first in every other block, so that a machine that becomes steadily slower
        favours neither side.
        """
        done = {record.block for record in self.records() if record.role == Role.CONFIRM}
        members = [STOCK, *confirm.finalists][:: 1 if len(done) % 2 == 0 else -1]
        starts = [self._start(configuration, Role.CONFIRM) for configuration in members]
        # Where memory does not hold all of them, each pass costs a start, and one pass is enough.
        passes = confirm.passes if self._fits(starts) else 1
        with self._new_session() as block:
            block.open_all(starts)
            block.rounds(members, passes)

    def _measure_parts(self) -> None:
        """Measure the parts of stock and of the best configuration, then check the best one."""
        plan = self._plan
        best = self.recommendation().best
        if best is None:
            return
        chosen = plan.catalogue.configuration(best.settings)
        at_low = plan.workload.with_fidelity(**plan.model.part_fidelity())
        missing = [
            configuration
            for configuration in dict.fromkeys([chosen, STOCK])
            if not self._has(configuration, Role.PARTS)
        ]
        while missing and self._remaining_s() < self._costs.parts_s(missing):
            configuration = missing.pop()
            self._progress.say(
                f"no production time for {configuration.label}: the budget is too short to measure "
                "its parts"
            )
        if missing:
            with self._new_session() as session:
                session.open_all(
                    [Start(at_low, configuration, Role.PARTS) for configuration in missing]
                )
                for configuration in missing:
                    session.rounds([configuration], 1)
                    session.trace(configuration)
        if self._has(chosen, Role.CHECK) or not self._has(chosen, Role.PARTS):
            return
        needed_s = self._costs.check_s(chosen)
        if math.isinf(needed_s):
            self._progress.say(
                f"no production time for {chosen.label}: its parts were not measured"
            )
            return
        if self._remaining_s() < needed_s:
            self._progress.say(
                "the budget is too short to check the sum of the parts against a longer run"
            )
            return
        with self._new_session() as session:
            longer = at_low.with_fidelity(**plan.model.check_fidelity())
            if session.open(longer, chosen, Role.CHECK):
                session.rounds([chosen], 1)

    def _reserved_s(self) -> float:
        """Seconds that are kept for instances side by side, if the goal needs them."""
        if not self._plan.goal.objective.instances:
            return 0.0
        return min(MOST_RESERVED * self._plan.budget_s, self._instance_costs(STOCK).least_s())

    def _instance_costs(self, configuration: Configuration) -> InstanceCosts:
        return InstanceCosts(self._costs.start_s(), self._costs.pass_s(configuration))

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

    def _has(self, configuration: Configuration, role: Role) -> bool:
        """Whether a trial of the configuration in this role succeeded, or failed for good."""
        outcomes = [
            record.outcome
            for record in self.records()
            if record.role == role and record.configuration.digest == configuration.digest
        ]
        return Outcome.OK in outcomes or gives_up(outcomes)

    def _live_pass_s(self, configuration: Configuration) -> float | None:
        return self._session.pass_s(configuration) if self._session is not None else None

    def _remaining_s(self) -> float:
        return self._deadline_s - self._runner.now_s()

    # -- trials -------------------------------------------------------------------------------

    def _new_session(self) -> Session:
        plan = self._plan
        return Session(self._runner, self._progress, plan.study, plan.store.append, self._fits)

    def _fits(self, starts: Sequence[Start]) -> bool:
        """Whether memory holds the given trials side by side."""
        estimate = self._plan.model.memory_estimate_bytes
        needed = sum(estimate(start.workload, start.configuration) for start in starts)
        return needed < self._plan.memory_bytes

    def _start(self, configuration: Configuration, role: Role) -> Start:
        # One folder per configuration: JAX's cache does not know the size of the thread pool that
        # a program was compiled for.
        cache = self.compiled_folder / configuration.digest
        files = TrialFiles(reference=self._reference_file, compile_cache=cache)
        return Start(self._plan.workload, configuration, role, files)
