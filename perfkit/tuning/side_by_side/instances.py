"""Several instances of a configuration side by side: what they predict per hour. Runs nothing."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.stats.exact import median_interval, sequential_ratio
from perfkit.stats.interval import Interval
from perfkit.units import HOUR_S, bytes_text, count_text, percent_text

MEMORY_MARGIN = 1.1
"""Memory that each instance may need, relative to the peak of the same configuration alone. On
fewer CPUs a program is compiled anew and may need other buffers."""


type Hourly = Callable[[int, float], float]
"""What an hour counts in which so many CPUs and bytes of memory are used, see
:meth:`perfkit.tuning.goals.objectives.Objective.hourly`."""


@dataclass(frozen=True)
class Instances:
    """Measurements of one number of instances side by side.

    Attributes
    ----------
    count
        Number of instances.
    cpus
        CPUs of each.
    blocks_per_hour
        Predictions per hour of all instances together, for each block of processes, oldest first.
    peak_rss_bytes
        Largest peak of an instance.
    """

    count: int
    cpus: int
    blocks_per_hour: tuple[float, ...]
    peak_rss_bytes: int

    @property
    def per_hour(self) -> Interval:
        """Predictions per hour: the median over blocks."""
        return median_interval(self.blocks_per_hour)

    def gain(self, other: Instances) -> Interval:
        """Predictions per hour over those of ``other``, from the blocks of the same turns."""
        turns = zip(self.blocks_per_hour, other.blocks_per_hour, strict=False)
        return sequential_ratio([math.log(mine / its) for mine, its in turns])

    def hourly(self, hourly: Hourly) -> float:
        """What an hour of these instances counts."""
        return hourly(self.count * self.cpus, self.count * self.peak_rss_bytes)

    @property
    def text(self) -> str:
        """Number and CPUs of the instances, for a reader."""
        return f"{count_text(self.count, 'instance')} of {count_text(self.cpus, 'CPU')}"


def measured_instances(records: Sequence[Record], digest: str) -> tuple[Instances, ...]:
    """The numbers of instances that were measured without a failure, ascending.

    A round counts as long as its slowest pass: in that time, every instance has made a prediction.
    Rounds with a pass that was disturbed, and was therefore repeated alone, do not count.

    Parameters
    ----------
    records
        Records of one study and one workload.
    digest
        Digest of the configuration.
    """
    blocks: dict[str | None, list[Record]] = defaultdict(list)
    for record in records:
        if record.role is Role.TOGETHER and record.configuration.digest == digest:
            blocks[record.block].append(record)
    found: dict[int, list[list[Record]]] = defaultdict(list)
    for members in blocks.values():
        found[members[0].instances].append(members)
    return tuple(
        Instances(
            count,
            members[0][0].allowed_cpus,
            values,
            max(record.peak_rss_bytes for block in members for record in block),
        )
        for count, members in sorted(found.items())
        if not failed_instances(records, digest, count)
        and (values := tuple(filter(None, (_per_hour(block, count) for block in members))))
    )


def failed_instances(records: Sequence[Record], digest: str, count: int) -> str | None:
    """Why a number of instances failed, or None if it did not, or was not measured.

    The failure of one instance is enough: it would fail in use, too.
    """
    for record in records:
        if (
            record.role is Role.TOGETHER
            and record.configuration.digest == digest
            and record.instances == count
            and record.outcome not in (Outcome.OK, Outcome.INTERRUPTED)
        ):
            return record.reason or record.outcome.value
    return None


def best_instances(found: Sequence[Instances], hourly: Hourly) -> Instances | None:
    """The best number of instances: the fewest of those that are not surely worse than the best.

    Parameters
    ----------
    found
        Measurements.
    hourly
        What an hour of the instances counts.
    """

    if not found:
        return None
    best = max(found, key=lambda one: one.per_hour.median / one.hourly(hourly))
    equals = [one for one in found if one is best or not surely_better(best, one, hourly)]
    return min(equals, key=lambda one: one.count)


def surely_better(one: Instances, other: Instances, hourly: Hourly) -> bool:
    """Whether a number of instances is surely better than another one."""
    return one.gain(other).surely_above(one.hourly(hourly) / other.hourly(hourly))


def instances_sentence(found: Sequence[Instances], chosen: Instances) -> str:
    """What the chosen number of instances predicts per hour, and the other numbers."""
    own = chosen.per_hour
    ends = "" if own.ends is None else f" (95 % interval {own.ends[0]:.1f} to {own.ends[1]:.1f})"
    alone = next((one for one in found if one.count == 1 and one is not chosen), None)
    gain = "" if alone is None else _gain_text(chosen.gain(alone))
    others = [
        f"{one.text} {one.per_hour.median:.1f}"
        + (" (not surely better)" if one.per_hour.median > own.median else "")
        for one in found
        if one is not chosen
    ]
    rest = f"; {', '.join(others)}" if others else ""
    return f"{chosen.text}: {own.median:.1f} predictions per hour{ends}{gain}{rest}."


def too_large(counts: Sequence[int], peak_rss_bytes: int, memory_bytes: float) -> tuple[int, ...]:
    """The numbers of instances that do not fit into memory.

    Parameters
    ----------
    counts
        Numbers of instances.
    peak_rss_bytes
        Peak memory of one.
    memory_bytes
        Memory for all of them.
    """
    return tuple(count for count in counts if count * peak_rss_bytes * MEMORY_MARGIN > memory_bytes)


def too_large_sentence(count: int, peak_rss_bytes: int, memory_bytes: float) -> str:
    """Why a number of instances does not fit into memory; arguments as for :func:`too_large`."""
    needs = f"{count_text(count, 'instance')} with a peak of {bytes_text(peak_rss_bytes)} each"
    return (
        f"{needs} cannot run in {bytes_text(memory_bytes)} of memory, at "
        f"{percent_text(MEMORY_MARGIN - 1)} of margin"
    )


def _per_hour(block: Sequence[Record], count: int) -> float | None:
    """Predictions per hour in a block; None where it is incomplete."""
    if len(block) != count:
        return None
    disturbed = {one.round for record in block for one in record.disturbed_passes}
    times_s = [{stage.round: stage.wall_s for stage in record.steady} for record in block]
    rounds = set.intersection(*(set(one) for one in times_s)) - disturbed
    slowest_s = [max(one[number] for one in times_s) for number in rounds]
    return statistics.median(count * HOUR_S / each_s for each_s in slowest_s) if slowest_s else None


def _gain_text(gain: Interval) -> str:
    if gain.ends is None:
        return f", {gain.median:.2f} times as many as one instance, which is not sure"
    low, high = gain.ends
    return f", {gain.median:.2f} times as many as one instance ({low:.2f} to {high:.2f})"
