"""Why a configuration is recommended, in sentences for a reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.records.schema import Outcome
from perfkit.tuning.choice.memory_exchange import SAME_MEMORY, least_gain
from perfkit.tuning.choice.rows import Row
from perfkit.tuning.goals.goal import Goal
from perfkit.tuning.goals.objectives import Cost, Latency, Memory, memory_ratio, time_gain
from perfkit.tuning.side_by_side.instances import Instances, instances_sentence
from perfkit.units import bytes_text, count_text, percent_text


@dataclass(frozen=True)
class Facts:
    """What a recommendation rests on.

    The attributes are those of :class:`perfkit.tuning.choice.recommend.Recommendation`.
    """

    rows: Sequence[Row]
    stock: Row | None
    best: Row | None
    goal: Goal
    equals: Sequence[Row]
    chosen_because: str
    instances: Sequence[Instances]
    chosen_instances: Instances | None


def sentence_of(facts: Facts) -> str:
    """The gain and its uncertainty, and why this configuration was chosen."""
    if facts.stock is None:
        return "Stock was not measured, so nothing can be recommended."
    if facts.best is None:
        return _nothing(facts, facts.stock)
    parts = [
        _objective_sentence(facts, facts.best),
        _gain_sentence(facts, facts.stock, facts.best),
        _equals_sentence(facts),
        _dear_sentence(facts, facts.stock, facts.best),
        _instances_sentence(facts),
    ]
    return " ".join(part for part in parts if part)


def _nothing(facts: Facts, stock: Row) -> str:
    violation = facts.goal.constraints.violation(stock)
    if stock.outcome is Outcome.OK and violation is not None:
        return (
            f"Nothing can be recommended: stock is excluded ({violation}), and no configuration "
            "that keeps the constraints was confirmed."
        )
    reason = f" ({stock.reason})" if stock.reason else ""
    return f"Nothing can be recommended: stock ended {stock.outcome}{reason}."


def _objective_sentence(facts: Facts, best: Row) -> str:
    """What the objective minimises, where it is not the time; empty otherwise."""
    objective, stock = facts.goal.objective, facts.stock
    if isinstance(objective, Memory) and best.peak_rss_bytes:
        other = "" if stock is None or best is stock else f", stock {_peak(stock)}"
        return (
            f"Smallest memory within {percent_text(objective.slack)} of the fastest time: "
            f"{_peak(best)}{other}."
        )
    if isinstance(objective, Cost) and (price := objective.price(best)) is not None:
        own = None if stock is None or best is stock else objective.price(stock)
        other = "" if own is None else f", stock {own:.3g}"
        return f"Cheapest at {objective.prices.text}: {price:.3g} per prediction{other}."
    return ""


def _gain_sentence(facts: Facts, stock: Row, best: Row) -> str:
    if best is stock or best.speedup is None or best.speedup.ends is None:
        return _staying(facts, stock)
    low, high = best.speedup.ends
    return (
        f"{best.speedup.median:.2f} times as fast as stock "
        f"(95 % interval {low:.2f} to {high:.2f}, {best.blocks} pairs of fresh processes), "
        f"agreement class {best.agreement}."
    )


def _staying(facts: Facts, stock: Row) -> str:
    """Why stock is recommended: nothing was tried, was better, or was confirmed."""
    measured = [row for row in facts.rows if row is not stock and row.speedup is not None]
    if not measured:
        return "Nothing was compared with stock yet, so there is nothing to recommend but stock."
    allowed = [
        row for row in measured if row.eligible and facts.goal.constraints.violation(row) is None
    ]
    leading = max(allowed, key=time_gain, default=None)
    count = count_text(len(measured), "configuration")
    if isinstance(facts.goal.objective, Memory):
        return f"Stay with stock: of {count} tried, none needs less memory at that time."
    if leading is None or time_gain(leading) <= 1.0:
        return f"Stay with stock: of {count} tried, none was faster at an equal answer."
    if leading.speedup is not None and leading.speedup.surely_above(1.0):
        return f"Stay with stock: of {count} tried, none was surely better."
    pairs = "1 pair" if leading.blocks == 1 else f"{leading.blocks} pairs"
    where = f"{pairs} of fresh processes" if leading.blocks else "screening"
    return (
        f"Stay with stock: of {count} tried, none was surely faster ({leading.label} looked "
        f"{time_gain(leading):.2f} times as fast in {where}, which is not sure)."
    )


def _equals_sentence(facts: Facts) -> str:
    if not facts.equals:
        return ""
    labels = "; ".join(row.label for row in facts.equals)
    return f"Equally good: {labels}. This one is chosen because {facts.chosen_because}."


def _dear_sentence(facts: Facts, stock: Row, best: Row) -> str:
    """The fastest configuration that is faster than the recommended one, but not for its memory."""
    objective = facts.goal.objective
    if not isinstance(objective, Latency):
        return ""
    dear = [
        row
        for row in facts.rows
        if row not in (best, stock, *facts.equals)
        and row.eligible
        and row.speedup is not None
        and row.speedup.surely_above(1.0)
        and time_gain(row) > time_gain(best)
        and memory_ratio(row, best) > SAME_MEMORY
        and facts.goal.constraints.violation(row) is None
    ]
    if not dear:
        return ""
    fastest = max(dear, key=time_gain)
    needed = least_gain(memory_ratio(fastest, best), objective.memory_exchange)
    return (
        f"{fastest.label} is {time_gain(fastest) / time_gain(best):.2f} times as fast, but needs "
        f"{memory_ratio(fastest, best):.1f} times as much memory, which takes a gain of at least "
        f"{needed:.2f}."
    )


def _instances_sentence(facts: Facts) -> str:
    objective, chosen = facts.goal.objective, facts.chosen_instances
    if chosen is None:
        return "Instances side by side were not measured." if objective.instances else ""
    sentence = instances_sentence(facts.instances, chosen)
    if not isinstance(objective, Cost):
        return sentence
    price = chosen.hourly(objective.hourly) / chosen.per_hour.median
    return f"{sentence} A prediction then costs {price:.3g}."


def _peak(row: Row) -> str:
    return bytes_text(row.peak_rss_bytes)
