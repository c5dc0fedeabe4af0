"""What differs between the two sides: times, memory, modules and operations, answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfkit.history.verdicts import FACTOR, REGRESSIONS, Verdict
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import StageName
from perfkit.upgrade.answers import AnswerChange
from perfkit.upgrade.measuring import Pair
from perfkit.upgrade.modules import OperationChange, changed_operations, module_rows, steady_s
from perfkit.upgrade.rows import Row, make_row


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
    one_breaks
        Whether the answer of exactly one side is not finite, or its process crashed.
    """

    rows: tuple[Row, ...] = ()
    modules: tuple[Row, ...] = ()
    operations: tuple[OperationChange, ...] = ()
    answers: AnswerChange | None = None
    failures: tuple[str, ...] = ()
    new_failed: bool = False
    one_breaks: bool = False

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
        make_row(name, unit, [(read(pair.old), read(pair.new)) for pair in complete], factor)
        for name, unit, read in QUANTITIES
        if complete
    )
    whole_is_worse = any(row.verdict is Verdict.WORSE for row in rows[:1])
    modules = module_rows(complete, whole_is_worse, factor)
    slower = [row.name for row in modules if row.verdict is Verdict.WORSE]
    return UpgradeComparison(
        rows,
        modules,
        tuple(change for module in slower for change in changed_operations(complete, module)),
        answers,
        tuple(_failure(each) for pair in failed for each in (pair.old, pair.new) if _failed(each)),
        any(_failed(pair.new) for pair in failed),
        any(_breaks(pair.old) != _breaks(pair.new) for pair in failed),
    )


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
    ("pass", "seconds", steady_s),
    ("tracing", "seconds", _stage_s(StageName.TRACE)),
    ("compilation", "seconds", _stage_s(StageName.COMPILE)),
    ("peak memory", "bytes", _peak_bytes),
    ("temporary memory of the program", "bytes", _temporary_bytes),
)
"""Name, unit and value of what is compared of a trial; the pass comes first."""


def _failed(record: Record) -> bool:
    """Whether a trial failed, or has no timed pass."""
    return record.outcome is not Outcome.OK or not record.steady


def _breaks(record: Record) -> bool:
    """Whether the compiled program computes no answer, which a search can follow."""
    return record.outcome in (Outcome.NONFINITE, Outcome.CRASHED)


def _failure(record: Record) -> str:
    jaxlib = record.versions.get("jaxlib")
    return f"jaxlib {jaxlib}: outcome {record.outcome}: {record.reason or 'no timed pass'}"
