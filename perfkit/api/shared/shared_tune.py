"""Tunings that workers share: a unit is a step of the search, and the last one makes the preset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.api.progress import SilentProgress
from perfkit.api.studies.tuning import tune
from perfkit.api.studies.tuning_setup import TuningSetup, tuning_setup
from perfkit.api.versions.jaxlib_check import jaxlib_warnings
from perfkit.api.versions.jaxlibs import SHARE_OF_BUDGET
from perfkit.errors import UserError
from perfkit.files import short_digest
from perfkit.records.machine import fingerprint, setting_digest
from perfkit.records.schema import Record
from perfkit.shared_study.exclusive import create
from perfkit.shared_study.plan import Unit
from perfkit.shared_study.study import Listing, SharedStudy
from perfkit.shared_study.unit_store import UnitStore
from perfkit.shared_study.worker import IsHeld
from perfkit.tuning.search.strategy import Stop
from perfkit.tuning.studies.live import LiveRunner
from perfkit.tuning.studies.progress import SilentProgress as SilentTrials
from perfkit.tuning.studies.run import goal_space, study_plan, timed_limits
from perfkit.tuning.studies.shared_search import Ended, SearchStep, SharedSearch, Taken

KIND = "tune"

OF_THE_END = ("extrapolate", "jaxlib")
"""Arguments of a tuning that matter after its search."""

LEAST_S = 1.0
"""Budget of the last unit where the search has used up all of it."""


@dataclass(frozen=True)
class NodeKind:
    """A kind of node.

    Attributes
    ----------
    digest
        Digest of machine and packages.
    cpu
        Name of the CPU.
    """

    digest: str
    cpu: str


class TuneExecutor:
    """Measures steps of a tuning on this node, and ends it.

    Parameters
    ----------
    study
        The shared study.

    Raises
    ------
    UserError
        An argument of the study is impossible here, or the tuning runs on nodes of another kind.
    """

    def __init__(self, study: SharedStudy) -> None:
        self._study = study
        (self._last,) = study.plan.units
        self._arguments = dict(study.plan.arguments)
        self._setup = _setup(study)
        refuse_other_kind(study, this_kind())
        # Records hold what was found of the jaxlib of their node.
        jaxlib_warnings(SilentProgress())
        observe = self._arguments.get("observe")
        self._observe = tuple(map(str, observe)) if isinstance(observe, list) else ()
        plan = study_plan(
            self._setup.subject.model,
            self._setup.subject.workload,
            UnitStore(study.folder),
            budget_s=self._budget_s,
            extrapolates=bool(self._arguments.get("extrapolate", True)),
            observers=self._observe,
            goal=self._setup.goal,
        )
        space = goal_space(
            self._setup.space, plan, [start.configuration for start in self._setup.starts]
        )
        self._search = SharedSearch(plan, self._setup.strategy, space, study.plan.workers)
        self._stop = Stop()

    @property
    def _budget_s(self) -> float:
        """Seconds of the search. The comparison of versions of jaxlib has a share of its own."""
        share = 1.0 if self._arguments.get("jaxlib") is None else 1 - SHARE_OF_BUDGET
        return self._setup.budget_s * share

    def open_units(self, listing: Listing, is_held: IsHeld) -> Sequence[Unit]:
        """The next steps of the search; once it has ended, the last unit.

        The last unit waits for the steps that other workers are measuring.
        """
        if self._last.key in listing.closed:
            return ()
        if is_held(self._last):
            return (self._last,)
        found = self._study.found_units()
        steps = self._search.next_steps(
            self._study.records(listing), _taken(found, listing), self._remaining_s()
        )
        if not isinstance(steps, Stop):
            units = [self._unit(step) for step in steps]
            return [unit for unit in units if unit.key not in listing.closed]
        self._stop = steps
        held = [unit for unit in found if unit.key not in listing.closed and is_held(unit)]
        return held or (self._last,)

    def prerequisite(self, unit: Unit) -> Unit | None:
        """None: the steps are in their order."""

    def execute(self, unit: Unit) -> Sequence[Record]:
        """Measure a step, or measure what remains and write preset and page."""
        if unit.key == self._last.key:
            self._end()
            return ()
        step = SearchStep.model_validate(unit.detail)
        store = UnitStore(self._study.folder, self._study.records())
        trials = SilentTrials()
        limits = timed_limits(self._setup.subject.limits, self._budget_s)
        runner = LiveRunner(self._study.folder, limits, trials.stage, self._observe)
        self._search.measure(step, store, runner, trials, runner.now_s() + self._remaining_s())
        return store.kept()

    def _end(self) -> None:
        """Make the call that ends the tuning. It stores its own records: none is left to commit."""
        left_s = max(LEAST_S, self._setup.budget_s - self._study.notes.spent_s())
        given = self._arguments | {
            "strategy": Ended(self._setup.strategy, self._stop),
            "budget": left_s,
        }
        result = tune(**given, out=self._study.folder, progress=print)  # type: ignore[arg-type]
        if result.interrupted:
            raise KeyboardInterrupt

    def _remaining_s(self) -> float:
        return self._budget_s - self._study.notes.spent_s()

    def _unit(self, step: SearchStep) -> Unit:
        return Unit(
            key=short_digest([KIND, self._study.plan.continued, step.key]),
            label=self._search.label(step),
            detail=step.model_dump(mode="json"),
        )


def make_executor(study: SharedStudy) -> TuneExecutor:
    """Make what runs the units of a tuning."""
    return TuneExecutor(study)


def this_kind() -> NodeKind:
    """The kind of this node."""
    return NodeKind(setting_digest(), fingerprint().cpu or "unknown CPU")


def refuse_other_kind(study: SharedStudy, kind: NodeKind) -> None:
    """Refuse to work on a tuning that began on nodes of another kind: like is compared with like.

    The first worker of a tuning decides.

    Raises
    ------
    UserError
        The tuning runs on nodes of another kind.
    """
    path = study.sharing / "kind.json"
    create(path, (json.dumps({"digest": kind.digest, "cpu": kind.cpu}) + "\n").encode())
    first = NodeKind(**json.loads(path.read_bytes()))
    if first.digest == kind.digest:
        return
    difference = "another memory, kernel or package"
    if first.cpu != kind.cpu:
        difference = f"the CPU {kind.cpu}, not {first.cpu}"
    raise UserError(
        f"the tuning runs on nodes of another kind: this one has {difference}; choose nodes of one "
        "kind, e.g. with --partition or --place-option constraint=NAME"
    )


def _setup(study: SharedStudy) -> TuningSetup:
    given = {name: each for name, each in study.plan.arguments.items() if name not in OF_THE_END}
    return tuning_setup(**given)  # type: ignore[arg-type]


def _taken(found: Sequence[Unit], listing: Listing) -> Taken:
    """The steps among the units that workers found, by how they ended."""
    steps = [(unit.key, SearchStep.model_validate(unit.detail)) for unit in found]
    return Taken(
        tuple(step for key, step in steps if key in listing.finished),
        tuple(step for key, step in steps if key in listing.given_up),
    )
