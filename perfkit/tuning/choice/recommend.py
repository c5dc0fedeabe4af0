"""Recommend a configuration from records. Pure: runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perfkit.knobs.configuration import STOCK_LABEL
from perfkit.records.findings import AGREEMENT_NAMES
from perfkit.records.roles import NOT_COMPARED
from perfkit.records.schema import Outcome, Record
from perfkit.stats.exact import sequential_ratio
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.memory_exchange import SAME_MEMORY
from perfkit.tuning.choice.rows import Row, rows_of
from perfkit.tuning.conditions import conditions_of
from perfkit.tuning.goals.explanation import Facts, sentence_of
from perfkit.tuning.goals.goal import Goal
from perfkit.tuning.goals.objectives import Latency, Ratio, time_gain
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.side_by_side.instances import Instances, best_instances, measured_instances

NO_PRICE_OF_MEMORY = Latency(memory_exchange=0.0)
"""Compares times alone, for the front of time and memory."""


@dataclass(frozen=True)
class Recommendation:
    """The recommended configuration of a study and all configurations that it was chosen from.

    Attributes
    ----------
    rows
        One row per configuration, fastest first, those without a time last.
    stock
        Row of the stock configuration, or None where stock was not measured.
    best
        Row of the recommended configuration. It is the row of stock where no configuration is
        surely better, and None where neither can be recommended.
    sentence
        The gain and its uncertainty, and why this configuration was chosen, for a reader.
    goal
        Objective and constraints.
    equals
        Other configurations that are not surely worse than the recommended one.
    chosen_because
        Why the recommended configuration was preferred to its equals; empty without equals.
    front
        Configurations of which none is both faster and smaller than another one, fastest first;
        empty unless the goal asks for them.
    instances
        Numbers of instances of the recommended configuration that were measured side by side.
    chosen_instances
        The best of them, or None where none was measured.
    looked_at
        Number of configurations that were compared with others, or failed; without stock and the
        reference.
    conditions
        Limits under which the trials ran and disturbances of them, in sentences. On another
        machine, or without these, another configuration may be the best.
    """

    rows: tuple[Row, ...]
    stock: Row | None
    best: Row | None
    sentence: str
    goal: Goal = field(default_factory=Goal)
    equals: tuple[Row, ...] = ()
    chosen_because: str = ""
    front: tuple[Row, ...] = ()
    instances: tuple[Instances, ...] = ()
    chosen_instances: Instances | None = None
    looked_at: int = 0
    conditions: tuple[str, ...] = ()


def measured_at_own_fidelity(records: Sequence[Record]) -> list[Record]:
    """The records that are compared: without parts, longer runs, and instances side by side."""
    return [record for record in records if record.role not in NOT_COMPARED]


def recommend(records: Sequence[Record], goal: Goal | None = None) -> Recommendation:
    """The recommendation that the records of a study support.

    A configuration is recommended only if fresh processes confirmed that it is surely better than
    stock. Among configurations of which none is surely better than the others, the stricter
    agreement class wins, then the smaller memory, then the fewest settings.

    Parameters
    ----------
    records
        Records of one study and one workload.
    goal
        Objective and constraints; by default the shortest prediction.
    """
    goal = Goal() if goal is None else goal
    objective = goal.objective
    compared = measured_at_own_fidelity(records)
    evidence = Evidence.of_records(compared)
    rows = tuple(rows_of(compared, evidence))
    stock = next((row for row in rows if row.label == STOCK_LABEL), None)
    ratio = _time_ratio(evidence)
    confirmed = _confirmed(rows, stock, goal)
    fallback = stock if stock is not None and _is_possible(stock, goal) else None
    candidates = objective.candidates(confirmed, fallback, ratio)
    equals = objective.equals(candidates, ratio) if candidates else []
    best, because = _preferred(equals) if equals else (fallback, "")
    found = () if best is None else measured_instances(records, best.digest)
    chosen = best_instances(found, objective.hourly) if objective.instances else None
    others = tuple(row for row in equals if row is not best)
    facts = Facts(rows, stock, best, goal, others, because, found, chosen)
    return Recommendation(
        rows=rows,
        stock=stock,
        best=best,
        sentence=sentence_of(facts),
        goal=goal,
        equals=others,
        chosen_because=because,
        front=_front(confirmed, fallback, ratio) if goal.pareto else (),
        instances=found,
        chosen_instances=chosen,
        looked_at=len(evidence.looked_at),
        conditions=conditions_of(compared),
    )


def _confirmed(rows: Sequence[Row], stock: Row | None, goal: Goal) -> list[Row]:
    """The configurations that fresh processes compared with stock, and that keep the constraints.

    A comparison counts from the number of pairs on at which it has an interval.
    """
    if stock is None:
        return []
    return [
        row
        for row in rows
        if row is not stock
        and row.eligible
        and row.speedup is not None
        and row.speedup.known
        and goal.constraints.violation(row) is None
    ]


def _is_possible(stock: Row, goal: Goal) -> bool:
    return stock.outcome is Outcome.OK and goal.constraints.violation(stock) is None


def _time_ratio(evidence: Evidence) -> Ratio:
    """Compares the times of two confirmed configurations."""

    def ratio(base: Row, row: Row) -> Interval:
        """Time of ``base`` over that of ``row``: by common blocks if possible, else by intervals.

        Blocks that both share have seen the same machine. Without enough of them, both speed-ups
        over stock are divided, each taken at the worse end of its interval.
        """
        if base.digest == row.digest:
            return Interval(1.0, 1.0, 1.0, row.blocks)
        mine, its = _over_stock(row), _over_stock(base)
        if base.label == STOCK_LABEL:
            return mine
        if row.label == STOCK_LABEL:
            return its.inverse
        logarithms = evidence.confirmed(base.digest, row.digest)
        if logarithms and (found := sequential_ratio(logarithms)).known:
            return found
        count = min(mine.count, its.count)
        if mine.ends is None or its.ends is None:
            return Interval(mine.median / its.median, None, None, count)
        low, high = mine.ends[0] / its.ends[1], mine.ends[1] / its.ends[0]
        return Interval(mine.median / its.median, low, high, count)

    return ratio


def _over_stock(row: Row) -> Interval:
    return Interval(1.0, None, None, 0) if row.speedup is None else row.speedup


def _preferred(equals: Sequence[Row]) -> tuple[Row, str]:
    """The preferred one of configurations that are not surely different, and why.

    Parameters
    ----------
    equals
        At least one, the best estimate first.
    """
    least_bytes = min(row.peak_rss_bytes for row in equals)

    def larger(row: Row) -> int:
        return row.peak_rss_bytes > SAME_MEMORY * least_bytes

    criteria: tuple[tuple[Callable[[Row], int], str], ...] = (
        (
            lambda row: AGREEMENT_NAMES.index(row.agreement or "none"),
            "its agreement class is stricter",
        ),
        (larger, "it needs less memory"),
        (lambda row: len(row.settings), "it has fewer settings"),
    )
    left, reasons = list(equals), list[str]()
    for value, reason in criteria:
        least = min(map(value, left))
        kept = [row for row in left if value(row) == least]
        if len(kept) < len(left):
            reasons.append(reason)
        left = kept
    if len(left) > 1:
        reasons.append("its estimate is the best")
    return left[0], " and ".join(filter(None, (", ".join(reasons[:-1]), *reasons[-1:])))


def _front(confirmed: Sequence[Row], stock: Row | None, ratio: Ratio) -> tuple[Row, ...]:
    """The configurations that no other one beats in both time and memory, fastest first.

    The fastest is the first; each further one is the fastest of those that need really less memory.
    """
    left = [row for row in (*confirmed, *([] if stock is None else [stock])) if row.peak_rss_bytes]
    left = [row for row in left if time_gain(row) > 0]
    found: list[Row] = []
    while left:
        chosen, _ = _preferred(NO_PRICE_OF_MEMORY.equals(left, ratio))
        found.append(chosen)
        left = [row for row in left if SAME_MEMORY * row.peak_rss_bytes < chosen.peak_rss_bytes]
    return tuple(found)
