"""The common part of all strategies that propose configurations from the whole space."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.tuning.search.confirmation import (
    STOCK_FAILED,
    has_begun,
    next_confirmation,
    reserve_s,
    unconfirmed,
)
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.known import Known, known_configurations
from perfkit.tuning.search.planning import (
    batch,
    disturbed_texts,
    last_screening,
    plan_screening,
    untried_text,
)
from perfkit.tuning.search.screening import ScreeningRules
from perfkit.tuning.search.strategy import Budget, Decision, Screen, SearchSpace, Stop


class SpaceSearch(ScreeningRules):
    """Screens proposals against the incumbent, and confirms the result against stock.

    Subclasses define :meth:`propose`. A candidate becomes the incumbent if it wins its screening;
    one that looks faster without having won is screened again first.
    """

    screens_singles = True
    """Whether every single change is screened before the first proposal."""

    def propose(self, known: Known, count: int) -> Sequence[Configuration]:
        """The next configurations to screen.

        Parameters
        ----------
        known
            Measurements of the configurations of the space.
        count
            Most configurations to propose.

        Returns
        -------
        sequence of Configuration
            Different new configurations; empty if the search is finished.
        """
        raise NotImplementedError

    def left_text(self, known: Known) -> str | None:
        """The sentence on proposals that there was no time for, or None if there need be none."""
        return None

    def decide(self, evidence: Evidence, space: SearchSpace, budget: Budget) -> Decision:
        """Screen as long as there is time to confirm the result, then confirm."""
        if evidence.failed(STOCK.digest):
            return STOCK_FAILED
        known = known_configurations(evidence, space)
        finalists = known.finalists()
        confirmation = next_confirmation(evidence, finalists, budget)
        # A confirmation that has begun continues to its first interval before any other step.
        if confirmation is not None and has_begun(evidence, finalists):
            return confirmation
        chosen, fresh = self._chosen(known, batch(budget), several=budget.workers > 1)
        screening = self._screening(known, chosen, finalists, budget, fresh=fresh)
        if screening is not None:
            return screening
        if confirmation is not None:
            return confirmation
        untried = [space.changed(known.best, change) for change in known.untried]
        return last_screening(known.best, untried, finalists, evidence, budget) or Stop(
            self._undone(known, chosen, finalists, budget)
        )

    def _chosen(
        self, known: Known, count: int, *, several: bool
    ) -> tuple[Sequence[Configuration], bool]:
        """The candidates of the next screening, and whether their base needs a new process.

        While one of several workers repeats a win, the others take new candidates.
        """
        repeats = known.repeats[:count]
        if not repeats:
            return self._new(known, count), False
        left = count - len(repeats)
        return (*repeats, *(self._new(known, left) if several and left > 0 else ())), True

    def _new(self, known: Known, count: int) -> Sequence[Configuration]:
        """Candidates that need not repeat a win."""
        if self.screens_singles and known.combined:
            return known.combined[:count]
        if self.screens_singles and known.untried:
            changes = known.untried
            if len(changes[0]) > 1:
                # A step of several settings is expected to win, and to become the next base.
                changes = changes[:1]
            singles = [change for change in changes if len(change) == len(changes[0])]
            return [known.space.changed(known.best, one) for one in singles[:count]]
        return self.propose(known, count)

    def _screening(
        self,
        known: Known,
        chosen: Sequence[Configuration],
        finalists: Sequence[Configuration],
        budget: Budget,
        *,
        fresh: bool,
    ) -> Screen | None:
        if not chosen:
            return None
        kept_s = 0.0
        if finalists:
            # Without a finalist there is no confirmation to reserve time for.
            leads = known.best != STOCK
            kept_s = reserve_s(known.evidence, finalists, chosen[0], budget, leads=leads)
        first = known.count == 1
        return plan_screening(
            known.best, chosen, known.evidence, budget, kept_s, fresh=fresh, first=first
        )

    def _undone(
        self,
        known: Known,
        chosen: Sequence[Configuration],
        finalists: Sequence[Configuration],
        budget: Budget,
    ) -> tuple[str, ...]:
        """One sentence for each step that there was no time for."""
        reasons: list[str] = []
        if self.screens_singles and known.untried:
            reasons.append(untried_text(known.best, known.untried, budget))
        left = self.left_text(known) if chosen else None
        if left is not None:
            reasons.append(left)
        reasons += disturbed_texts(known.evidence, sorted(known.failed))
        return (*reasons, *unconfirmed(known.evidence, finalists, budget))
