"""Predictions that workers share: a unit is one input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from perfkit.api.predictions import PlannedRun, RunArguments, planned_runs, predict
from perfkit.api.progress import as_progress
from perfkit.api.results import RunResult
from perfkit.api.shared.elsewhere import Call, Elsewhere, as_json, share, unfinished_sentence
from perfkit.errors import UserError
from perfkit.files import short_digest
from perfkit.records.schema import Outcome, Record
from perfkit.shared_study.plan import Unit
from perfkit.shared_study.study import Listing, SharedStudy
from perfkit.shared_study.unit_store import UnitStore
from perfkit.shared_study.worker import IsHeld

KIND = "run"

OWN = tuple(field.name for field in fields(RunArguments) if field.name != "progress")
"""Names of the arguments that do not belong to a model."""


def run_elsewhere(elsewhere: Elsewhere, **arguments: Any) -> Iterator[RunResult]:
    """Let workers predict one input each, until all are predicted.

    Parameters
    ----------
    elsewhere
        The place.
    **arguments
        As for :func:`perfkit.run_each`.

    Returns
    -------
    iterator of RunResult
        The results of the inputs that were predicted when the study ended.

    Raises
    ------
    UserError
        An argument is impossible, an input is bad, the workers cannot be started, or they left
        inputs unpredicted.
    """
    elsewhere.check()
    progress = as_progress(arguments.pop("progress", None))
    own, options = _split(arguments)
    planned = planned_runs(own, options, here=False)
    folder = planned[0].out
    units = [_unit(number, each) for number, each in enumerate(planned)]
    call = Call(KIND, {name: as_json(each) for name, each in arguments.items()}, units)
    with progress.study(trials=len(units)) as study:
        status = share(folder, call, elsewhere, study.say)
    if status is None:
        return
    shared = SharedStudy(folder)
    finished = shared.finished()
    for unit in shared.plan.units:
        if unit.key in finished:
            for record in shared.records_of(unit):
                yield RunResult(record, folder, record.outcome is Outcome.INTERRUPTED, False)
    missing = len(shared.plan.units) - len(finished)
    if elsewhere.follow and missing:
        reason = unfinished_sentence(status, folder) or "they were given up"
        raise UserError(f"{missing} of {len(shared.plan.units)} inputs are not predicted: {reason}")


class RunExecutor:
    """Predicts inputs on this node.

    Parameters
    ----------
    study
        The shared study.

    Raises
    ------
    UserError
        An argument of the study is impossible here.
    """

    def __init__(self, study: SharedStudy) -> None:
        self._study = study
        self._arguments, options = _split(study.plan.arguments)
        # The default folder follows from the inputs: all workers write to that of the study.
        self._arguments = replace(self._arguments, out=study.folder)
        planned = planned_runs(self._arguments, options, here=False)
        self._planned = {_unit(number, each).key: each for number, each in enumerate(planned)}

    def open_units(self, listing: Listing, is_held: IsHeld) -> Sequence[Unit]:
        """The open units of the plan."""
        return self._study.open_units(listing)

    def prerequisite(self, unit: Unit) -> Unit | None:
        """None: predictions do not depend on each other."""

    def execute(self, unit: Unit) -> Sequence[Record]:
        """Predict an input."""
        if unit.key not in self._planned:
            raise UserError(
                f"{unit.label} is not what this node makes of the study's arguments: the input or "
                "perfkit differs from those where the study was started"
            )
        planned = self._planned[unit.key]
        planned.subject.refuse_without_memory(planned.configuration)
        store = UnitStore(self._study.folder)
        result = predict(self._arguments, planned, store)
        if result.interrupted:
            raise KeyboardInterrupt
        study = self._study.plan.study
        return [record.model_copy(update={"study": study}) for record in store.records()]


def make_executor(study: SharedStudy) -> RunExecutor:
    """Make what predicts the inputs of a study."""
    return RunExecutor(study)


def _split(arguments: Mapping[str, Any]) -> tuple[RunArguments, dict[str, Any]]:
    """The arguments of the call, and the options of the model."""
    own = RunArguments(**{name: each for name, each in arguments.items() if name in OWN})
    return own, {name: each for name, each in arguments.items() if name not in OWN}


def _unit(number: int, planned: PlannedRun) -> Unit:
    """The unit of an input. Two inputs may be equal, and are both predicted."""
    workload, configuration = planned.subject.workload, planned.configuration
    return Unit(
        key=short_digest([KIND, number, workload.digest, configuration.digest]),
        label=f"{number + 1}: {workload.name}",
    )
