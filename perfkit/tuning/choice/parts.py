"""The measurement of parts: the predicted times of a production prediction, and their check."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.tuning.choice.rows import Row
from perfkit.tuning.search.evidence import gives_up
from perfkit.tuning.studies.costs import MeasuredCosts
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.session import Start
from perfkit.tuning.studies.study_plan import StudyPlan
from perfkit.tuning.studies.study_trials import StudyTrials


class PartsMeasurement:
    """Measures the parts of stock and of a recommended configuration.

    Parameters
    ----------
    plan
        Model and workload of the study.
    trials
        Starts the trials.
    costs
        Predicted durations.
    progress
        Receives the events, and what is left out for want of time.
    """

    def __init__(
        self, plan: StudyPlan, trials: StudyTrials, costs: MeasuredCosts, progress: Progress
    ) -> None:
        self._plan = plan
        self._trials = trials
        self._costs = costs
        self._progress = progress

    def run(
        self,
        records: Callable[[], Sequence[Record]],
        best: Row | None,
        remaining_s: Callable[[], float],
    ) -> None:
        """Measure the parts of stock and of the best configuration, then check the best one.

        Parameters
        ----------
        records
            Returns the records of the study so far.
        best
            Row of the recommended configuration, or None where nothing is recommended.
        remaining_s
            Returns the seconds that are left of the budget.
        """
        plan = self._plan
        if best is None:
            return
        chosen = plan.catalogue.configuration(best.settings)
        at_low = plan.workload.with_fidelity(**plan.model.part_fidelity())
        missing = [
            configuration
            for configuration in dict.fromkeys([chosen, STOCK])
            if not _has(records(), configuration, Role.PARTS)
        ]
        while missing and remaining_s() < self._costs.parts_s(missing):
            configuration = missing.pop()
            self._progress.say(
                f"no production time for {configuration.label}: the budget is too short to measure "
                "its parts"
            )
        if missing:
            with self._trials.session() as session:
                session.open_all(
                    [Start(at_low, configuration, Role.PARTS) for configuration in missing]
                )
                for configuration in missing:
                    session.rounds([configuration], 1)
                    session.trace(configuration)
        if _has(records(), chosen, Role.CHECK) or not _has(records(), chosen, Role.PARTS):
            return
        needed_s = self._costs.check_s(chosen)
        if math.isinf(needed_s):
            self._progress.say(
                f"no production time for {chosen.label}: its parts were not measured"
            )
            return
        if remaining_s() < needed_s:
            self._progress.say(
                "the budget is too short to check the sum of the parts against a longer run"
            )
            return
        with self._trials.session() as session:
            longer = at_low.with_fidelity(**plan.model.check_fidelity())
            if session.open(longer, chosen, Role.CHECK):
                session.rounds([chosen], 1)


def _has(records: Sequence[Record], configuration: Configuration, role: Role) -> bool:
    """Whether a trial of the configuration in this role succeeded, or failed for good."""
    outcomes = [
        record.outcome
        for record in records
        if record.role == role and record.configuration.digest == configuration.digest
    ]
    return Outcome.OK in outcomes or gives_up(outcomes)
