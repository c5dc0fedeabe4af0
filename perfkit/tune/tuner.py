"""The tuning of one workload: reference, stock, screening, confirmation, parts."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.knobs.space import search_settings
from perfkit.models.base import Model, Workload
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.stats.bootstrap import Interval
from perfkit.trial.launcher import TrialFiles
from perfkit.tune.extrapolate import CHECK_ROLE, PARTS_ROLE
from perfkit.tune.recommend import (
    BASE_ROLE,
    REFERENCE_ROLE,
    Recommendation,
    direct_ratios,
    recommend,
)
from perfkit.tune.session import Progress, Runner, Session

SCREEN_ROLE = "screen"
CONFIRM_ROLE = "confirm"

SCREEN_ROUNDS = 2
"""Rounds of a screening: one can be an accident, three cost more than they tell."""

CONFIRM_ROUNDS_LEAST = 3
CONFIRM_ROUNDS_MOST = 9
SETTLED_WIDTH = 0.04
"""A confirmation ends when the interval of the ratio is narrower than this share of it."""

WORTH_TRYING = 1.01
"""A knob whose median gain is smaller is left at stock: it would only add risk."""

FINALISTS = 2
"""Configurations confirmed against stock, beside the one that screening stood on."""


@dataclass(frozen=True)
class StudyPlan:
    """What a tuning is given.

    Parameters
    ----------
    model, catalogue
        The model and the knobs that may be set for it.
    workload
        At the fidelity that configurations are compared at.
    store
        Where records go; what it holds of the same study already is not measured again.
    budget_s
        Wall seconds from now.
    extrapolate
        Whether to measure the parts for an extrapolation to production fidelity.
    """

    model: Model
    catalogue: Catalogue
    workload: Workload
    store: Store
    budget_s: float
    extrapolate: bool = True

    @property
    def study(self) -> str:
        """Digest of the study: the same command resumes it."""
        same = ["tune", self.workload.digest]
        return hashlib.sha256(json.dumps(same).encode()).hexdigest()[:12]


class Tuner:
    """Runs a plan; :meth:`run` may be interrupted at any moment and called again.

    All decisions are taken from the records of the study, never from memory, which is what makes
    resuming the same thing as going on.
    """

    def __init__(self, plan: StudyPlan, runner: Runner, progress: Progress) -> None:
        self._plan = plan
        self._runner = runner
        self._progress = progress
        self._deadline_s = runner.now_s() + plan.budget_s
        self._reference_file = plan.store.folder / f"reference-{plan.workload.digest}.npz"
        # Where nothing beat stock no confirmation tells that the study has been through.
        self._settled_file = plan.store.folder / f"settled-{plan.study}"

    def run(self) -> None:
        """Measure until the recommendation is settled or the budget is spent."""
        plan = self._plan
        reference = plan.catalogue.configuration(plan.model.reference_values)
        if not self._reference_file.exists():
            self._alone(reference, REFERENCE_ROLE, save=True)
        if self._confirmed() is None and not self._settled_file.exists():
            with self._session() as session:
                if not session.open(plan.workload, STOCK, BASE_ROLE, self._files()):
                    return
                base = self._screen(session, STOCK, self._model_settings())
                if base != STOCK and not session.open(
                    plan.workload, base, BASE_ROLE, self._files()
                ):
                    base = STOCK
                if base != STOCK:
                    session.rounds([STOCK, base], 1)
                best = self._screen(session, base, self._other_settings())
                self._confirm(session, base, best)
            self._settled_file.touch()
        if plan.extrapolate:
            self._measure_parts()

    # -- steps --------------------------------------------------------------------------------

    def _model_settings(self) -> list[tuple[str, str]]:
        """What changes how much is computed is screened first: it shrinks all that follows."""
        values = self._plan.model.search_values(self._plan.workload)
        return [(name, value) for name, listed in values.items() for value in listed]

    def _other_settings(self) -> list[tuple[str, str]]:
        screened = {name for name, _ in self._model_settings()}
        settings = search_settings(self._plan.catalogue)
        return [(name, value) for name, value in settings if name not in screened]

    def _screen(
        self, session: Session, base: Configuration, settings: Sequence[tuple[str, str]]
    ) -> Configuration:
        """Try each setting on top of ``base``, interleaved with it, and combine what won."""
        left: list[str] = []
        for name, value in settings:
            candidate = self._plan.catalogue.changed(base, name, value)
            if candidate == base or self._measured(session, base, candidate):
                continue
            if not session.is_open(base):
                self._progress.say(f"screening ended: the trial of {base.label} it pairs with did")
                break
            if self._remaining_s() < self._reserve_s() + self._candidate_s(base):
                left.append(f"{name}={value}")
                continue
            if session.open(self._plan.workload, candidate, SCREEN_ROLE, self._files()):
                session.rounds([base, candidate], SCREEN_ROUNDS)
                session.close(candidate)
        if left:
            self._progress.say(f"not tried, for want of time: {', '.join(left)}")
        return self._combined(session, base, settings)

    def _combined(
        self, session: Session, base: Configuration, settings: Sequence[tuple[str, str]]
    ) -> Configuration:
        """``base`` with the best value of every knob that won on top of it."""
        gains: dict[str, tuple[float, str]] = {}
        for name, value in settings:
            candidate = self._plan.catalogue.changed(base, name, value)
            ratio = self._ratio(session, base, candidate)
            if ratio is not None and ratio.low > 1.0 and ratio.median > WORTH_TRYING:
                gains[name] = max(gains.get(name, (0.0, "")), (ratio.median, value))
        won = {name: value for name, (_, value) in gains.items()}
        return self._plan.catalogue.configuration(base.as_dict() | won)

    def _confirm(self, session: Session, base: Configuration, best: Configuration) -> None:
        """Measure the finalists against stock until the best one's interval settles."""
        finalists = list(dict.fromkeys([best, *self._runners_up(session, base)]))[:FINALISTS]
        opened = [base] if base != STOCK else []
        for finalist in finalists:
            affordable = self._remaining_s() > self._reserve_s() or finalist == best
            if finalist in (base, STOCK) or not affordable:
                continue
            if session.open(self._plan.workload, finalist, CONFIRM_ROLE, self._files()):
                opened.append(finalist)
        for number in range(CONFIRM_ROUNDS_MOST):
            session.rounds([STOCK, *opened], 1)
            settled = self._settled(session, opened)
            enough = number + 1 >= CONFIRM_ROUNDS_LEAST
            if enough and (settled or self._remaining_s() < self._parts_s()):
                break

    def _runners_up(self, session: Session, base: Configuration) -> list[Configuration]:
        """Single changes of ``base`` that won, best first."""
        won = []
        for name, value in self._other_settings():
            candidate = self._plan.catalogue.changed(base, name, value)
            ratio = self._ratio(session, base, candidate)
            if ratio is not None and ratio.low > 1.0:
                won.append((ratio.median, candidate))
        return [candidate for _, candidate in sorted(won, key=lambda pair: -pair[0])]

    def _settled(self, session: Session, opened: Sequence[Configuration]) -> bool:
        """Whether the ratio of every open finalist to stock is known closely enough."""
        widths = []
        for configuration in opened:
            ratio = session.ratio(STOCK, configuration)
            if ratio is None:
                return False
            widths.append((ratio.high - ratio.low) / ratio.median)
        return all(width < SETTLED_WIDTH for width in widths)

    def _measure_parts(self) -> None:
        """The parts of the best configuration and of stock, then a longer run of the best."""
        plan = self._plan
        best = self.recommendation().best
        if best is None:
            return
        chosen = plan.catalogue.configuration(best.settings)
        at_low = plan.workload.with_fidelity(**plan.model.part_fidelity())
        for configuration in dict.fromkeys([chosen, STOCK]):
            if self._has(configuration, PARTS_ROLE):
                continue
            if self._remaining_s() < self._parts_s() / 2:
                self._progress.say(f"parts of {configuration.label} not measured: budget spent")
                continue
            with self._session() as session:
                if session.open(at_low, configuration, PARTS_ROLE):
                    session.rounds([configuration], 1)
                    session.trace(configuration)
        longer = at_low.with_fidelity(**plan.model.check_fidelity())
        if not self._has(chosen, CHECK_ROLE) and self._remaining_s() > 0:
            with self._session() as session:
                if session.open(longer, chosen, CHECK_ROLE):
                    session.rounds([chosen], 1)

    # -- what is known ------------------------------------------------------------------------

    def records(self) -> list[Record]:
        """All records of the study so far, of every role."""
        return [r for r in self._plan.store.records() if r.study == self._plan.study]

    def recommendation(self) -> Recommendation:
        """What the records so far support."""
        other = (PARTS_ROLE, CHECK_ROLE)
        return recommend([record for record in self.records() if record.role not in other])

    def _has(self, configuration: Configuration, role: str) -> bool:
        return any(
            record.role == role
            and record.configuration.digest == configuration.digest
            and record.outcome is not Outcome.INTERRUPTED
            for record in self.records()
        )

    def _measured(self, session: Session, base: Configuration, candidate: Configuration) -> bool:
        """Whether a candidate needs no screening: a ratio is known, or it failed for good."""
        failed = any(
            record.configuration.digest == candidate.digest
            and record.outcome not in (Outcome.OK, Outcome.INTERRUPTED, Outcome.TIMEOUT)
            for record in self.records()
        )
        return failed or self._ratio(session, base, candidate) is not None

    def _ratio(
        self, session: Session, base: Configuration, candidate: Configuration
    ) -> Interval | None:
        """How many times as fast as ``base`` a finished, right candidate is.

        The base's own record exists only once its trial has ended, so that rounds of the running
        session come from the session and those of earlier ones from the records.
        """
        rows = {row.digest: row for row in self.recommendation().rows}
        row = rows.get(candidate.digest)
        if row is None or not row.eligible:
            return None
        ratio = session.ratio(base, candidate)
        if ratio is not None:
            return ratio
        return direct_ratios(self.records()).get((base.digest, candidate.digest))

    def _confirmed(self) -> Record | None:
        """A finished confirmation of an earlier call, if there is one."""
        done = (
            record
            for record in self.records()
            if record.role == CONFIRM_ROLE
            and record.outcome is Outcome.OK
            and len(record.steady) >= CONFIRM_ROUNDS_LEAST
        )
        return next(done, None)

    # -- time ---------------------------------------------------------------------------------

    def _remaining_s(self) -> float:
        return self._deadline_s - self._runner.now_s()

    def _typical(self, pick: Callable[[Record], list[float]], default: float) -> float:
        values = [value for record in self.records() for value in pick(record)]
        return statistics.median(values) if values else default

    def _start_s(self) -> float:
        """Typical seconds from the start of a trial to its first timed pass."""
        return self._typical(
            lambda record: [s.begin_s + s.wall_s for s in record.stages if s.name == "first"], 60.0
        )

    def _stock_pass_s(self) -> float:
        walls = [
            stage.wall_s
            for record in self.records()
            for stage in record.stages
            if stage.name in ("first", "steady") and record.role == REFERENCE_ROLE
        ]
        return statistics.median(walls) if walls else 30.0

    def _candidate_s(self, base: Configuration) -> float:
        own = [
            stage.wall_s
            for record in self.records()
            if record.configuration.digest == base.digest
            for stage in record.steady
        ]
        one_pass = statistics.median(own) if own else self._stock_pass_s()
        return self._start_s() + SCREEN_ROUNDS * 2 * one_pass

    def _parts_s(self) -> float:
        """Seconds to keep for the parts of two configurations."""
        if not self._plan.extrapolate:
            return 0.0
        return 2 * self._start_s() + 4 * self._stock_pass_s()

    def _reserve_s(self) -> float:
        """Seconds that confirmation and parts will need after the screening."""
        confirmation = self._start_s() + CONFIRM_ROUNDS_LEAST * 1.5 * self._stock_pass_s()
        return confirmation + self._parts_s()

    # -- trials -------------------------------------------------------------------------------

    def _session(self) -> Session:
        return Session(self._runner, self._progress, self._plan.study, self._plan.store.append)

    def _files(self) -> TrialFiles:
        reference: Path | None = self._reference_file
        return TrialFiles(reference=reference if self._reference_file.exists() else None)

    def _alone(self, configuration: Configuration, role: str, *, save: bool) -> None:
        files = TrialFiles(save_compared=self._reference_file if save else None)
        with self._session() as session:
            session.open(self._plan.workload, configuration, role, files)
