"""What differs between the two sides: times, memory, modules and operations, answers."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfkit.answers.agreement import (
    Agreement,
    AgreementClass,
    QuantityAgreement,
    Tolerance,
    compare,
)
from perfkit.history.verdicts import FACTOR, REGRESSIONS, Verdict
from perfkit.observers.trace.attribution import scaled
from perfkit.records.schema import Record
from perfkit.records.stages import StageName
from perfkit.stats.exact import log_ratios, sequential_ratio
from perfkit.stats.interval import CONFIDENCE, Interval
from perfkit.upgrade.measuring import Pair
from perfkit.upgrade.module_times import TracedOperation, TracedPass
from perfkit.upgrade.sides import OBSERVATION

SMALLEST_SHARE = 0.01
"""Share of a pass below which a module is not compared: a trace resolves no less."""

LISTED_OPERATIONS = 3
"""Operations that are listed for each slower module."""

REPEATS = 2.0
"""A changed answer differs by more than this multiple of the difference of two runs of one side."""

type Answers = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Row:
    """One measured quantity of both sides.

    Attributes
    ----------
    name, unit
        Name and unit (``seconds`` or ``bytes``).
    old, new
        Median over the blocks.
    ratio
        ``new / old``, from the pairs; None if a side is zero.
    verdict
        Worse, better, same, or unsure if there are too few pairs for an interval.
    """

    name: str
    unit: str
    old: float
    new: float
    ratio: Interval | None
    verdict: Verdict


@dataclass(frozen=True)
class OperationChange:
    """The time of an operation of the traced program, and what each compiler makes of it.

    Attributes
    ----------
    module
        Module of the model.
    op_name
        Path of the operation in the traced program.
    old_s, new_s
        Median seconds in a pass.
    old_hlo, new_hlo
        Operations of the optimised HLO with their results; empty where a side has none.
    """

    module: str
    op_name: str
    old_s: float
    new_s: float
    old_hlo: tuple[str, ...]
    new_hlo: tuple[str, ...]


@dataclass(frozen=True)
class AnswerChange:
    """How the answers of the two sides compare.

    Attributes
    ----------
    agreement
        Each compared quantity of the new side against the old one.
    declared
        Class that the configuration declares to reach.
    repeated
        Largest distance of two runs of one side, by quantity; empty with one block.
    """

    agreement: Agreement
    declared: AgreementClass
    repeated: Mapping[str, float]

    def verdict(self, quantity: QuantityAgreement) -> Verdict:
        """Whether a quantity has changed."""
        noise = REPEATS * self.repeated.get(quantity.name, 0.0)
        # A distance that is not a number is no noise.
        within = quantity.reached <= self.declared or quantity.distance <= noise
        return Verdict.SAME if within else Verdict.ANSWER_CHANGED

    @property
    def changed(self) -> bool:
        """Whether any quantity has changed."""
        return any(self.verdict(each) is not Verdict.SAME for each in self.agreement.quantities)

    @property
    def identical(self) -> bool:
        """Whether all quantities are equal bit by bit."""
        return self.agreement.reached is AgreementClass.BITWISE


@dataclass(frozen=True)
class UpgradeComparison:
    """What differs between the two sides.

    Attributes
    ----------
    rows
        Times and memory.
    modules
        Seconds of each module in a pass, those that lost most first.
    operations
        Operations of the modules that are slower.
    answers
        The answers; None where a side has none.
    failures
        A sentence for each side whose trial failed.
    new_failed
        Whether the new side failed.
    """

    rows: tuple[Row, ...] = ()
    modules: tuple[Row, ...] = ()
    operations: tuple[OperationChange, ...] = ()
    answers: AnswerChange | None = None
    failures: tuple[str, ...] = ()
    new_failed: bool = False

    @property
    def slower_modules(self) -> tuple[str, ...]:
        """Names of the modules that are slower beyond noise."""
        return tuple(row.name for row in self.modules if row.verdict is Verdict.WORSE)

    @property
    def regressed(self) -> bool:
        """Whether the new side is slower, larger, gives another answer or fails."""
        changed = self.answers is not None and self.answers.changed
        worse = any(row.verdict in REGRESSIONS for row in (*self.rows, *self.modules))
        return changed or worse or self.new_failed


def compare_pairs(
    pairs: Sequence[Pair], answers: AnswerChange | None, factor: float = FACTOR
) -> UpgradeComparison:
    """Compare the blocks of a measurement.

    Parameters
    ----------
    pairs
        The blocks, in order; the last one may be incomplete.
    answers
        How the answers compare.
    factor
        Smallest ratio that counts as a change.
    """
    complete = [pair for pair in pairs if pair.complete]
    failed = [pair for pair in pairs if not pair.complete]
    rows = tuple(
        _row(name, unit, [(read(pair.old), read(pair.new)) for pair in complete], factor)
        for name, unit, read in QUANTITIES
        if complete
    )
    whole_is_worse = any(row.verdict is Verdict.WORSE for row in rows[:1])
    modules = _module_rows(complete, whole_is_worse, factor)
    slower = [row.name for row in modules if row.verdict is Verdict.WORSE]
    return UpgradeComparison(
        rows,
        modules,
        tuple(change for module in slower for change in _operations(complete, module)),
        answers,
        tuple(_failure(each) for pair in failed for each in (pair.old, pair.new) if _ended(each)),
        any(_ended(pair.new) for pair in failed),
    )


def compare_answers(
    old: Sequence[Answers],
    new: Sequence[Answers],
    tolerances: Mapping[str, Tolerance],
    declared: AgreementClass,
) -> AnswerChange | None:
    """Compare the answers of both sides.

    Parameters
    ----------
    old, new
        Compared quantities of the first runs of each side.
    tolerances
        Tolerance by quantity.
    declared
        Class that the configuration declares to reach.

    Returns
    -------
    AnswerChange or None
        None if a side has no answer.
    """
    if not old or not new:
        return None
    repeated: dict[str, float] = defaultdict(float)
    for runs in (old, new):
        for again in runs[1:]:
            for quantity in compare(again, runs[0], tolerances).quantities:
                repeated[quantity.name] = max(repeated[quantity.name], quantity.distance)
    return AnswerChange(compare(new[0], old[0], tolerances), declared, dict(repeated))


def _steady_s(record: Record) -> float:
    return statistics.median(stage.wall_s for stage in record.steady)


def _stage_s(name: StageName) -> Callable[[Record], float]:
    def read(record: Record) -> float:
        stage = record.stage(name)
        return 0.0 if stage is None else stage.wall_s

    return read


def _peak_bytes(record: Record) -> float:
    """Peak resident set until the last timed pass: the trace that follows takes memory, too."""
    last = max(number for number, stage in enumerate(record.stages) if stage in record.steady)
    return float(max(stage.peak_rss_bytes for stage in record.stages[: last + 1]))


def _temporary_bytes(record: Record) -> float:
    return 0.0 if record.compilation is None else float(record.compilation.temporary_bytes)


QUANTITIES: tuple[tuple[str, str, Callable[[Record], float]], ...] = (
    ("pass", "seconds", _steady_s),
    ("tracing", "seconds", _stage_s(StageName.TRACE)),
    ("compilation", "seconds", _stage_s(StageName.COMPILE)),
    ("peak memory", "bytes", _peak_bytes),
    ("temporary memory of the program", "bytes", _temporary_bytes),
)
"""Name, unit and value of what is compared of a trial; the pass comes first."""


def _row(
    name: str,
    unit: str,
    values: Sequence[tuple[float, float]],
    factor: float,
    is_worse: Callable[[list[float]], bool] = lambda logarithms: True,
) -> Row:
    """Make a row; ``is_worse`` may ask for more evidence than one interval that excludes 1."""
    old, new = ([pair[side] for pair in values] for side in (0, 1))
    medians = statistics.median(old), statistics.median(new)
    if min(*old, *new) <= 0:
        return Row(name, unit, *medians, None, Verdict.SAME if old == new else Verdict.UNSURE)
    logarithms = log_ratios(new, old)
    ratio = sequential_ratio(logarithms)
    large = not 1 / factor < ratio.median < factor
    verdict = Verdict.SAME
    if large and not ratio.known:
        # Equal bytes in every pair, and a memory that is a count, need no interval.
        verdict = Verdict.UNSURE
    elif large and ratio.surely_above(1.0) and is_worse(logarithms):
        verdict = Verdict.WORSE
    elif large and ratio.surely_below(1.0):
        verdict = Verdict.BETTER
    return Row(name, unit, *medians, ratio, verdict)


def _traced(record: Record) -> TracedPass | None:
    found = record.observations.get(OBSERVATION)
    if found is None or "modules" not in found.data:
        return None
    return TracedPass.model_validate({k: v for k, v in found.data.items() if k != "side"})


def _module_rows(pairs: Sequence[Pair], whole_is_worse: bool, factor: float) -> tuple[Row, ...]:
    """A row for each module, those that lost most seconds first.

    A module is slower if its interval excludes 1, and either the whole pass is slower too or the
    interval excludes 1 with the error divided by the number of modules: without a slower pass, one
    of twenty equal modules would be named by accident in each second comparison.
    """
    seconds = []
    for pair in pairs:
        traced = [_traced(pair.old), _traced(pair.new)]
        if None not in traced:
            seconds.append(
                tuple(
                    scaled(each.modules, _steady_s(record))
                    for each, record in zip(traced, (pair.old, pair.new), strict=True)
                    if each is not None
                )
            )
    if not seconds:
        return ()
    names = dict.fromkeys(name for both in seconds for side in both for name in side)
    passes = [sum(side.values()) for both in seconds for side in both]
    least_s = SMALLEST_SHARE * statistics.median(passes)
    values = {
        name: [(old.get(name, 0.0), new.get(name, 0.0)) for old, new in seconds] for name in names
    }
    large = {
        name: pairs_s
        for name, pairs_s in values.items()
        if max(statistics.median(each) for each in zip(*pairs_s, strict=True)) >= least_s
    }
    shared = 1 - (1 - CONFIDENCE) / max(1, len(large))

    def is_worse(logarithms: list[float]) -> bool:
        return whole_is_worse or sequential_ratio(logarithms, shared).surely_above(1.0)

    rows = [_row(name, "seconds", each, factor, is_worse) for name, each in large.items()]
    return tuple(sorted(rows, key=lambda row: row.old - row.new))


def _operations(pairs: Sequence[Pair], module: str) -> list[OperationChange]:
    """The operations of a module whose time changed most."""
    sides = []
    for records in ([pair.old for pair in pairs], [pair.new for pair in pairs]):
        traced = [each for record in records if (each := _traced(record)) is not None]
        sides.append(_by_op_name(traced, module))
    names = dict.fromkeys(name for side in sides for name in side)
    nothing: tuple[float, tuple[str, ...]] = (0.0, ())
    changes = []
    for name in names:
        (old_s, old_hlo), (new_s, new_hlo) = (side.get(name, nothing) for side in sides)
        changes.append(OperationChange(module, name, old_s, new_s, old_hlo, new_hlo))
    return sorted(changes, key=lambda each: each.old_s - each.new_s)[:LISTED_OPERATIONS]


def _by_op_name(
    traced: Sequence[TracedPass], module: str
) -> dict[str, tuple[float, tuple[str, ...]]]:
    """Median seconds, and the HLO of the first pass, by path of the operation."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for one in traced:
        sums: dict[str, float] = defaultdict(float)
        for operation in _of_module(one, module):
            sums[operation.op_name] += operation.seconds
        for name, total_s in sums.items():
            seconds[name].append(total_s)
    hlo: dict[str, list[str]] = defaultdict(list)
    for operation in _of_module(traced[0], module) if traced else ():
        hlo[operation.op_name].append(f"{operation.name} ({operation.description})")
    return {name: (statistics.median(each), tuple(hlo[name])) for name, each in seconds.items()}


def _of_module(traced: TracedPass, module: str) -> Iterable[TracedOperation]:
    return (operation for operation in traced.operations if operation.module == module)


def _ended(record: Record) -> bool:
    """Whether a trial failed, or has no timed pass."""
    return record.outcome != "ok" or not record.steady


def _failure(record: Record) -> str:
    jaxlib = record.versions.get("jaxlib")
    return f"jaxlib {jaxlib}: outcome {record.outcome}: {record.reason or 'no timed pass'}"
