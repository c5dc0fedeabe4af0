"""The tuning of one workload: reference, stock, screening, confirmation, parts."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.knobs.space import search_settings
from perfkit.models.base import Model, Workload
from perfkit.records.machine import setting_digest
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.stats.bootstrap import Interval
from perfkit.trial.request import TrialFiles, reference_file
from perfkit.tune.extrapolate import CHECK_ROLE, PARTS_ROLE, extrapolate
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

SCREEN_ROUNDS_MOST = 3
"""Rounds of a screening that the first ones leave open: of three pairs of equal configurations
one in eight points the same way by accident."""

CLEARLY_FASTER, CLEARLY_SLOWER = 1.25, 0.9
"""Ratios beyond which no further round is needed (pairs of equal configurations were seen between
0.86 and 1.08 on a shared machine)."""

CONFIRM_ROUNDS_LEAST = 3
CONFIRM_ROUNDS_MOST = 9
SETTLED_WIDTH = 0.04
"""A confirmation ends when the interval of the ratio is narrower than this share of it."""

WORTH_TRYING = 1.01
"""A knob whose median gain is smaller is left at stock: it would only add risk."""

FINALISTS = 2
"""Configurations confirmed against stock: the best, and the best before it."""


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

    @cached_property
    def study(self) -> str:
        """Digest of the study: the same command on the same machine resumes it."""
        same = ["tune", self.workload.digest, setting_digest()]
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
        self._reference_file = reference_file(plan.store.folder, plan.workload)
        self._settled_file = plan.store.folder / f"settled-{plan.study}"

    def run(self) -> None:
        """Measure until the recommendation is settled or the budget is spent."""
        plan = self._plan
        reference = plan.catalogue.configuration(plan.model.reference_values)
        if not self._reference_file.exists():
            self._alone(reference, REFERENCE_ROLE, save=True)
        if not self._is_settled():
            with self._session() as session:
                if not session.open(plan.workload, STOCK, BASE_ROLE, self._files()):
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

    def _settings(self) -> list[tuple[str, str]]:
        """What to try, in order: what changes how much is computed shrinks all that follows."""
        own = self._plan.model.search_values(self._plan.workload)
        first = [(name, value) for name, listed in own.items() for value in listed]
        rest = search_settings(self._plan.catalogue)
        return [*first, *((name, value) for name, value in rest if name not in own)]

    def _climb(self, session: Session) -> list[Configuration]:
        """Try each setting on top of the best so far, which it becomes where it surely wins.

        Knobs interact (a flag that helps float32 can harm bfloat16), and a pass of the best so
        far is several times shorter than one of stock: each is therefore tried where it would be
        used. What won stays open and is what the next one is measured against.

        Returns
        -------
        list of Configuration
            Stock, and every configuration that was the best for a while, the best one last.
        """
        best, left = [STOCK], list[str]()
        for name, value in self._settings():
            while len(best) > 1 and self._failed(best[-1]):
                best.pop()
            base = best[-1]
            candidate = self._plan.catalogue.changed(base, name, value)
            if candidate in best:
                continue
            wins = self._known(base, candidate)
            if wins is None and self._remaining_s() < self._reserve_s() + self._candidate_s(
                session, base
            ):
                left.append(f"{name}={value}")
                continue
            if wins is None:
                wins = self._screen(session, base, candidate)
            if wins:
                best.append(candidate)
            if base != STOCK or not wins:
                session.close(base if wins else candidate)
        if left:
            self._progress.say(f"not tried, for want of time: {', '.join(left)}")
        return best

    def _screen(self, session: Session, base: Configuration, candidate: Configuration) -> bool:
        """Measure a candidate in turns with ``base``; whether it is surely faster, and right."""
        workload, files = self._plan.workload, self._files()
        if not session.is_open(base) and (
            self._failed(base) or not session.open(workload, base, BASE_ROLE, files)
        ):
            return False
        if not session.open(workload, candidate, SCREEN_ROLE, files):
            return False
        ratio = None
        for _ in range(SCREEN_ROUNDS_MOST):
            session.rounds([base, candidate], 1)
            ratio = session.ratio(base, candidate)
            if ratio is None or not CLEARLY_SLOWER < ratio.median < CLEARLY_FASTER:
                break
        return _wins(ratio) and session.check(candidate)

    def _confirm(
        self, session: Session, best: Configuration, passed: Sequence[Configuration]
    ) -> None:
        """Measure the best few against stock until the best one's interval settles."""
        runners_up = [one for one in reversed(passed) if one != STOCK][: FINALISTS - 1]
        opened: list[Configuration] = []
        for finalist in [best, *runners_up]:
            if finalist == STOCK or self._failed(finalist):
                continue
            spare_s = self._remaining_s() - self._reserve_s() - self._start_s()
            if session.is_open(finalist) or (
                (finalist == best or spare_s > 0)
                and session.open(self._plan.workload, finalist, CONFIRM_ROLE, self._files())
            ):
                opened.append(finalist)
        for number in range(CONFIRM_ROUNDS_MOST):
            session.rounds([STOCK, *opened], 1)
            enough = number + 1 >= CONFIRM_ROUNDS_LEAST
            next_s = (session.pass_s(STOCK) or 0.0) * 2
            if enough and (
                self._settled(session, opened) or self._remaining_s() < self._parts_s() + next_s
            ):
                break

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
        if not self._has(chosen, CHECK_ROLE) and self._remaining_s() > self._check_s(chosen):
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

    def _failed(self, configuration: Configuration) -> bool:
        """Whether a trial of the configuration failed in a way that another would too."""
        return any(
            record.configuration.digest == configuration.digest
            and record.outcome not in (Outcome.OK, Outcome.INTERRUPTED, Outcome.TIMEOUT)
            for record in self.records()
        )

    def _known(self, base: Configuration, candidate: Configuration) -> bool | None:
        """Whether records already tell that a candidate beats ``base`` or not; else None."""
        if self._failed(candidate):
            return False
        rows = {row.digest: row for row in self.recommendation().rows}
        row = rows.get(candidate.digest)
        ratio = direct_ratios(self.records()).get((base.digest, candidate.digest))
        if row is None or not row.eligible or ratio is None:
            return None
        return _wins(ratio)

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

    def _candidate_s(self, session: Session, base: Configuration) -> float:
        """Seconds that screening one more candidate on ``base`` will take."""
        pass_s = session.pass_s(base) or self._stock_pass_s()
        return self._start_s() + 2 * SCREEN_ROUNDS_MOST * pass_s

    def _parts_s(self) -> float:
        """Seconds to keep for the parts of two configurations."""
        if not self._plan.extrapolate:
            return 0.0
        return 2 * self._start_s() + 4 * self._stock_pass_s()

    def _reserve_s(self) -> float:
        """Seconds that confirmation and parts will need after the screening."""
        return CONFIRM_ROUNDS_LEAST * 1.5 * self._stock_pass_s() + self._parts_s()

    def _check_s(self, configuration: Configuration) -> float:
        """Seconds that the longer run of a configuration will take, from its parts."""
        counts = self._plan.model.part_counts(
            {**self._plan.model.part_fidelity(), **self._plan.model.check_fidelity()}
        )
        found = extrapolate(self.records(), configuration.digest, {}, counts)
        # It is run twice: the first pass is never the timed one.
        return math.inf if found is None else self._start_s() + 2 * found.total_s

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


def _wins(ratio: Interval | None) -> bool:
    """Whether a speed-up is sure, and large enough to be worth a setting."""
    return ratio is not None and ratio.low > 1.0 and ratio.median > WORTH_TRYING
