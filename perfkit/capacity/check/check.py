"""A plan against what happened: errors, what fell outside, risks of the rest, a correction."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perfkit.capacity.check.actual import Actual, Fate
from perfkit.capacity.check.planned import PlanFile, PlannedRow
from perfkit.capacity.check.schedule import late
from perfkit.capacity.correction.correction import Correction, FinishedJob
from perfkit.capacity.correction.predictive import FEWEST, Predictive, predictive, score
from perfkit.capacity.laws.prediction import Range


@dataclass(frozen=True)
class CheckedJob:
    """A job of a plan and what happened to it.

    Attributes
    ----------
    planned
        The job as it was planned.
    actual
        What happened to it.
    memory_risk
        Probability that it runs out of the memory that its array requests; None for a job that is
        not ahead, or in a plan without requests.
    time_risk
        Probability that it exceeds the time limit of its array, given how long it has run; None as
        above.
    deadline_risk
        Probability that it ends after the deadline; None without a deadline.
    """

    planned: PlannedRow
    actual: Actual
    memory_risk: float | None = None
    time_risk: float | None = None
    deadline_risk: float | None = None

    @property
    def time_inside(self) -> bool | None:
        """Whether the time is within its interval; None where the job did not finish."""
        return _inside(self.planned.time, self._finished_with(self.actual.time_s))

    @property
    def memory_inside(self) -> bool | None:
        """Whether the memory is within its interval; None where it is unknown."""
        return _inside(self.planned.memory, self._finished_with(self.actual.memory_bytes))

    @property
    def time_ratio(self) -> float | None:
        """Measured over predicted time; None where the job did not finish."""
        return _ratio(self.planned.time, self._finished_with(self.actual.time_s))

    @property
    def memory_ratio(self) -> float | None:
        """Measured over predicted memory; None where it is unknown."""
        return _ratio(self.planned.memory, self._finished_with(self.actual.memory_bytes))

    def _finished_with(self, value: float | None) -> float | None:
        return value if self.actual.fate is Fate.FINISHED else None


@dataclass(frozen=True)
class Group:
    """The finished jobs of a preset on a kind of machine.

    Attributes
    ----------
    model, preset, machine
        Model, label of the preset and kind of machine.
    times, memories
        Number of finished jobs of known time and memory.
    time_ratio, memory_ratio
        Median of measured over predicted, None without any.
    times_inside, memories_inside
        Number of measurements within their intervals.
    time, memory
        The correction: factors on the fit's prediction and on the ends of its interval, for a job
        whose interval is as wide as the median one. None without a score.
    """

    model: str
    preset: str
    machine: str
    times: int
    memories: int
    time_ratio: float | None
    memory_ratio: float | None
    times_inside: int
    memories_inside: int
    time: Range | None
    memory: Range | None


@dataclass(frozen=True)
class Check:
    """A plan against what happened.

    Attributes
    ----------
    jobs
        Jobs in the order of the plan.
    groups
        Summary per preset and kind of machine.
    correction
        Scores of all finished jobs.
    learned
        Number of jobs of this plan in the correction.
    deadline_s
        Deadline in seconds from the start of the plan, None for none.
    notices
        Facts that a reader must know.
    """

    jobs: tuple[CheckedJob, ...]
    groups: tuple[Group, ...]
    correction: Correction
    learned: int
    deadline_s: float | None
    notices: tuple[str, ...]

    def count(self, fate: Fate) -> int:
        """Return the number of jobs of a fate."""
        return sum(job.actual.fate is fate for job in self.jobs)


UNSEEN = Actual(Fate.QUEUED, None, None, "")
"""A job of which nothing is known."""


def check_jobs(
    plan: PlanFile,
    actual: Mapping[str, Actual],
    *,
    earlier: Correction | None = None,
    deadline_s: float | None = None,
) -> Check:
    """Compare a plan with what happened.

    Parameters
    ----------
    plan
        The plan.
    actual
        What happened, by name of a job. Jobs that are not in it are queued.
    earlier
        Correction of earlier checks, whose scores are kept.
    deadline_s
        Seconds in which the queue should end; None for the deadline of the plan, if any.
    """
    deadline_s = plan.deadline_s if deadline_s is None else deadline_s
    learned = [
        finished
        for job in plan.jobs
        if (finished := _finished(plan, job, actual.get(job.name, UNSEEN))) is not None
    ]
    correction = (earlier or Correction()).joined(learned)
    ahead = [job for job in plan.jobs if actual.get(job.name, UNSEEN).fate.is_ahead]
    expected = _Distributions(plan.jobs, correction)
    times = {job.name: expected.time(job) for job in ahead}
    too_late = {} if deadline_s is None else late(plan.jobs, actual, times, deadline_s)
    jobs = tuple(
        _checked(job, actual.get(job.name, UNSEEN), expected, too_late) for job in plan.jobs
    )
    return Check(
        jobs=jobs,
        groups=_groups(jobs, expected),
        correction=correction,
        learned=len(learned),
        deadline_s=deadline_s,
        notices=tuple(_notices(plan, jobs, correction)),
    )


class _Distributions:
    """Distributions of times and memory, corrected by finished jobs.

    Parameters
    ----------
    jobs
        All jobs that are asked for.
    correction
        The finished jobs.
    """

    def __init__(self, jobs: Sequence[PlannedRow], correction: Correction) -> None:
        keys = {_key(job) for job in jobs}
        self._times = {key: correction.time_scores(*key) for key in keys}
        self._memories = {key: correction.memory_scores(*key[:2]) for key in keys}

    def time(self, job: PlannedRow) -> Predictive:
        """Return the distribution of the seconds of a job."""
        return predictive(job.own.time, job.own.time_freedom, self._times[_key(job)])

    def memory(self, job: PlannedRow) -> Predictive:
        """Return the distribution of the bytes of a job."""
        return predictive(job.own.memory, job.own.memory_freedom, self._memories[_key(job)])


def _key(job: PlannedRow) -> tuple[str, str, str]:
    return job.model, job.preset, job.machine


def _finished(plan: PlanFile, job: PlannedRow, actual: Actual) -> FinishedJob | None:
    """Return the scores of a job, None where nothing can be learned from it.

    A job that ran out of memory or time needed at least its limit.
    """
    time_s, memory = actual.time_s, actual.memory_bytes or 0
    out_of_memory = actual.fate is Fate.OUT_OF_MEMORY
    out_of_time = actual.fate is Fate.TIME_LIMIT
    if out_of_memory and actual.is_as_requested:
        # The peak is sampled, and may be of a moment well before the end.
        memory = max(memory, int(job.array_memory_bytes or 0))
    if actual.fate is not Fate.FINISHED and not out_of_memory and not out_of_time:
        return None
    knows_time = actual.fate is Fate.FINISHED or out_of_time
    time = score(job.own.time, time_s) if knows_time and time_s and job.own.time_s else None
    knows_memory = (actual.fate is Fate.FINISHED or out_of_memory) and job.own.memory_bytes
    measured = score(job.own.memory, memory) if knows_memory and memory else None
    if time is None and measured is None:
        return None
    return FinishedJob(
        job=f"{plan.digest}/{job.name}",
        model=job.model,
        preset=job.preset,
        machine=job.machine,
        time=time,
        memory=measured,
        time_is_limit=out_of_time,
        memory_is_limit=out_of_memory,
    )


def _checked(
    job: PlannedRow, actual: Actual, expected: _Distributions, too_late: Mapping[str, float]
) -> CheckedJob:
    if not actual.fate.is_ahead:
        return CheckedJob(job, actual)
    memory_risk = time_risk = None
    if job.array_memory_bytes is not None:
        memory_risk = expected.memory(job).exceeds(job.array_memory_bytes)
    if job.array_time_s is not None:
        time = expected.time(job)
        so_far_s = actual.time_s if actual.fate is Fate.RUNNING else None
        longer = 1.0 if not so_far_s else time.exceeds(so_far_s)
        time_risk = min(1.0, time.exceeds(job.array_time_s) / longer) if longer else 1.0
    return CheckedJob(job, actual, memory_risk, time_risk, too_late.get(job.name))


def _groups(jobs: Sequence[CheckedJob], expected: _Distributions) -> tuple[Group, ...]:
    found = []
    for key in dict.fromkeys(_key(job.planned) for job in jobs):
        model, preset, machine = key
        own = [job for job in jobs if _key(job.planned) == key]
        times = [job.time_ratio for job in own if job.time_ratio is not None]
        memories = [job.memory_ratio for job in own if job.memory_ratio is not None]
        found.append(
            Group(
                model=model,
                preset=preset,
                machine=machine,
                times=len(times),
                memories=len(memories),
                time_ratio=statistics.median(times) if times else None,
                memory_ratio=statistics.median(memories) if memories else None,
                times_inside=sum(bool(job.time_inside) for job in own),
                memories_inside=sum(bool(job.memory_inside) for job in own),
                time=_factors([expected.time(job.planned) for job in own]),
                memory=_factors([expected.memory(job.planned) for job in own]),
            )
        )
    return tuple(found)


def _factors(distributions: Sequence[Predictive]) -> Range | None:
    """Return the corrected range of the job with the median interval, relative to the fit's."""
    ordered = sorted(distributions, key=lambda each: each.half)
    middle = ordered[len(ordered) // 2]
    if not middle.scores.values or middle.fitted.value <= 0:
        return None
    found, value = middle.range(), middle.fitted.value
    return Range(value=found.value / value, low=found.low / value, high=found.high / value)


def _notices(plan: PlanFile, jobs: Sequence[CheckedJob], correction: Correction) -> list[str]:
    notices = []
    sampled = [job for job in jobs if job.actual.is_sampled and job.memory_ratio is not None]
    if sampled:
        notices.append(
            "memory from sacct is sampled, by default every 30 s: a short peak may be missed"
        )
    without = sum(job.memory_ratio is None and job.time_ratio is not None for job in jobs)
    if without:
        notices.append(
            f"the memory of {without} finished jobs is unknown: sacct shows MaxRSS on the lines of "
            "steps, which --allocations leaves out"
        )
    limited = sum(each.time_is_limit or each.memory_is_limit for each in correction.jobs)
    if limited:
        notices.append(
            f"a limit ended {limited} of the jobs that the correction learns from: what they would "
            "have needed is above it by an unknown amount"
        )
    keys = {_key(job.planned) for job in jobs}
    few = [key for key in keys if 0 < len(correction.time_scores(*key)) < FEWEST]
    if few:
        notices.append(
            f"a conformal interval needs {FEWEST} finished jobs of a preset and kind of machine; "
            "with fewer, the fit's interval is shifted and scaled by their residuals"
        )
    if any(job.array_memory_bytes is None for job in plan.jobs):
        notices.append(
            "the plan was made by an older perfkit and holds no requests: the risks of its limits "
            "are unknown"
        )
    return notices


def _inside(predicted: Range, measured: float | None) -> bool | None:
    return None if measured is None else predicted.low <= measured <= predicted.high


def _ratio(predicted: Range, measured: float | None) -> float | None:
    return None if measured is None or predicted.value <= 0 else measured / predicted.value
