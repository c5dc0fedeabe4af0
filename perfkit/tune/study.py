"""The tuning of one workload: executes what a strategy decides, and keeps every record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from perfkit.errors import UserError
from perfkit.files import remove, short_digest, write_whole
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.knobs.space import promising, search_settings
from perfkit.records.roles import OTHER_FIDELITY, Role
from perfkit.records.schema import Outcome, Record
from perfkit.trial.answers import holds_answers
from perfkit.trial.request import TrialFiles, reference_file
from perfkit.tune.costs import MeasuredCosts
from perfkit.tune.progress import Progress
from perfkit.tune.recommend import Recommendation, recommend
from perfkit.tune.search.evidence import ATTEMPTS, Evidence, gives_up
from perfkit.tune.search.screening import Standing, Verdict, judge, mean_gain, standing
from perfkit.tune.search.strategy import (
    Budget,
    Change,
    Confirm,
    Decision,
    Screen,
    SearchSpace,
    Stop,
    Strategy,
)
from perfkit.tune.session import Runner, Session, Start
from perfkit.tune.study_plan import StudyPlan

NO_REFERENCE = Stop(
    (
        f"the reference failed {ATTEMPTS} times, so that no answer can be checked; the same "
        "command tries again",
    ),
    final=False,
)

COMPILED_FOLDER = "compiled"
"""Folder below the store's with the compilation caches of each study's configurations."""


def search_space(plan: StudyPlan, knobs: Sequence[str] | None = None) -> SearchSpace:
    """What a tuning tries on this machine, in order.

    What changes how much is computed comes first, because it shrinks all that follows. The
    model's own such knobs are tried in one step, because each pass of stock is dear; where the
    step fails they are tried one by one. So are then the knobs that have won a little on every
    machine: together they stand out of the noise.

    Parameters
    ----------
    plan
        The study's.
    knobs
        Names of the knobs to search; by default all of them.

    Raises
    ------
    UserError
        A knob is unknown, or has no value to try on this machine.
    """
    own = plan.model.search_values(plan.workload)
    first: list[tuple[str, str]] = [
        (name, value) for name, listed in own.items() for value in listed
    ]
    rest = [one for one in search_settings(plan.catalogue) if one[0] not in own]
    together = tuple((name, listed[0]) for name, listed in own.items())
    bundles = [bundle for bundle in (together, promising(rest)) if len(bundle) > 1]
    singles: list[Change] = [(setting,) for setting in [*first, *rest]]
    changes = (*bundles, *singles)
    if knobs is not None:
        changes = _restricted(plan.catalogue, changes, knobs)
    return SearchSpace(plan.catalogue, changes)


def _restricted(
    catalogue: Catalogue, changes: Sequence[Change], knobs: Sequence[str]
) -> tuple[Change, ...]:
    """The changes that set only the named knobs."""
    names = {catalogue.knob(name).name for name in knobs}
    chosen = tuple(change for change in changes if names.issuperset(dict(change)))
    missing = sorted(names.difference(*(dict(change) for change in chosen)))
    if missing:
        raise UserError(
            f"knob {missing[0]!r} has no value that is worth trying here; leave it out, or "
            "measure values of your own with perfkit sweep"
        )
    return chosen


class Study:
    """Runs a plan; :meth:`run` may be interrupted at any moment and called again.

    All decisions are taken from the records of the study and from the trials that are alive,
    never from memory, which is what makes resuming the same thing as going on.

    Parameters
    ----------
    plan
        What is tuned, where records go, and the budget.
    strategy
        Decides what is measured next.
    runner, progress
        What makes trials, and who follows them.
    space
        What may be tried; by default what is worth trying on this machine.
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
        self._space = search_space(plan) if space is None else space
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
        self._earlier = {one.id for one in self.records()}
        self.unfinished: tuple[str, ...] = ()
        """What :meth:`run` left undone and why, one sentence each."""

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

    def records(self) -> list[Record]:
        """All records of the study so far, of every role."""
        return [one for one in self._plan.store.records() if one.study == self._plan.study]

    def recommendation(self) -> Recommendation:
        """What the records so far support."""
        return recommend([one for one in self.records() if one.role not in OTHER_FIDELITY])

    @property
    def compiled_folder(self) -> Path:
        """Where this study's trials share their programs."""
        return self._plan.store.folder / COMPILED_FOLDER / self._plan.study

    # -- settled ------------------------------------------------------------------------------

    def _settled_key(self) -> str:
        """Digest of what was searched and how: a knob added since makes it another search."""
        same = [self._strategy.name, self._space.changes]
        return short_digest(same)

    @property
    def _settled_file(self) -> Path:
        return self._plan.store.folder / f"settled-{self._plan.study}-{self._settled_key()}"

    def _is_settled(self) -> bool:
        """Whether an earlier call made the same search with no smaller a budget."""
        try:
            return self._plan.budget_s <= float(self._settled_file.read_text())
        except (OSError, ValueError):
            # It is not there, or a crash left it empty.
            return False

    def _settle(self) -> None:
        """Leave the mark of a finished search, and none of its programs (half a gigabyte)."""
        remove(self.compiled_folder)
        write_whole(self._settled_file, f"{self._plan.budget_s}\n", "mark of a settled study")

    # -- steps --------------------------------------------------------------------------------

    def _begin(self, session: Session) -> bool:
        """Make the reference, where there is none, with stock starting at its side.

        Returns
        -------
        bool
            Whether there is a reference that answers can be held against.
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
                # A session has one trial of a configuration, and stock's is held against the file.
                with self._new_session() as first:
                    first.open_all([start])
            else:
                stock = [] if session.is_open(STOCK) else [self._start(STOCK, Role.BASE)]
                session.open_all([start, *stock])
                session.close(reference)
        return holds_answers(self._reference_file)

    def _search(self, session: Session) -> Stop:
        while True:
            match decision := self._decide(self._remaining_s()):
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
        """Say what is left undone."""
        self.unfinished = decision.reasons if isinstance(decision, Stop) else ()
        for reason in self.unfinished:
            self._progress.say(reason)

    def _screen(self, session: Session, screen: Screen) -> None:
        """Measure candidates in turns with their base; what won and is right stays open.

        The base is closed where something won, since the next candidates are held against that.
        """
        wanted = [self._start(one, Role.SCREEN) for one in screen.candidates]
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
                one
                for one in alive
                if session.is_open(one) and self._verdict(screen.base, one) is Verdict.OPEN
            ]
            if not undecided or not session.is_open(screen.base) or self._remaining_s() <= 0:
                break
            session.rounds([screen.base, *undecided], 1)
        winners = [one for one in alive if standing(self._groups(screen.base, one)) is Standing.WON]
        winners.sort(key=lambda one: -mean_gain(self._groups(screen.base, one)))
        right = next((one for one in winners if session.check(one)), None)
        for one in [screen.base, *alive]:
            if one != right and (one != screen.base or right is not None):
                session.close(one)

    def _groups(self, base: Configuration, candidate: Configuration) -> list[list[float]]:
        return self._evidence().screened(base.digest, candidate.digest)

    def _verdict(self, base: Configuration, candidate: Configuration) -> Verdict:
        """What the processes that are alive say."""
        groups = self._groups(base, candidate)
        # The youngest processes come last; before their first round there is none of theirs.
        alive = self._session is not None and bool(self._session.passes_s(candidate))
        return judge(groups[-1]) if groups and alive else Verdict.OPEN

    def _confirm(self, confirm: Confirm) -> None:
        """One block: a process for stock and for each finalist, started anew, passed in turns.

        Stock goes first in every other block, so that a machine that becomes steadily slower
        favours neither side.
        """
        done = {one.block for one in self.records() if one.role == Role.CONFIRM}
        members = [STOCK, *confirm.finalists][:: 1 if len(done) % 2 == 0 else -1]
        starts = [self._start(one, Role.CONFIRM) for one in members]
        # Where memory does not hold all of them each pass costs a start, and one says as much.
        passes = confirm.passes if self._fits(starts) else 1
        with self._new_session() as block:
            block.open_all(starts)
            block.rounds(members, passes)

    def _measure_parts(self) -> None:
        """The parts of the best configuration and of stock, then a longer run of the best."""
        plan = self._plan
        best = self.recommendation().best
        if best is None:
            return
        chosen = plan.catalogue.configuration(best.settings)
        at_low = plan.workload.with_fidelity(**plan.model.part_fidelity())
        missing = [one for one in dict.fromkeys([chosen, STOCK]) if not self._has(one, Role.PARTS)]
        while missing and self._remaining_s() < self._costs.parts_s(missing):
            one = missing.pop()
            self._progress.say(
                f"no production time for {one.label}: the budget is too short to measure its parts"
            )
        if missing:
            with self._new_session() as session:
                session.open_all([Start(at_low, one, Role.PARTS) for one in missing])
                for one in missing:
                    session.rounds([one], 1)
                    session.trace(one)
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
                "the budget is too short to check the sum of the parts by a longer run"
            )
            return
        with self._new_session() as session:
            longer = at_low.with_fidelity(**plan.model.check_fidelity())
            if session.open(longer, chosen, Role.CHECK):
                session.rounds([chosen], 1)

    # -- what is known ------------------------------------------------------------------------

    def _evidence(self) -> Evidence:
        alive = self._session.processes() if self._session is not None else ()
        compared = [
            one
            for one in self.records()
            if one.role not in OTHER_FIDELITY and not self._is_forgiven(one)
        ]
        return Evidence.of_records(compared, alive)

    def _is_forgiven(self, record: Record) -> bool:
        """Whether a record is of stock that crashed in an earlier run: each run tries it anew."""
        crashed = record.outcome in (Outcome.CRASHED, Outcome.OUT_OF_MEMORY, Outcome.TIMEOUT)
        return crashed and not record.configuration.settings and record.id in self._earlier

    def _has(self, configuration: Configuration, role: Role) -> bool:
        """Whether a trial of the configuration in this role ran well, or failed for good."""
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
        """Whether memory holds such trials side by side."""
        estimate = self._plan.model.memory_estimate_bytes
        needed = sum(estimate(one.workload, one.configuration) for one in starts)
        return needed < self._plan.memory_bytes

    def _start(self, configuration: Configuration, role: Role) -> Start:
        # A folder for each configuration: JAX's cache does not know the size of the thread pool
        # that a program was compiled for.
        cache = self.compiled_folder / configuration.digest
        files = TrialFiles(reference=self._reference_file, compile_cache=cache)
        return Start(self._plan.workload, configuration, role, files)
