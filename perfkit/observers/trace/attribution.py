"""One traced pass divided among operations, their kinds, and the modules of the model.

Every moment of the pass belongs to the operation that began last. What of it lies behind the
operation's own end is waiting. Samples of the process taken meanwhile say how many CPUs were busy,
how much of their time the kernel used, and how many pages were faulted in.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from perfkit.observers.pass_sampler import PassSample
from perfkit.observers.trace.hlo import Cost, Kind
from perfkit.observers.trace.xla_parts import Operation

UNNAMED = "no module"


@dataclass(frozen=True)
class Span:
    """A stretch of the pass that belongs to one operation, in seconds of the trace's clock."""

    operation: str
    module: str
    cost: Cost | None
    begin_s: float
    end_s: float
    worked_s: float
    """How much of it the operation itself ran; the rest is waiting."""


@dataclass
class Tally:
    """What was spent on a module, a kind or an operation.

    ``cpu_seconds`` are those of busy threads, at most one a CPU; ``lone_s`` is the time with some
    CPU busy but not all, as idle CPU seconds; ``idle_s`` the time with none busy, likewise.
    """

    seconds: float = 0.0
    waiting_s: float = 0.0
    runs: int = 0
    flops: float = 0.0
    bytes: float = 0.0
    product_flops: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    sampled_s: float = 0.0
    busy_cpu_s: float = 0.0
    lone_idle_cpu_s: float = 0.0
    all_idle_cpu_s: float = 0.0
    user_s: float = 0.0
    system_s: float = 0.0
    faults: int = 0

    def add(self, span: Span) -> None:
        """Count one span."""
        self.seconds += span.end_s - span.begin_s
        self.waiting_s += span.end_s - span.begin_s - span.worked_s
        self.runs += 1
        if span.cost is not None:
            self.flops += span.cost.flops
            self.bytes += span.cost.bytes
            if span.cost.dtype:
                self.product_flops[span.cost.dtype] += span.cost.flops


def spans_of(
    operations: Iterable[Operation],
    ends_us: Mapping[str, Sequence[float]],
    costs: Mapping[str, Cost],
    module_of: Callable[[str], str | None],
) -> list[Span]:
    """The pass as consecutive spans, one a run of an operation.

    Parameters
    ----------
    operations
        Of one pass, in any order.
    ends_us
        By operation, when its runs ended, in order; where it is silent, begin plus duration.
    costs
        By operation.
    module_of
        Module of an ``op_name``; None counts to the module before, as what has no name was put
        in by the compiler for the sake of what runs around it.
    """
    ordered = sorted(operations, key=lambda operation: operation.begin_us)
    spans = []
    module = UNNAMED
    for operation, following in zip(ordered, [*ordered, None][1:], strict=True):
        cost = costs.get(operation.name)
        loop = cost is not None and cost.kind is Kind.LOOP
        if cost is not None and not loop:
            module = module_of(cost.op_name) or module
        end_us = _end_us(operation, ends_us.get(operation.name, ()))
        until_us = end_us if following is None else following.begin_us
        worked_us = until_us if loop else min(end_us, until_us)
        spans.append(
            Span(
                operation.name,
                module,
                cost,
                operation.begin_us * 1e-6,
                until_us * 1e-6,
                max(0.0, worked_us - operation.begin_us) * 1e-6,
            )
        )
    return spans


def _end_us(operation: Operation, ends_us: Sequence[float]) -> float:
    """The first end that was told after the begin: an operation may hand its work to a pool."""
    plain = operation.begin_us + operation.duration_us
    place = bisect_right(ends_us, operation.begin_us)
    return max(plain, ends_us[place]) if place < len(ends_us) else plain


def tallied(spans: Iterable[Span], key: Callable[[Span], str]) -> dict[str, Tally]:
    """Spans added up by ``key``, most time first."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for span in spans:
        tallies[key(span)].add(span)
    return dict(sorted(tallies.items(), key=lambda item: -item[1].seconds))


def tallied_by_kind(spans: Iterable[Span]) -> dict[str, float]:
    """Seconds by kind of operation, waiting apart; they add up to the pass."""
    seconds: dict[str, float] = defaultdict(float)
    for span in spans:
        kind = span.cost.kind if span.cost is not None else Kind.OTHER
        seconds[kind] += span.worked_s
        seconds[Kind.WAIT] += span.end_s - span.begin_s - span.worked_s
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def add_samples(
    tallies: Mapping[str, Tally],
    spans: Sequence[Span],
    samples: Sequence[PassSample],
    offset_s: float,
    cpus: int,
) -> None:
    """Add what was sampled during the pass to the modules that ran.

    Parameters
    ----------
    tallies
        By module; changed in place.
    spans
        In order of time.
    samples
        On the monotonic clock.
    offset_s
        Monotonic time less the trace's.
    cpus
        CPUs that the process may use.
    """
    begins = [span.begin_s for span in spans]
    if not spans:
        return
    for before, after in pairwise(samples):
        middle_s = (before.time_s + after.time_s) / 2 - offset_s
        place = bisect_right(begins, middle_s) - 1
        if place < 0 or middle_s > spans[-1].end_s:
            continue
        tally = tallies[spans[place].module]
        elapsed_s = after.time_s - before.time_s
        busy = min(after.running, cpus)
        tally.sampled_s += elapsed_s
        tally.busy_cpu_s += busy * elapsed_s
        idle_cpu_s = (cpus - busy) * elapsed_s
        if busy == 0:
            tally.all_idle_cpu_s += idle_cpu_s
        else:
            tally.lone_idle_cpu_s += idle_cpu_s
        tally.user_s += after.user_s - before.user_s
        tally.system_s += after.system_s - before.system_s
        tally.faults += after.faults - before.faults
