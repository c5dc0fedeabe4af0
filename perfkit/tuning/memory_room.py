"""Whether memory holds another trial: from measurements where there are any, else estimates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.schema import Record
from perfkit.records.stages import StageName
from perfkit.trial.memory_use import MemoryUse
from perfkit.tuning.search.settings import process_settings
from perfkit.tuning.studies.session import Living, Start

FURTHER_SHARE = 0.25
"""Memory of a further program in a process, relative to its estimate for a process of its own. It
holds its code and its parameters; temporary buffers are freed after each pass, and imported
packages are there once. With AlphaFold 3 and 76 tokens, a process grew from 2.0 GB with one program
to 4.0 GB with nine, estimated at 2.7 GB each, and by 1.35 GB for parameters as constants, estimated
at 5.25 GB."""


class Peak(NamedTuple):
    """Largest memory of the processes of one configuration.

    Attributes
    ----------
    bytes
        Peak of the resident memory.
    settings
        Settings of the configuration.
    """

    bytes: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class MemoryRoom:
    """Memory for the trials of a study.

    What a trial needs is, in this order: its own measured peak, once it has made a pass; the peak
    of an earlier process of the same configuration; the estimate of the model, raised by the
    largest factor by which a process of the study exceeded its estimate. With a package for which
    the model makes no estimate, the largest peak of the study so far stands for it, and until a
    trial has made a pass, memory is taken to hold one only.

    Attributes
    ----------
    model, catalogue
        The model, and the knobs that may be set for it.
    workloads
        Workloads of the study.
    records
        Returns the records of the study so far.
    allowed_bytes
        Memory for all trials together.
    available_bytes
        Returns the memory that a new trial may use now, within all limits of this process; None
        where memory is not measured.
    """

    model: Model
    catalogue: Catalogue
    workloads: Sequence[Workload]
    records: Callable[[], Sequence[Record]]
    allowed_bytes: float
    available_bytes: Callable[[], float | None]

    def holds(self, starts: Sequence[Start], living: Sequence[Living] = ()) -> bool:
        """Whether memory holds trials side by side.

        Parameters
        ----------
        starts
            All trials that are to be alive, including those that are alive already.
        living
            Trials that are alive. Those that are not among ``starts`` are ended first.
        """
        uses = {one.start.configuration.digest: one.use for one in living if one.use is not None}
        peaks = self._peaks()
        if len(starts) > 1 and not self._is_known(peaks, living):
            return False
        predicted = self._prediction(peaks, living)
        needed: dict[Hashable, list[float]] = defaultdict(list)
        further: dict[Hashable, float] = defaultdict(float)
        resident: dict[Hashable, int] = {}
        for number, start in enumerate(starts):
            settings = process_settings(start.configuration.settings)
            process = settings if start.shared_process else number
            use = uses.get(start.configuration.digest)
            size = _needed_bytes(start, use, peaks, predicted)
            needed[process].append(size)
            if use is None:
                further[process] += FURTHER_SHARE * size
            else:
                resident[process] = use.resident_bytes
        total = 0.0
        for key, sizes in needed.items():
            # It may hold more than its trials need, e.g. programs of trials that have ended.
            held = resident[key] + further[key] if key in resident else 0.0
            total += max(process_bytes(sizes), held)
        living_bytes = {use.pid: use.resident_bytes for use in uses.values()}
        return total < self._bound_bytes(living_bytes.values())

    def _is_known(self, peaks: Mapping[tuple[str, str], Peak], living: Sequence[Living]) -> bool:
        """Whether there is a measurement, or an estimate that holds for the installed package."""
        if peaks or any(one.use is not None and one.use.passed for one in living):
            return True
        return self.model.memory_estimate_bytes(self.workloads[0], STOCK) is not None

    def _bound_bytes(self, resident: Iterable[int]) -> float:
        available = self.available_bytes()
        if available is None:
            return self.allowed_bytes
        # What living trials hold is not available, but theirs.
        return min(self.allowed_bytes, available + sum(resident))

    def _peaks(self) -> dict[tuple[str, str], Peak]:
        """Digests of workload and configuration -> largest peak of a process of its own."""
        found: dict[tuple[str, str], Peak] = {}
        for record in self.records():
            if record.shared_process or record.stage(StageName.FIRST) is None:
                continue
            key = (record.workload.digest, record.configuration.digest)
            if record.peak_rss_bytes > (found[key].bytes if key in found else 0):
                found[key] = Peak(record.peak_rss_bytes, record.configuration.settings)
        return found

    def _prediction(
        self, peaks: Mapping[tuple[str, str], Peak], living: Sequence[Living]
    ) -> Callable[[Workload, Configuration], float]:
        """What a trial of its own process needs that is not measured: see :class:`MemoryRoom`."""
        workloads = {workload.digest: workload for workload in self.workloads}
        measured = [
            (workloads[workload], self.catalogue.configuration(peak.settings), peak.bytes)
            for (workload, _), peak in peaks.items()
            if workload in workloads
        ]
        measured += [
            (one.start.workload, one.start.configuration, one.use.peak_bytes)
            for one in living
            if one.use is not None and not one.start.shared_process
        ]
        estimate = self.model.memory_estimate_bytes
        # The peak of a shared process is at least that of each of its trials.
        largest = max((one.use.peak_bytes for one in living if one.use is not None), default=0)
        factor = 1.0
        for workload, configuration, peak_bytes in measured:
            largest = max(largest, peak_bytes)
            estimated = estimate(workload, configuration)
            factor = max(factor, peak_bytes / max(1, estimated or peak_bytes))

        def predicted(workload: Workload, configuration: Configuration) -> float:
            estimated = estimate(workload, configuration)
            return float(largest) if estimated is None else estimated * factor

        return predicted


def _needed_bytes(
    start: Start,
    use: MemoryUse | None,
    peaks: Mapping[tuple[str, str], Peak],
    predicted: Callable[[Workload, Configuration], float],
) -> float:
    # The memory of a shared process is not that of one trial.
    if not start.shared_process:
        if use is not None and use.passed:
            return float(use.peak_bytes)
        earlier = peaks.get((start.workload.digest, start.configuration.digest))
        if earlier is not None:
            return float(earlier.bytes)
    return predicted(start.workload, start.configuration)


def process_bytes(estimates: Sequence[float]) -> float:
    """Predicted peak of a process with several programs.

    Parameters
    ----------
    estimates
        Bytes that each program would need in a process of its own; at least one.
    """
    return max(estimates) + FURTHER_SHARE * (sum(estimates) - max(estimates))
