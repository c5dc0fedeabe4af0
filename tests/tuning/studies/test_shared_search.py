"""A search that several workers share, on replayed trials: what it finds, and what it repeats."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from benchmarks.recorded import RecordedConfiguration
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.shared_study.unit_store import UnitStore
from perfkit.tuning.choice.recommend import recommend
from perfkit.tuning.search.coordinate_ascent import CoordinateAscent
from perfkit.tuning.search.strategy import SearchSpace, Stop
from perfkit.tuning.studies.shared_search import Ended, SearchStep, SharedSearch, Taken
from perfkit.tuning.studies.study import NO_REFERENCE, Study
from perfkit.tuning.studies.study_plan import StudyPlan
from tests.support.recorded_studies import (
    AMPLE_BYTES,
    AMPLE_S,
    CHANGES,
    START_S,
    assert_nothing_is_better,
    recorded_ratio,
)
from tests.support.replay import MODEL, RECORDED, Alter, Listener, WatchedRunner, as_recorded, dying

LOST_S = 3 * START_S
"""Seconds after which the step of a lost worker is free again."""


@dataclass
class Worker:
    """A worker on a node of its own, with a step under way.

    Attributes
    ----------
    runner
        Its trials, on its own virtual clock; all clocks began together.
    step, records
        The step under way, and what it leaves when the clock has come to its end.
    """

    runner: WatchedRunner
    step: SearchStep | None = None
    records: list[Record] = field(default_factory=list)


class Cluster:
    """Workers that share a search, in virtual time.

    Parameters
    ----------
    folder
        Folder of the study.
    workers
        Number of workers.
    budget_s
        Budget of the search.
    loses
        Whether the first worker that takes a step of each kind is lost during it, and comes back.
    alter
        Changes what was recorded.
    """

    def __init__(
        self,
        folder: Path,
        workers: int,
        budget_s: float = AMPLE_S,
        *,
        loses: bool = False,
        alter: Alter = as_recorded,
    ) -> None:
        self.folder = folder
        self.catalogue = Catalogue(MODEL.knobs)
        self.plan = StudyPlan(
            MODEL, self.catalogue, RECORDED, UnitStore(folder), budget_s, AMPLE_BYTES
        )
        space = SearchSpace(self.catalogue, CHANGES)
        self.search = SharedSearch(self.plan, CoordinateAscent(), space, workers)
        self.budget_s = budget_s
        self.workers = [Worker(WatchedRunner(alter, number=1000 * n)) for n in range(workers)]
        self.records: list[Record] = []
        self.finished: list[SearchStep] = []
        self.begun: list[SearchStep] = []
        self.loses = loses
        self.lost: dict[str, SearchStep] = {}
        self.at_once = 0

    def run(self) -> Stop:
        """Let the workers take steps until none is left; the last decision."""
        while True:
            # Of those whose clocks are equal, one that has just finished comes first.
            worker = min(self.workers, key=lambda one: (one.runner.clock_s, one.step is None))
            now_s = worker.runner.clock_s
            self._commit(worker)
            taken = Taken(self.finished)
            found = self.search.next_steps(self.records, taken, self.budget_s - now_s)
            held = {other.step.key for other in self.workers if other.step is not None}
            self.at_once = max(self.at_once, len(held) + 1)
            if isinstance(found, Stop):
                if not held:
                    return found
                self._wait(worker)
                continue
            assert len({step.key for step in found}) == len(found)
            assert not {step.key for step in found} & {step.key for step in self.finished}
            free = [step for step in found if step.key not in held]
            if free:
                self._begin(worker, free[0])
            else:
                self._wait(worker)

    def _commit(self, worker: Worker) -> None:
        if worker.step is not None and worker.records:
            self.records += worker.records
            self.finished.append(worker.step)
        worker.step, worker.records = None, []

    def _begin(self, worker: Worker, step: SearchStep) -> None:
        self.begun.append(step)
        worker.step = step
        if self.loses and step.kind not in self.lost:
            self.lost[step.kind] = step
            worker.runner.clock_s += LOST_S
            return
        store = UnitStore(self.folder, self.records)
        self.search.measure(step, store, worker.runner, Listener(), self.budget_s)
        worker.records = store.kept()

    def _wait(self, worker: Worker) -> None:
        """Wait until another worker has finished."""
        later = [one.runner.clock_s for one in self.workers if one.step is not None]
        worker.runner.clock_s = min(later)

    @property
    def wall_s(self) -> float:
        """Virtual seconds until the last worker had finished."""
        return max(worker.runner.clock_s for worker in self.workers)

    def blocks(self, role: Role) -> Iterator[list[Record]]:
        """The records of each block with a role."""
        found: dict[str | None, list[Record]] = defaultdict(list)
        for record in self.records:
            found[record.block].append(record)
        yield from (own for own in found.values() if any(one.role is role for one in own))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """A search that three workers have shared to its end."""
    cluster = Cluster(tmp_path_factory.mktemp("shared"), 3)
    assert cluster.run().final
    return cluster


def _best(cluster: Cluster) -> dict[str, str]:
    best = recommend(cluster.records).best
    assert best is not None
    return best.settings


def test_workers_find_what_no_recorded_change_improves(shared: Cluster) -> None:
    assert_nothing_is_better(_best(shared))
    assert shared.at_once == 3


def test_no_step_is_measured_twice(shared: Cluster) -> None:
    assert set(Counter(step.key for step in shared.begun).values()) == {1}
    assert len({record.id for record in shared.records}) == len(shared.records)


def test_each_step_has_its_own_control(shared: Cluster) -> None:
    """A candidate with its incumbent, or finalists with stock, in processes of one node."""
    for block in shared.blocks(Role.SCREEN):
        assert Counter(record.role for record in block) == {Role.BASE: 1, Role.SCREEN: 1}
    confirmed = list(shared.blocks(Role.CONFIRM))
    assert len(confirmed) >= 6
    assert all(
        STOCK.digest in {record.configuration.digest for record in block} for block in confirmed
    )


def test_three_workers_try_more_in_less_wall_time_than_one(shared: Cluster, tmp_path: Path) -> None:
    alone = Cluster(tmp_path, 1)
    alone.run()
    tried = [sum(step.kind == "screen" for step in one.begun) for one in (shared, alone)]
    assert tried[0] > tried[1]
    assert shared.wall_s < 0.75 * alone.wall_s
    assert recorded_ratio(_best(shared)) < 1.1 * recorded_ratio(_best(alone))


def test_a_lost_step_is_measured_by_another_worker(tmp_path: Path) -> None:
    """A screening that has become superfluous meanwhile may be left out."""
    cluster = Cluster(tmp_path, 3, loses=True)
    cluster.run()
    assert_nothing_is_better(_best(cluster))
    assert cluster.lost.keys() == {"reference", "screen", "confirm"}
    attempts = Counter(step.key for step in cluster.begun)
    assert attempts[cluster.lost["reference"].key] == attempts[cluster.lost["confirm"].key] == 2
    assert set(Counter(step.key for step in cluster.finished).values()) == {1}


@pytest.mark.parametrize("starts", [12, 40])
def test_a_shared_search_stays_within_its_budget(tmp_path: Path, starts: int) -> None:
    cluster = Cluster(tmp_path, 3, budget_s=starts * START_S)
    stop = cluster.run()
    assert cluster.wall_s <= starts * START_S
    assert stop.reasons or starts > 12


def test_a_candidate_that_costs_workers_is_left_out(shared: Cluster) -> None:
    """It counts as crashed, so that it is neither proposed again nor recommended."""
    references = [step for step in shared.finished if step.kind == "reference"]
    screened = next(step for step in shared.finished if step.kind == "screen")
    known = [record for record in shared.records if record.role is Role.REFERENCE]
    found = shared.search.next_steps(known, Taken(references, [screened]), AMPLE_S)
    assert not isinstance(found, Stop)
    assert screened.candidates not in [step.candidates for step in found]


def test_a_reference_that_fails_twice_ends_the_search(tmp_path: Path) -> None:
    """There are two references, as the workload has two depths."""
    search = Cluster(tmp_path, 2).search
    first = _steps(search, Taken())
    assert [(step.kind, step.number) for step in first] == [("reference", 0)] * 2
    second = _steps(search, Taken(first))
    assert [(step.kind, step.number) for step in second] == [("reference", 1)] * 2
    assert search.next_steps([], Taken([*first, second[0]]), AMPLE_S) == NO_REFERENCE


def _steps(search: SharedSearch, taken: Taken) -> list[SearchStep]:
    found = search.next_steps([], taken, AMPLE_S)
    assert not isinstance(found, Stop)
    return found


def test_a_candidate_that_crashes_twice_is_given_up(tmp_path: Path) -> None:
    def crash(
        role: Role, configuration: Configuration, entry: RecordedConfiguration
    ) -> RecordedConfiguration:
        return dying(entry, 0) if "parameters" in configuration.as_dict() else entry

    cluster = Cluster(tmp_path, 3, alter=crash)
    cluster.run()
    crashed = [one for one in cluster.records if "parameters" in one.configuration.settings]
    assert {record.outcome for record in crashed} == {Outcome.CRASHED}
    assert max(Counter(record.configuration.digest for record in crashed).values()) == 2
    assert_nothing_is_better(_best(cluster), without="parameters")


def test_what_remains_after_the_search_is_measured_without_another_search(
    shared: Cluster,
) -> None:
    store = Store(shared.folder)
    for record in shared.records:
        store.append(record)
    runner = WatchedRunner(number=10_000)
    plan = replace(shared.plan, store=store)
    space = SearchSpace(shared.catalogue, CHANGES)
    study = Study(plan, Ended(CoordinateAscent(), Stop()), runner, Listener(), space)
    study.run()
    assert {role for role, _ in runner.opened} == {Role.PARTS, Role.CHECK}
    best = study.recommendation().best
    assert best is not None
    assert best.settings == _best(shared)
