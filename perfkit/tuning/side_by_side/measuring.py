"""Measures how many predictions per hour several instances of a configuration make."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perfkit.files import remove
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.cpus import ALL_CPUS, CPUS_KNOB
from perfkit.knobs.topology import Place, places, sensible_counts, shares
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.stats.exact import LOOKS
from perfkit.trial.interrupts import interrupts_deferred
from perfkit.trial.request import TrialFiles, TrialLabels, reference_file
from perfkit.tuning.side_by_side.instances import (
    Hourly,
    Instances,
    failed_instances,
    measured_instances,
    surely_better,
    too_large,
    too_large_sentence,
)
from perfkit.tuning.side_by_side.together import bind_thread, run_together
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.runner import Runner
from perfkit.tuning.studies.study_plan import StudyPlan

MOST_TURNS = 2 * LOOKS[0]
"""Turns after which measuring ends, decided or not."""

HOPELESS = 0.85
"""A number of instances that predicts less than this share of a smaller number in each of two or
more turns is not measured any more. Of equals, the fewest instances are best, so that it need not
be proved worse. Blocks of one program differ by less, see
:data:`perfkit.tuning.search.screening.CLEARLY_FASTER`."""

ROUNDS_LEAST = 2
ROUNDS_MOST = 8
"""Bounds on the timed passes of a block, which otherwise take about as long as its start."""


@dataclass(frozen=True)
class InstanceCosts:
    """Predicted durations of a trial that runs alone.

    Attributes
    ----------
    start_s
        Seconds from the start to the first pass.
    pass_s
        Seconds of a pass.
    """

    start_s: float
    pass_s: float

    @property
    def rounds(self) -> int:
        """Timed passes of a block."""
        return min(ROUNDS_MOST, max(ROUNDS_LEAST, round(self.start_s / max(self.pass_s, 1e-9))))

    def turn_s(self, counts: Sequence[int]) -> float:
        """Seconds of a turn, in which each number of instances has one block.

        Instances are assumed to gain nothing: ``k`` of them take ``k`` times as long.
        """
        return sum(self.start_s + count * (1 + self.rounds) * self.pass_s for count in counts)

    def least_s(self, counts: Sequence[int] | None = None) -> float:
        """Seconds until there is an interval.

        Parameters
        ----------
        counts
            Numbers of instances; by default all that divide the CPUs of this process evenly. A
            single number needs no measurement.
        """
        chosen = sensible_counts(places()) if counts is None else counts
        return LOOKS[0] * self.turn_s(chosen) if len(chosen) > 1 else 0.0


def instance_counts(
    configuration: Configuration, peak_rss_bytes: int, memory_bytes: float, where: Sequence[Place]
) -> tuple[int, ...]:
    """The numbers of instances to measure, ascending.

    They divide the CPUs evenly, keep NUMA nodes together, fit into memory, and give each instance
    as many CPUs as the configuration asks for.
    """
    wanted = configuration.as_dict().get(CPUS_KNOB.name, ALL_CPUS)
    least = 1 if wanted == ALL_CPUS else int(wanted)
    counts = [count for count in sensible_counts(where) if len(where) // count >= least]
    excluded = too_large(counts, peak_rss_bytes, memory_bytes)
    return tuple(count for count in counts if count not in excluded)


def measure_instances(
    runner: Runner,
    plan: StudyPlan,
    configuration: Configuration,
    peak_rss_bytes: int,
    costs: InstanceCosts,
    *,
    remaining_s: Callable[[], float],
    progress: Progress,
    cache: Path,
    where: Sequence[Place] | None = None,
    bind: Callable[[Sequence[int]], None] = bind_thread,
) -> None:
    """Measure a configuration in several instances side by side, until the best number is sure.

    Each number of instances has one block of new processes per turn, in alternating order, so that
    the drift of the machine favours none. Every record is stored as soon as its block has ended;
    calling again continues where an earlier call ended.

    Parameters
    ----------
    runner
        Makes the trials.
    plan
        The workload, the store, the memory for all instances together, and the goal, whose
        objective says what an hour of instances counts.
    configuration
        The configuration.
    peak_rss_bytes
        Peak memory of one trial of it at full depth.
    costs
        Predicted durations.
    remaining_s
        Returns the seconds that are left.
    progress
        Receives the events, and a sentence for each number of instances that is left out.
    cache
        Folder for compilation caches, which is deleted at the end.
    where
        The CPUs; by default those that this process may use.
    bind
        Binds the calling thread to CPUs.

    Raises
    ------
    KeyboardInterrupt
        The user interrupted; the records so far are stored.
    """
    cpus = places() if where is None else tuple(where)
    available = runner.available_bytes()
    memory_bytes = plan.memory_bytes if available is None else min(plan.memory_bytes, available)
    counts = instance_counts(configuration, peak_rss_bytes, memory_bytes, cpus)
    larger = too_large(sensible_counts(cpus), peak_rss_bytes, memory_bytes)
    if larger:
        progress.say(f"not measured: {too_large_sentence(larger[0], peak_rss_bytes, memory_bytes)}")
    if len(counts) < 2:
        return
    run = _Measurement(runner, plan, configuration, costs, progress, cache, cpus, bind)
    turn_s: float | None = None
    while True:
        left = run.undecided(counts, plan.goal.objective.hourly)
        needed_s = costs.turn_s(left) if turn_s is None else turn_s
        if not left:
            break
        if remaining_s() < needed_s:
            progress.say(
                "the budget is too short to measure instances side by side any further: a turn of "
                f"{', '.join(map(str, left))} instances takes about {needed_s:.0f} s"
            )
            break
        begin_s = runner.now_s()
        run.turn(left)
        turn_s = runner.now_s() - begin_s
    remove(cache)


@dataclass
class _Measurement:
    """The turns of one configuration."""

    runner: Runner
    plan: StudyPlan
    configuration: Configuration
    costs: InstanceCosts
    progress: Progress
    cache: Path
    cpus: Sequence[Place]
    bind: Callable[[Sequence[int]], None]
    turns: int = field(default=0)

    def undecided(self, counts: Sequence[int], hourly: Hourly) -> tuple[int, ...]:
        """The numbers of instances that need another block; none where the best one is sure.

        After an interruption in the middle of a turn, these are the rest of that turn.
        """
        records, digest = self._records(), self.configuration.digest
        found = {one.count: one for one in measured_instances(records, digest)}
        alive = [c for c in counts if failed_instances(records, digest, c) is None]
        blocks = {c: len(found[c].blocks_per_hour) if c in found else 0 for c in alive}
        others = [*found.values()]
        hopeful = [c for c in alive if c not in found or not _hopeless(found[c], others, hourly)]
        least = min((blocks[c] for c in hopeful), default=MOST_TURNS)
        if len(hopeful) < 2 or least >= MOST_TURNS:
            return ()
        if least >= LOOKS[0] and len({blocks[c] for c in hopeful}) == 1:
            kept = [found[c] for c in hopeful]
            best = max(kept, key=lambda one: one.per_hour.median / one.hourly(hourly))
            if all(one is best or surely_better(best, one, hourly) for one in kept):
                return ()
        return tuple(c for c in hopeful if blocks[c] == least)

    def turn(self, counts: Sequence[int]) -> None:
        """One block of each number of instances."""
        self.turns += 1
        for count in counts if self.turns % 2 else tuple(reversed(counts)):
            self._block(count)

    def _block(self, count: int) -> None:
        own = shares(self.cpus, count)
        plan, cpus = self.plan, len(own[0])
        # JAX's cache does not know the size of the thread pool that a program was compiled for.
        files = TrialFiles(
            reference=reference_file(plan.store.folder, plan.workload),
            compile_cache=self.cache / f"{self.configuration.digest}-{cpus}",
        )
        labels = TrialLabels(
            plan.study, Role.TOGETHER, secrets.token_hex(4), count > 1, instances=count
        )
        self.progress.trial_started(
            Role.TOGETHER, f"{self.configuration.label}, {count} side by side"
        )
        records = run_together(
            lambda: self.runner.trial(plan.workload, self.configuration, labels, files),
            own,
            self.costs.rounds,
            bind=self.bind,
        )
        with interrupts_deferred():
            for record in records:
                plan.store.append(record)
                self.progress.trial_finished(record)
        if any(record.outcome is Outcome.INTERRUPTED for record in records):
            raise KeyboardInterrupt

    def _records(self) -> list[Record]:
        study = self.plan.study
        return [record for record in self.plan.store.records() if record.study == study]


def _hopeless(one: Instances, found: Sequence[Instances], hourly: Hourly) -> bool:
    """Whether a smaller number of instances was far better in each of two or more turns."""

    def far_better(other: Instances) -> bool:
        needed = one.hourly(hourly) / other.hourly(hourly)
        turns = list(zip(one.blocks_per_hour, other.blocks_per_hour, strict=False))
        return len(turns) > 1 and all(mine < HOPELESS * needed * its for mine, its in turns)

    return any(far_better(other) for other in found if other.count < one.count)
