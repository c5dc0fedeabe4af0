"""Trials side by side: what they use decides how many memory holds, not estimates alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.virtual_trials import virtual_stage
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models.gencast.model import GenCast
from perfkit.models.workload import Workload
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record, Stage
from perfkit.trial.memory_use import MemoryUse
from perfkit.trial.request import TrialFiles, TrialLabels
from perfkit.tuning.memory_room import MemoryRoom, process_bytes
from perfkit.tuning.studies.session import Living, Session, Start
from tests.support.records_factory import make_record
from tests.support.replay import RECORDED, Listener

GB = 10**9
ESTIMATE = 2 * GB


class _Model(GenCast):
    """Predicts two gigabytes for every trial."""

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> int | None:
        """Two gigabytes."""
        return ESTIMATE


class _Unknown(_Model):
    """A model whose memory is not predicted for the installed package."""

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> None:
        """None."""


MODEL = _Model()
CATALOGUE = Catalogue(MODEL.knobs)
NETWORK = CATALOGUE.configuration({"precision": "bfloat16_network"})
ALL = CATALOGUE.configuration({"precision": "bfloat16"})
THREE = (STOCK, NETWORK, ALL)


@dataclass
class _Machine:
    """A machine whose trials need more than the estimate. It makes them, as a runner does.

    Attributes
    ----------
    free_bytes
        Free memory while no trial is alive.
    need_bytes
        Memory that a trial uses from its first pass on; a tenth of it before.
    held
        Process ID -> resident memory.
    most_bytes, most_alive
        Largest memory and number of trials at any time.
    """

    free_bytes: int
    need_bytes: int
    held: dict[int, int] = field(default_factory=dict)
    most_bytes: int = 0
    most_alive: int = 0
    started: int = 0

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> _Trial:
        """A trial that has not been started."""
        self.started += 1
        return _Trial(self, configuration, self.started)

    def now_s(self) -> float:
        """No time passes."""
        return 0.0

    def available_bytes(self) -> float:
        """What the trials leave."""
        return self.free_bytes - sum(self.held.values())

    def hold(self, pid: int, size: int) -> None:
        """A process uses this much memory now."""
        self.held[pid] = size
        self.most_bytes = max(self.most_bytes, sum(self.held.values()))
        self.most_alive = max(self.most_alive, len(self.held))


class _Trial:
    """A trial of :class:`_Machine`."""

    not_written = False

    def __init__(self, machine: _Machine, configuration: Configuration, pid: int) -> None:
        self.configuration = configuration
        self.machine = machine
        self.pid = pid
        self.passed = False
        self.rounds: list[int] = []

    @property
    def alive(self) -> bool:
        """Whether the process holds memory."""
        return self.pid in self.machine.held

    def memory(self) -> MemoryUse | None:
        """What the machine holds for it."""
        if not self.alive:
            return None
        size = self.machine.held[self.pid]
        return MemoryUse(self.pid, size, size, self.passed)

    def start(self) -> None:
        """Import packages."""
        self.machine.hold(self.pid, self.machine.need_bytes // 10)

    def wait_ready(self) -> bool:
        """Compile and pass once."""
        self.machine.hold(self.pid, self.machine.need_bytes)
        self.passed = True
        return True

    def steady_pass(self, round_number: int) -> Stage | None:
        """A pass of a second."""
        self.rounds.append(round_number)
        return virtual_stage("steady", 1.0, round_number)

    def trace_parts(self) -> bool:
        """Nothing to trace."""
        return True

    def check(self) -> bool:
        """Always right."""
        return True

    def finish(self) -> Record:
        """Give the memory back."""
        self.machine.held.pop(self.pid, None)
        return make_record(settings=self.configuration.as_dict(), steady_s=[1.0] * len(self.rounds))

    def abort(self, outcome: Outcome, reason: str) -> Record:
        """The same."""
        return self.finish()


def _room(
    machine: _Machine, model: GenCast = MODEL, records: Callable[[], list[Record]] = list
) -> MemoryRoom:
    allowed = float(machine.free_bytes)
    return MemoryRoom(model, CATALOGUE, (RECORDED,), records, allowed, machine.available_bytes)


def _starts(*configurations: Configuration, shared: bool = False) -> list[Start]:
    return [Start(RECORDED, one, Role.CONFIRM, shared_process=shared) for one in configurations]


def _measured(peak_bytes: int, configuration: Configuration = STOCK) -> Record:
    """A record of an earlier process of a configuration, on the workload of the tests."""
    record = make_record(settings=configuration.as_dict(), steady_s=[1.0])
    workload = record.workload.model_copy(update={"digest": RECORDED.digest})
    return record.model_copy(update={"workload": workload, "peak_rss_bytes": peak_bytes})


def _run(machine: _Machine, room: MemoryRoom) -> list[Record]:
    """Start three trials in one session and pass each of them twice."""
    kept: list[Record] = []
    with Session(machine, Listener(), "study", kept.append, room.holds) as session:
        assert session.open_all(_starts(*THREE)) == [True] * 3
        session.rounds(THREE, 2)
    return kept


def test_trials_that_need_more_than_predicted_are_held_in_smaller_number() -> None:
    # By the estimate, 12 GB hold three trials of 2 GB. They need 5 GB each, so two fit.
    machine = _Machine(12 * GB, 5 * GB)
    kept = _run(machine, _room(machine, _Unknown()))
    assert machine.most_bytes == 10 * GB
    assert machine.most_alive == 2
    # Every trial makes both passes, in processes that are started again where necessary.
    passes = {one.digest: 0 for one in THREE}
    for record in kept:
        passes[record.configuration.digest] += len(record.steady)
    assert list(passes.values()) == [2, 2, 2]


def test_trials_that_need_what_is_predicted_are_held_together() -> None:
    machine = _Machine(12 * GB, ESTIMATE)
    kept = _run(machine, _room(machine))
    assert machine.most_alive == 3
    assert machine.started == len(kept) == 3


def test_memory_that_other_programs_take_leaves_less_for_trials() -> None:
    machine = _Machine(12 * GB, ESTIMATE)
    room = _room(machine)
    assert room.holds(_starts(*THREE))
    machine.hold(99, 7 * GB)
    assert not room.holds(_starts(*THREE))
    assert room.holds(_starts(STOCK, ALL))


def test_an_earlier_peak_replaces_the_estimate_and_corrects_that_of_others() -> None:
    machine = _Machine(9 * GB, ESTIMATE)
    lower = _room(machine, records=lambda: [_measured(GB // 2)])
    # 0.5 + 2 + 2 GB.
    assert lower.holds(_starts(STOCK, NETWORK, ALL))
    higher = _room(machine, records=lambda: [_measured(4 * GB)])
    # Twice the estimate: 4 + 4 GB fit into 9 GB, a third one does not.
    assert higher.holds(_starts(STOCK, NETWORK))
    assert not higher.holds(_starts(STOCK, NETWORK, ALL))


def test_the_memory_of_a_living_trial_is_available_to_it_but_not_to_others() -> None:
    machine = _Machine(8 * GB, 3 * GB)
    machine.hold(1, 3 * GB)
    (stock,) = _starts(STOCK)
    living = [Living(stock, MemoryUse(1, 3 * GB, 3 * GB, passed=True))]
    # 3 GB are measured, so that another trial is predicted to need 1.5 times its estimate.
    assert _room(machine).holds([stock, *_starts(NETWORK)], living)
    assert not _room(machine).holds([stock, *_starts(NETWORK, ALL)], living)


def test_what_a_shared_process_holds_is_counted_once() -> None:
    machine = _Machine(8 * GB, ESTIMATE)
    machine.hold(1, 5 * GB)
    use = MemoryUse(1, 5 * GB, 5 * GB, passed=True)
    both = _starts(STOCK, NETWORK, shared=True)
    living = [Living(start, use) for start in both]
    third = _starts(ALL, shared=True)
    # The process holds 5 GB for two trials of 2 GB; a further program needs a quarter of that.
    assert _room(machine).holds([*both, *third], living)
    machine.hold(2, 3 * GB)
    assert not _room(machine).holds([*both, *third], living)


def test_a_further_program_of_a_process_needs_a_quarter_of_a_process() -> None:
    allocator = CATALOGUE.configuration({"allocator": "glibc-keep"})
    # 2 + 0.5 + 0.5 GB in one process; another allocator needs a process of its own, of 2 GB.
    assert _room(_Machine(3100 * 10**6, ESTIMATE)).holds(_starts(*THREE, shared=True))
    assert not _room(_Machine(2900 * 10**6, ESTIMATE)).holds(_starts(*THREE, shared=True))
    both = _starts(STOCK, allocator, shared=True)
    assert _room(_Machine(4100 * 10**6, ESTIMATE)).holds(both)
    assert not _room(_Machine(3900 * 10**6, ESTIMATE)).holds(both)
    assert process_bytes([4.0, 8.0]) == 9.0


def test_without_measurement_the_memory_of_an_unknown_package_holds_one_trial() -> None:
    machine = _Machine(100 * GB, ESTIMATE)
    assert _room(machine, _Unknown()).holds(_starts(STOCK))
    assert not _room(machine, _Unknown()).holds(_starts(STOCK, ALL))
    measured = _room(machine, _Unknown(), lambda: [_measured(3 * GB)])
    assert measured.holds(_starts(STOCK, ALL))
    # Without an estimate, any other trial is taken to need the largest peak so far.
    small = _room(_Machine(8 * GB, ESTIMATE), _Unknown(), lambda: [_measured(3 * GB)])
    assert small.holds(_starts(STOCK, ALL))
    assert not small.holds(_starts(*THREE))


def test_the_peak_of_a_shared_process_stands_for_trials_without_an_estimate() -> None:
    machine = _Machine(9 * GB, ESTIMATE)
    machine.hold(1, 4 * GB)
    living = [
        Living(start, MemoryUse(1, 4 * GB, 4 * GB, passed=True))
        for start in _starts(STOCK, shared=True)
    ]
    starts = [one.start for one in living]
    assert _room(machine, _Unknown()).holds([*starts, *_starts(ALL)], living)
    assert not _room(machine, _Unknown()).holds([*starts, *_starts(ALL, NETWORK)], living)
