"""The tuning of one workload: reference, stock, screening, confirmation, parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.knobs.space import promising, search_settings
from perfkit.records.schema import Record
from perfkit.stats.bootstrap import Interval
from perfkit.trial.request import TrialFiles, reference_file
from perfkit.tune.estimates import Estimates
from perfkit.tune.extrapolate import CHECK_ROLE, PARTS_ROLE
from perfkit.tune.known import (
    SCREENING_CONFIDENCE,
    SURE_PAIRS,
    WORTH_TRYING,
    Known,
    is_open_question,
    wins,
)
from perfkit.tune.recommend import BASE_ROLE, REFERENCE_ROLE, Recommendation
from perfkit.tune.session import Progress, Runner, Session, Start
from perfkit.tune.study_plan import StudyPlan

type Change = tuple[tuple[str, str], ...]
"""Knobs and values that are tried in one step."""

SCREEN_ROLE = "screen"
CONFIRM_ROLE = "confirm"

SCREEN_ROUNDS_MOST = 5
"""Rounds of a screening that the first ones leave open, where there is time."""

COMBINED_ROUNDS_MOST = 9
"""The same where all that leaned towards a gain is tried at once: it is one candidate, the last."""

BATCH = 2
"""Candidates that start side by side: while one is traced the other compiles."""

CONFIRM_ROUNDS_LEAST = 3
CONFIRM_ROUNDS_MOST = 9
SETTLED_WIDTH = 0.04
"""A confirmation ends when the interval of the ratio is narrower than this share of it."""

FINALISTS = 2
"""Configurations confirmed against stock: the best, and the best before it."""


class Tuner:
    """Runs a plan; :meth:`run` may be interrupted at any moment and called again.

    All decisions are taken from the records of the study, never from memory, which is what makes
    resuming the same thing as going on.
    """

    def __init__(self, plan: StudyPlan, runner: Runner, progress: Progress) -> None:
        self._plan = plan
        self._runner = runner
        self._progress = progress
        self._known = Known(plan.store, plan.study)
        self._estimates = Estimates(plan.model, plan.workload, self._known.records)
        self._deadline_s = runner.now_s() + plan.budget_s
        self._reference_file = reference_file(plan.store.folder, plan.workload)
        self._settled_file = plan.store.folder / f"settled-{plan.study}"

    def run(self) -> None:
        """Measure until the recommendation is settled or the budget is spent."""
        plan = self._plan
        if not self._is_settled():
            with self._session() as session:
                if not self._begin(session):
                    return
                *passed, best = self._climb(session)
                self._confirm(session, best, passed)
            self._settled_file.write_text(f"{plan.budget_s}\n")
        if plan.extrapolate:
            self._measure_parts()

    def _is_settled(self) -> bool:
        """Whether an earlier call went through with no smaller a budget: more would be the same."""
        try:
            return self._plan.budget_s <= float(self._settled_file.read_text())
        except (OSError, ValueError):
            # It is not there, or a crash left it empty.
            return False

    # -- steps --------------------------------------------------------------------------------

    def _begin(self, session: Session) -> bool:
        """Start stock, beside the reference where that is not known yet; whether stock lives."""
        workload = self._plan.workload
        reference = self._plan.catalogue.configuration(self._plan.model.reference_values)
        stock = self._start(STOCK, BASE_ROLE)
        if self._reference_file.exists():
            return session.open_all([stock])[0]
        files = TrialFiles(save_compared=self._reference_file)
        if reference == STOCK:
            # A session has one trial of a configuration, and stock's is held against the file.
            with self._session() as first:
                first.open(workload, reference, REFERENCE_ROLE, files)
            return session.open_all([stock])[0]
        lives = session.open_all([Start(workload, reference, REFERENCE_ROLE, files), stock])
        session.close(reference)
        return lives[1]

    def _changes(self) -> deque[Change]:
        """What to try, in order: what changes how much is computed shrinks all that follows.

        The model's own such knobs are tried in one step at first, because each pass of stock is
        dear; where the step fails they are tried one by one. So are then those that have been
        seen to win a little on every machine: together they stand out of the noise.
        """
        own = self._plan.model.search_values(self._plan.workload)
        first = [(name, value) for name, listed in own.items() for value in listed]
        rest = [one for one in search_settings(self._plan.catalogue) if one[0] not in own]
        together = tuple((name, listed[0]) for name, listed in own.items())
        bundles = [bundle for bundle in (together, promising(rest)) if len(bundle) > 1]
        return deque([*bundles, *((setting,) for setting in [*first, *rest])])

    def _climb(self, session: Session) -> list[Configuration]:
        """Try each change on top of the best so far, which it becomes where it surely wins.

        Knobs interact (a flag that helps float32 can harm bfloat16), and a pass of the best so
        far is several times shorter than one of stock: each is therefore tried where it would be
        used. What won stays open and is what the next ones are measured against.

        Returns
        -------
        list of Configuration
            Stock, and every configuration that was the best for a while, the best one last.
        """
        best, waiting = [STOCK], self._changes()
        while waiting:
            while len(best) > 1 and self._known.failed(best[-1]):
                best.pop()
            base = best[-1]
            batch = self._batch(best, waiting)
            if not batch:
                continue
            batch = self._affordable(session, base, batch, waiting)
            if not batch:
                break
            winners = self._screen(session, base, list(batch))
            best += winners[:1]
            # What won beside the best one is tried again, on top of it.
            waiting.extendleft(batch[other] for other in reversed(winners[1:]))
        best += self._together(session, best)
        untried = [one for change in waiting if (one := self._untried(best[-1], change))]
        if untried:
            self._progress.say(f"not tried, for want of time: {', '.join(untried)}")
        return best

    def _batch(
        self, best: list[Configuration], waiting: deque[Change]
    ) -> dict[Configuration, Change]:
        """The next candidates, which are measured beside each other, taken from ``waiting``.

        What records already tell of a candidate is used instead of a measurement: one that wins
        becomes the best and ends the batch.
        """
        base, batch = best[-1], dict[Configuration, Change]()
        while waiting and len(batch) < (1 if base == STOCK else BATCH):
            candidate = self._changed(base, waiting[0])
            faster = False if candidate in best else self._known.beats(candidate, base)
            if faster and batch:
                break
            change = waiting.popleft()
            if faster:
                best.append(candidate)
                break
            if faster is None:
                batch[candidate] = change
        return batch

    def _affordable(
        self,
        session: Session,
        base: Configuration,
        batch: dict[Configuration, Change],
        waiting: deque[Change],
    ) -> dict[Configuration, Change]:
        """As many of a batch as there is time for; the others go back to ``waiting``."""
        base_s = session.pass_s(base) or self._estimates.pass_s(base)
        spare_s = self._remaining_s() - self._reserve_s(session, base, base_s)
        while batch and spare_s < self._estimates.screening_s(base_s, len(batch), SURE_PAIRS):
            _, change = batch.popitem()
            waiting.appendleft(change)
        return batch

    def _together(self, session: Session, best: Sequence[Configuration]) -> list[Configuration]:
        """Try at once what leaned towards a gain without being sure of it, on top of the best.

        A knob that wins 4 % does not stand out of the noise of a few pairs; several together may.

        Returns
        -------
        list of Configuration
            The combination where it surely wins, else nothing.
        """
        gains: dict[str, tuple[float, Change]] = {}
        for change in self._changes():
            # Measured on the last of the best that it was tried on, which is nearest to the best.
            tried = (self._gain(session, self._changed(base, change), base) for base in best[::-1])
            gain = next((median for median in tried if median), 0.0)
            name = change[0][0]
            if len(change) == 1 and gain > max(WORTH_TRYING, gains.get(name, (0.0, change))[0]):
                gains[name] = gain, change
        base = combined = best[-1]
        changed = 0
        for _, change in gains.values():
            following = self._changed(combined, change)
            changed += following != combined
            combined = following
        # One change alone was measured as it is.
        if changed < 2 or self._known.beats(combined, base) is not None:
            return []
        candidates = self._affordable(session, base, {combined: ()}, deque())
        return self._screen(session, base, list(candidates), COMBINED_ROUNDS_MOST)[:1]

    def _gain(self, session: Session, candidate: Configuration, base: Configuration) -> float:
        """Median speed-up of a right candidate over ``base``, sure or not; 0 where not known."""
        if self._known.failed(candidate):
            return 0.0
        ratio = session.ratio(base, candidate) or self._known.ratio(candidate, base)
        return 0.0 if ratio is None else ratio.median

    def _screen(
        self,
        session: Session,
        base: Configuration,
        candidates: Sequence[Configuration],
        rounds_most: int = SCREEN_ROUNDS_MOST,
    ) -> list[Configuration]:
        """Measure candidates in turns with ``base``; those surely faster, and right, best first.

        The best one and stock stay open, the others are closed. Rounds beyond those that a sure
        gain takes are only run where they leave time for what follows.
        """
        starts = [self._start(candidate, SCREEN_ROLE) for candidate in candidates]
        if not session.is_open(base) and (
            self._known.failed(base) or not session.open_all([self._start(base, BASE_ROLE)])[0]
        ):
            return []
        opened = zip(candidates, session.open_all(starts), strict=True)
        alive = undecided = [candidate for candidate, lives in opened if lives]
        ratios: dict[Configuration, Interval] = {}
        for done in range(rounds_most):
            base_s = session.pass_s(base) or self._estimates.pass_s(base)
            spare_s = self._remaining_s() - self._reserve_s(session, base, base_s)
            if not undecided or (done >= SURE_PAIRS and spare_s < (1 + len(undecided)) * base_s):
                break
            session.rounds([base, *undecided], 1)
            ratios = {
                one: ratio
                for one in alive
                if (ratio := session.ratio(base, one, SCREENING_CONFIDENCE))
            }
            undecided = [one for one in undecided if is_open_question(ratios.get(one))]
        winners = [one for one, ratio in ratios.items() if wins(ratio) and session.check(one)]
        winners.sort(key=lambda one: -ratios[one].median)
        for one in [base, *alive]:
            if one not in winners[:1] and one != STOCK and (one != base or winners):
                session.close(one)
        return winners

    def _confirm(
        self, session: Session, best: Configuration, passed: Sequence[Configuration]
    ) -> None:
        """Measure the best few against stock until the best one's interval settles."""
        runners_up = [one for one in reversed(passed) if one != STOCK][: FINALISTS - 1]
        opened: list[Configuration] = []
        for finalist in [best, *runners_up]:
            if finalist == STOCK or self._known.failed(finalist):
                continue
            best_s = session.pass_s(best) or self._estimates.pass_s(best)
            rounds_s = CONFIRM_ROUNDS_LEAST * best_s
            spare_s = self._remaining_s() - self._reserve_s(session, best, best_s) - rounds_s
            spare_s -= self._estimates.start_s()
            if session.is_open(finalist) or (
                (finalist == best or spare_s > 0)
                and session.open_all([self._start(finalist, CONFIRM_ROLE)])[0]
            ):
                opened.append(finalist)
        if not opened and session.pass_s(STOCK) is None:
            session.rounds([STOCK], 1)
        for _ in range(CONFIRM_ROUNDS_MOST if opened else 0):
            passes_s = [session.pass_s(one) or 0.0 for one in [STOCK, *opened]]
            next_s = self._after_s(passes_s[:2]) + sum(passes_s)
            if self._pairs(session, opened) >= CONFIRM_ROUNDS_LEAST and (
                self._settled(session, opened) or self._remaining_s() < next_s
            ):
                break
            session.rounds([STOCK, *opened], 1)

    def _pairs(self, session: Session, opened: Sequence[Configuration]) -> int:
        """Pairs with stock that every open finalist has; those of its screening count."""
        ratios = [session.ratio(STOCK, configuration) for configuration in opened]
        return min((0 if ratio is None else ratio.count for ratio in ratios), default=0)

    def _settled(self, session: Session, opened: Sequence[Configuration]) -> bool:
        """Whether the ratio of every open finalist to stock is known closely enough."""
        ratios = [session.ratio(STOCK, configuration) for configuration in opened]
        return all(
            ratio is not None and (ratio.high - ratio.low) / ratio.median < SETTLED_WIDTH
            for ratio in ratios
        )

    def _measure_parts(self) -> None:
        """The parts of the best configuration and of stock, then a longer run of the best."""
        plan = self._plan
        best = self.recommendation().best
        if best is None:
            return
        chosen = plan.catalogue.configuration(best.settings)
        at_low = plan.workload.with_fidelity(**plan.model.part_fidelity())
        missing = [
            one for one in dict.fromkeys([chosen, STOCK]) if not self._known.has(one, PARTS_ROLE)
        ]
        while missing and self._remaining_s() < self._estimates.parts_s(
            [self._estimates.pass_s(one) for one in missing]
        ):
            left = missing.pop()
            self._progress.say(f"parts of {left.label} not measured, for want of time")
        with self._session() as session:
            lives = session.open_all([Start(at_low, one, PARTS_ROLE) for one in missing])
            for one, alive in zip(missing, lives, strict=True):
                if alive:
                    session.rounds([one], 1)
                    session.trace(one)
        longer = at_low.with_fidelity(**plan.model.check_fidelity())
        if self._known.has(chosen, CHECK_ROLE):
            return
        if self._remaining_s() < self._estimates.check_s(chosen):
            self._progress.say("no longer run to check the parts' sum, for want of time")
            return
        with self._session() as session:
            if session.open(longer, chosen, CHECK_ROLE):
                session.rounds([chosen], 1)

    def records(self) -> list[Record]:
        """All records of the study so far, of every role."""
        return self._known.records()

    def recommendation(self) -> Recommendation:
        """What the records so far support."""
        return self._known.recommendation()

    # -- time ---------------------------------------------------------------------------------

    def _remaining_s(self) -> float:
        return self._deadline_s - self._runner.now_s()

    def _after_s(self, passes_s: Sequence[float]) -> float:
        """Seconds to keep for what follows a confirmation of configurations of such passes."""
        if not self._plan.extrapolate:
            return 0.0
        return self._estimates.parts_s(passes_s)

    def _reserve_s(self, session: Session, base: Configuration, best_s: float) -> float:
        """Seconds that confirmation and parts will need after a screening on ``base``.

        What is screened on stock itself is confirmed by the same rounds, and something to
        recommend comes before the time of a production prediction.
        """
        if base == STOCK:
            return 0.0
        stock_s = session.pass_s(STOCK) or self._estimates.pass_s()
        return CONFIRM_ROUNDS_LEAST * (stock_s + best_s) + self._after_s([stock_s, best_s])

    # -- trials -------------------------------------------------------------------------------

    def _session(self) -> Session:
        plan = self._plan
        return Session(self._runner, self._progress, plan.study, plan.store.append, self._fits)

    def _fits(self, starts: Sequence[Start]) -> bool:
        """Whether memory holds such trials side by side."""
        estimate = self._plan.model.memory_estimate_bytes
        needed = sum(estimate(one.workload, one.configuration) for one in starts)
        return needed < self._plan.memory_bytes

    def _start(self, configuration: Configuration, role: str) -> Start:
        files = TrialFiles(reference=self._reference_file)
        return Start(self._plan.workload, configuration, role, files)

    def _changed(self, base: Configuration, change: Change) -> Configuration:
        for name, value in change:
            base = self._plan.catalogue.changed(base, name, value)
        return base

    def _untried(self, base: Configuration, change: Change) -> str | None:
        """The name of a change that nothing is known of, None for another."""
        candidate = self._changed(base, change)
        if candidate == base or self._known.beats(candidate, base) is not None:
            return None
        return " ".join(f"{name}={value}" for name, value in change)
