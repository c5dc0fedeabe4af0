"""Modules and operations of both sides, from the traces of their passes."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from perfkit.observers.trace.attribution import scaled
from perfkit.records.schema import Record
from perfkit.stats.exact import sequential_ratio
from perfkit.stats.interval import CONFIDENCE
from perfkit.units import seconds_text
from perfkit.upgrade.locate.finding import hlo_sentences
from perfkit.upgrade.measuring import Pair
from perfkit.upgrade.module_times import TracedOperation, TracedPass
from perfkit.upgrade.rows import Row, make_row
from perfkit.upgrade.sides import OBSERVATION

SMALLEST_SHARE = 0.01
"""Share of a pass below which a module is not compared: a trace resolves no less."""

LISTED_OPERATIONS = 3
"""Operations that are listed for each slower module."""


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

    def sentences(self) -> list[str]:
        """The change in sentences for a person."""
        times = f"{seconds_text(self.old_s)} -> {seconds_text(self.new_s)}"
        name = self.op_name or "operations without a path"
        return [f"{self.module}: {name}: {times}", *hlo_sentences(self.old_hlo, self.new_hlo)]


def steady_s(record: Record) -> float:
    """Median seconds of the timed passes of a trial."""
    return statistics.median(stage.wall_s for stage in record.steady)


def _traced(record: Record) -> TracedPass | None:
    found = record.observations.get(OBSERVATION)
    if found is None or "modules" not in found.data:
        return None
    return TracedPass.model_validate({k: v for k, v in found.data.items() if k != "side"})


def module_rows(pairs: Sequence[Pair], whole_is_worse: bool, factor: float) -> tuple[Row, ...]:
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
                    scaled(each.modules, steady_s(record))
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

    rows = [make_row(name, "seconds", each, factor, is_worse) for name, each in large.items()]
    return tuple(sorted(rows, key=lambda row: row.old - row.new))


def changed_operations(pairs: Sequence[Pair], module: str) -> list[OperationChange]:
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
