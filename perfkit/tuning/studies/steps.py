"""The steps of a search as measurements: a screening, and a confirmation block."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.roles import Role
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.processes import common_rounds
from perfkit.tuning.search.strategy import Confirm, Screen, SearchSpace, Strategy
from perfkit.tuning.studies.session import Session
from perfkit.tuning.studies.study_trials import SharingRunner, StudyTrials


class Steps:
    """Measures what a strategy has decided.

    Parameters
    ----------
    trials
        Starts the trials of the study.
    runner
        Makes the trials.
    strategy, space
        The strategy, and the space that it searches.
    """

    def __init__(
        self, trials: StudyTrials, runner: SharingRunner, strategy: Strategy, space: SearchSpace
    ) -> None:
        self._trials = trials
        self._runner = runner
        self._strategy = strategy
        self._space = space

    def screen(
        self,
        session: Session,
        screen: Screen,
        evidence: Callable[[], Evidence],
        goes_on: Callable[[], bool],
    ) -> None:
        """Measure candidates in turns with their base; a winner with a right answer stays open.

        The base is closed if a candidate won, because that one is the base of the next candidates.

        Parameters
        ----------
        session
            Trials that are alive, and that stay so.
        screen
            What to measure.
        evidence
            Returns the evidence so far, with that of this screening.
        goes_on
            Asked before each round; False ends the screening.
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
            if not undecided or not session.is_open(screen.base) or not goes_on():
                break
            session.rounds([screen.base, *undecided], 1)
        winners = self._strategy.winners(evidence(), self._space, screen.base, alive)
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

    def confirm(self, confirm: Confirm, number: int) -> None:
        """Run one block: fresh processes of stock and of each finalist, passed in turns.

        Stock goes first in every other block, so that a machine that becomes steadily slower
        favours neither side.

        Parameters
        ----------
        confirm
            What to measure.
        number
            Number of the block.
        """
        members = [STOCK, *confirm.finalists][:: 1 if number % 2 == 0 else -1]
        starts = [self._trials.confirmation(configuration) for configuration in members]
        # They would hold memory that the block needs.
        self._runner.end_shared()
        # Where memory does not hold all of them, each pass costs a start, and one pass is enough.
        passes = confirm.passes if self._trials.fit(starts) else 1
        with self._trials.session() as block:
            block.open_all(starts)
            block.rounds(members, passes)
