"""Attribution of the time of one traced pass to parts and modules of the model.

Each moment of the pass belongs to the operation that began last: XLA:CPU runs most operations one
after the other, each on many threads. The spans between the begins of two operations, gaps
included, add up to the pass. Time of a span after the end of its operation is waiting.

The owner of an operation (its part or its module) follows from its ``op_name``:

- A fusion is one operation with one event; the instructions in it have none. Its own ``op_name``
  decides.
- A loop (``while``), a branch (``conditional``) or a ``call`` has an event around the events of the
  operations that it runs. These have owners of their own, so control flow claims only the time
  before the first of them, and does not change the owner: this time belongs to the owner that ran
  before. Control flow is recognised by its events, not by its name (a ``conditional`` may be called
  ``cond.3.clone``): XLA:CPU compiles a small loop to one ``call`` without events in it, which is
  one operation like a fusion.
- An operation without a known owner (copies and loop counters that the compiler inserts) belongs
  to the owner that ran before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from perfkit.models.depth import Stacks
from perfkit.observers.pass_sampler import PassSample
from perfkit.observers.trace.events import Trace
from perfkit.observers.trace.hlo import Cost, HloModule, Kind

CONTROL_COST = Cost(Kind.LOOP, 0.0, 0.0, "")
"""Cost of control flow, whose operations have costs of their own."""


@dataclass(frozen=True)
class Span:
    """Time of the pass that belongs to one run of an operation.

    Attributes
    ----------
    operation
        Name of the operation.
    owner
        Part or module of the model.
    cost
        Cost of the operation; None where the program does not hold it.
    begin_s, end_s
        Begin and end in seconds, on the clock of the trace.
    worked_s
        Seconds that the operation ran; the rest of the span is waiting.
    """

    operation: str
    owner: str
    cost: Cost | None
    begin_s: float
    end_s: float
    worked_s: float

    @property
    def seconds(self) -> float:
        """Length of the span."""
        return self.end_s - self.begin_s


def attribute(
    trace: Trace, program: HloModule, owner_of: Callable[[str], str | None], first: str
) -> list[Span]:
    """The pass as consecutive spans, one for each run of an operation.

    Parameters
    ----------
    trace
        Trace of one pass.
    program
        The optimised program that ran.
    owner_of
        Part or module of an ``op_name``; None where it is unknown.
    first
        Owner of the time before the first operation with a known owner.
    """
    ran = {operation.name for operation in trace.operations}
    control_flow = {name for name in ran if not ran.isdisjoint(program.controlled_by(name))}
    spans = []
    owner = first
    for operation, following in zip(trace.operations, [*trace.operations, None][1:], strict=True):
        control = operation.name in control_flow
        if not control:
            owner = owner_of(program.op_name(operation.name)) or owner
        end_us = trace.end_us(operation)
        until_us = end_us if following is None else following.begin_us
        # Control flow runs its operations to the end: nothing waits before the first of them.
        worked_us = until_us if control else min(end_us, until_us)
        spans.append(
            Span(
                operation.name,
                owner,
                CONTROL_COST if control else program.costs.get(operation.name),
                operation.begin_us * 1e-6,
                until_us * 1e-6,
                max(0.0, worked_us - operation.begin_us) * 1e-6,
            )
        )
    return spans


def seconds_by_owner(spans: Iterable[Span]) -> dict[str, float]:
    """Seconds of each part or module; they add up to the pass."""
    seconds: dict[str, float] = defaultdict(float)
    for span in spans:
        seconds[span.owner] += span.seconds
    return dict(seconds)


def full_seconds_by_part(
    parts: Sequence[Span], stacks: Sequence[Span], blocks: Stacks
) -> dict[str, float]:
    """Predict the seconds of each part in a full pass from a pass of the shallow network.

    The time of a stack is proportional to its blocks, as in
    :func:`perfkit.models.depth.full_pass_s`.

    Parameters
    ----------
    parts, stacks
        Spans of one pass, attributed to the parts of the model and to its stacks.
    blocks
        Blocks of each stack.
    """
    seconds: dict[str, float] = defaultdict(float)
    for part, stack in zip(parts, stacks, strict=True):
        found = blocks.get(stack.owner)
        seconds[part.owner] += part.seconds * (1.0 if found is None else found.full / found.shallow)
    return dict(seconds)


def scaled(seconds: Mapping[str, float], total_s: float) -> dict[str, float]:
    """Seconds in the same proportions that add up to ``total_s``; empty if all are zero.

    Tracing takes time that does not belong to the model.
    """
    whole_s = sum(seconds.values())
    return {name: each / whole_s * total_s for name, each in seconds.items()} if whole_s else {}


@dataclass
class Tally:
    """Time, work and samples of one owner or one operation.

    Attributes
    ----------
    seconds, waiting_s
        Wall seconds, and those of them after the end of an operation.
    runs
        Number of runs of operations.
    flops, bytes
        Floating-point operations, and bytes that were read and written.
    product_flops
        FLOPs of operations with matrix products, by type of the operands.
    sampled_s
        Wall seconds between samples.
    busy_cpu_s
        CPU seconds of busy CPUs while sampled.
    lone_idle_cpu_s, all_idle_cpu_s
        CPU seconds of idle CPUs while some other CPU was busy, and while none was.
    user_s, system_s
        CPU seconds of the process in user mode and in the kernel while sampled.
    faults
        Page faults of the process while sampled.
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
        """Add one span."""
        self.seconds += span.seconds
        self.waiting_s += span.seconds - span.worked_s
        self.runs += 1
        if span.cost is not None:
            self.flops += span.cost.flops
            self.bytes += span.cost.bytes
            if span.cost.dtype:
                self.product_flops[span.cost.dtype] += span.cost.flops


def tallied(spans: Iterable[Span], key: Callable[[Span], str]) -> dict[str, Tally]:
    """Sums of the spans by ``key``, in order of falling time."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for span in spans:
        tallies[key(span)].add(span)
    return dict(sorted(tallies.items(), key=lambda item: -item[1].seconds))


def tallied_by_kind(spans: Iterable[Span]) -> dict[str, float]:
    """Seconds by kind of operation, with waiting as a kind of its own; they add up to the pass."""
    seconds: dict[str, float] = defaultdict(float)
    for span in spans:
        kind = span.cost.kind if span.cost is not None else Kind.OTHER
        seconds[kind] += span.worked_s
        seconds[Kind.WAIT] += span.seconds - span.worked_s
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def add_samples(
    tallies: Mapping[str, Tally],
    spans: Sequence[Span],
    samples: Sequence[PassSample],
    offset_s: float,
    cpus: int,
) -> None:
    """Add the samples of the process to the owners that ran when they were taken.

    Parameters
    ----------
    tallies
        Tallies by owner; changed in place.
    spans
        Spans of the pass, in order of time.
    samples
        Samples on the monotonic clock.
    offset_s
        Seconds to add to a moment of the trace for the moment on the monotonic clock.
    cpus
        Number of CPUs that the process may use.
    """
    begins = [span.begin_s for span in spans]
    if not spans:
        return
    for before, after in pairwise(samples):
        middle_s = (before.time_s + after.time_s) / 2 - offset_s
        place = bisect_right(begins, middle_s) - 1
        if place < 0 or middle_s > spans[-1].end_s:
            continue
        tally = tallies[spans[place].owner]
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
