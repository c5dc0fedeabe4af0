"""Objectives of a tuning: which of the measured configurations is the best. Pure: runs nothing.

An objective compares configurations by the time of a prediction, times what a second of it costs
relative to a second of another configuration. A new objective is a class that satisfies
:class:`Objective`, and one entry in :data:`OBJECTIVES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar, Protocol

from perfkit.errors import UserError, unknown_name
from perfkit.files import JsonData
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.memory_exchange import DEFAULT_MEMORY_EXCHANGE, SAME_MEMORY, least_gain
from perfkit.tuning.choice.rows import Row
from perfkit.tuning.goals.prices import Prices
from perfkit.units import HOUR_S, percent_text

DEFAULT_SLACK = 0.1
"""Loss of time against the fastest configuration that the objective ``memory`` accepts by default.
"""

type Ratio = Callable[[Row, Row], Interval]
"""``ratio(base, row)`` is the time of ``base`` over the time of ``row``."""


class Objective(Protocol):
    """What a tuning looks for.

    Attributes
    ----------
    name
        Name in the registry.
    instances
        Whether several instances side by side are measured.
    """

    name: ClassVar[str]
    instances: ClassVar[bool]

    def candidates(self, rows: Sequence[Row], stock: Row | None, ratio: Ratio) -> list[Row]:
        """The confirmed configurations that are good enough to be recommended.

        Parameters
        ----------
        rows
            Confirmed configurations that keep all constraints, without stock.
        stock
            Stock, or None where it does not keep the constraints.
        ratio
            Compares times.
        """
        ...

    def equals(self, candidates: Sequence[Row], ratio: Ratio) -> list[Row]:
        """The best candidates, which cannot be told apart, the best estimate first."""
        ...

    def score(self, row: Row) -> float:
        """The estimate by which unconfirmed configurations are ordered; smaller is better."""
        ...

    def hourly(self, cpus: int, memory_bytes: float) -> float:
        """What an hour of a machine counts that runs instances; 1 where only their output counts.

        Parameters
        ----------
        cpus
            CPUs of all instances.
        memory_bytes
            Peak memory of all instances.
        """
        ...

    def key(self) -> JsonData:
        """Plain data that is equal for equal objectives."""
        ...

    @property
    def text(self) -> str:
        """The objective for a reader."""
        ...


def memory_ratio(row: Row, base: Row) -> float:
    """Peak memory of ``row`` over that of ``base``; 1 where one of them is unknown."""
    if not row.peak_rss_bytes or not base.peak_rss_bytes:
        return 1.0
    return row.peak_rss_bytes / base.peak_rss_bytes


def time_gain(row: Row) -> float:
    """Estimated time of stock over that of a configuration; 0 where it is unknown."""
    return row.speedup.median if row.speedup is not None else 0.0


@dataclass(frozen=True)
class Latency:
    """The shortest prediction; a configuration that needs more memory has to be faster by more.

    Attributes
    ----------
    memory_exchange
        Share of time that a doubling of the peak memory has to save, see :func:`least_gain`.
    """

    memory_exchange: float = DEFAULT_MEMORY_EXCHANGE
    name: ClassVar[str] = "latency"
    instances: ClassVar[bool] = False

    def candidates(self, rows: Sequence[Row], stock: Row | None, ratio: Ratio) -> list[Row]:
        """Those that are surely faster than stock, by enough for their memory."""
        if stock is None:
            return list(rows)
        return [row for row in rows if ratio(stock, row).surely_above(self._least(row, stock))]

    def equals(self, candidates: Sequence[Row], ratio: Ratio) -> list[Row]:
        """The fastest, and those that lose no more time to it than their memory saves."""
        return _undecided(candidates, ratio, self._dearer)

    def score(self, row: Row) -> float:
        """Relative time, raised by the memory."""
        doublings = math.log2(max(1, row.peak_rss_bytes))
        return math.exp(math.log1p(self.memory_exchange) * doublings) / time_gain(row)

    def hourly(self, cpus: int, memory_bytes: float) -> float:
        """Always 1."""
        return 1.0

    def key(self) -> JsonData:
        """Name and exchange rate."""
        return [self.name, self.memory_exchange]

    @property
    def text(self) -> str:
        """The name."""
        return self.name

    def _least(self, row: Row, base: Row) -> float:
        return least_gain(memory_ratio(row, base), self.memory_exchange)

    def _dearer(self, row: Row, base: Row) -> float:
        return self._least(row, base) / self._least(base, row)


class Throughput(Latency):
    """The most predictions per hour: the fastest configuration, in several instances at a time."""

    name: ClassVar[str] = "throughput"
    instances: ClassVar[bool] = True


@dataclass(frozen=True)
class Memory:
    """The smallest peak memory among configurations that are nearly as fast as the fastest.

    Attributes
    ----------
    slack
        Accepted loss of time: 0.1 accepts times up to 1.1 times that of the fastest.
    """

    slack: float = DEFAULT_SLACK
    name: ClassVar[str] = "memory"
    instances: ClassVar[bool] = False

    def candidates(self, rows: Sequence[Row], stock: Row | None, ratio: Ratio) -> list[Row]:
        """Those that lose no more than the slack to the fastest; stock is one of them."""
        known = [row for row in (*rows, *([] if stock is None else [stock])) if row.peak_rss_bytes]
        if not known:
            return []
        fastest = max(known, key=time_gain)
        return [row for row in known if ratio(row, fastest).median <= 1 + self.slack]

    def equals(self, candidates: Sequence[Row], ratio: Ratio) -> list[Row]:
        """Those with the smallest peak."""
        least = min(row.peak_rss_bytes for row in candidates)
        return sorted(
            (row for row in candidates if row.peak_rss_bytes <= SAME_MEMORY * least), key=self.score
        )

    def score(self, row: Row) -> float:
        """Peak memory in bytes."""
        return float(row.peak_rss_bytes)

    def hourly(self, cpus: int, memory_bytes: float) -> float:
        """Always 1."""
        return 1.0

    def key(self) -> JsonData:
        """Name and slack."""
        return [self.name, self.slack]

    @property
    def text(self) -> str:
        """Name and slack."""
        return f"{self.name}, within {percent_text(self.slack)} of the fastest time"


@dataclass(frozen=True)
class Cost:
    """The cheapest prediction.

    Attributes
    ----------
    prices
        Prices of an hour.
    """

    prices: Prices
    name: ClassVar[str] = "cost"
    instances: ClassVar[bool] = True

    def candidates(self, rows: Sequence[Row], stock: Row | None, ratio: Ratio) -> list[Row]:
        """Those that are surely cheaper than stock."""
        if stock is None:
            return list(rows)
        return [row for row in rows if ratio(stock, row).surely_above(self._dearer(row, stock))]

    def equals(self, candidates: Sequence[Row], ratio: Ratio) -> list[Row]:
        """The cheapest, and those that are not surely dearer."""
        return _undecided(candidates, ratio, self._dearer)

    def score(self, row: Row) -> float:
        """Relative price of a prediction."""
        return self._rate(row) / time_gain(row)

    def price(self, row: Row) -> float | None:
        """Price of a prediction that runs alone; None where its time is unknown."""
        return None if row.time_s is None else self._rate(row) * row.time_s.median / HOUR_S

    def hourly(self, cpus: int, memory_bytes: float) -> float:
        """Price of the machine, or of what the instances use of it."""
        return self.prices.hourly(cpus, memory_bytes)

    def key(self) -> JsonData:
        """Name and prices."""
        return [self.name, self.prices.node, self.prices.cpu, self.prices.gigabyte]

    @property
    def text(self) -> str:
        """Name and prices."""
        return f"{self.name} at {self.prices.text}"

    def _rate(self, row: Row) -> float:
        return self.prices.hourly(row.allowed_cpus, row.peak_rss_bytes)

    def _dearer(self, row: Row, base: Row) -> float:
        return self._rate(row) / self._rate(base)


def _undecided(
    candidates: Sequence[Row], ratio: Ratio, dearer: Callable[[Row, Row], float]
) -> list[Row]:
    """The best candidate, and those that are not surely worse, the best estimate first.

    Parameters
    ----------
    candidates
        At least one.
    ratio
        Compares times.
    dearer
        What a second of its first argument counts relative to a second of its second argument.
    """

    def gain(row: Row, base: Row) -> float:
        return time_gain(row) / time_gain(base) / dearer(row, base)

    best = reduce(lambda one, other: other if gain(other, one) > 1 else one, candidates)
    equals = [
        row
        for row in candidates
        if row is not best and not ratio(row, best).surely_above(dearer(best, row))
    ]
    return [best, *sorted(equals, key=lambda row: gain(best, row))]


@dataclass(frozen=True)
class ObjectiveOptions:
    """Options of objectives as a caller gives them; None takes the default.

    Attributes
    ----------
    slack, memory_exchange
        Shares of time.
    prices
        Prices of an hour.
    """

    slack: float | None = None
    memory_exchange: float | None = None
    prices: Prices | None = None


def _latency(options: ObjectiveOptions) -> Latency:
    return Latency(_or(options.memory_exchange, DEFAULT_MEMORY_EXCHANGE))


def _throughput(options: ObjectiveOptions) -> Throughput:
    return Throughput(_or(options.memory_exchange, DEFAULT_MEMORY_EXCHANGE))


def _memory(options: ObjectiveOptions) -> Memory:
    return Memory(_or(options.slack, DEFAULT_SLACK))


def _cost(options: ObjectiveOptions) -> Cost:
    if options.prices is None:
        raise UserError(
            "objective 'cost' needs a price: give --price with the price of an hour, e.g. 1.20 for "
            "the whole machine, or cpu=0.04,memory=0.005 for a CPU and a GB"
        )
    return Cost(options.prices)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


OBJECTIVES: Mapping[str, Callable[[ObjectiveOptions], Objective]] = {
    Latency.name: _latency,
    Throughput.name: _throughput,
    Memory.name: _memory,
    Cost.name: _cost,
}
"""Name to factory."""


def make_objective(name: str, options: ObjectiveOptions) -> Objective:
    """The objective called ``name``.

    Raises
    ------
    UserError
        There is no such objective (the message names the nearest one), or it needs a price.
    """
    if name not in OBJECTIVES:
        raise unknown_name("objective", name, OBJECTIVES)
    return OBJECTIVES[name](options)
