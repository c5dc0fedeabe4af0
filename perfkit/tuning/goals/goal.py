"""The goal of a tuning: objective, constraints, and the options that a caller gives for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from perfkit.errors import UserError
from perfkit.files import JsonData
from perfkit.tuning.goals.constraints import Constraints, agreement_class
from perfkit.tuning.goals.objectives import (
    Cost,
    Latency,
    Memory,
    Objective,
    ObjectiveOptions,
    Throughput,
    make_objective,
)
from perfkit.tuning.goals.prices import Prices, parse_prices
from perfkit.units import bytes_text, cut, parse_number

DEFAULT_OBJECTIVE = Latency.name

MOST_SHARE = 10.0
"""Largest share of time that is accepted for slack and exchange rate."""


@dataclass(frozen=True)
class Goal:
    """What a tuning recommends: the best by an objective, among those that keep the constraints.

    Attributes
    ----------
    objective
        The objective.
    constraints
        The constraints.
    pareto
        Whether the front of time and memory is kept, too.
    """

    objective: Objective = field(default_factory=Latency)
    constraints: Constraints = field(default_factory=Constraints)
    pareto: bool = False

    def key(self) -> JsonData:
        """Plain data that is equal for equal goals; a settled search has one goal."""
        kept = self.constraints
        bounds: list[JsonData] = [kept.memory_bytes, kept.agreement.label, kept.preload]
        return [self.objective.key(), bounds, self.pareto]

    @property
    def sentence(self) -> str:
        """Objective and constraints, for a reader."""
        kept = self.constraints
        parts = [f"objective: {self.objective.text}"]
        if kept.memory_bytes is not None:
            parts.append(f"at most {bytes_text(kept.memory_bytes)} of memory")
        if kept.agreement != Constraints().agreement:
            parts.append(f"agreement class {kept.agreement.label} or stricter")
        if not kept.preload:
            parts.append("no LD_PRELOAD")
        return "; ".join(parts)


def make_goal(
    objective: str = DEFAULT_OBJECTIVE,
    *,
    slack: str | float | None = None,
    memory_exchange: str | float | None = None,
    price: str | float | None = None,
    agreement: str | None = None,
    preload: bool = True,
    memory_bytes: int | None = None,
    pareto: bool = False,
) -> Goal:
    """The goal that a caller's options describe.

    Parameters
    ----------
    objective
        Name of the objective, see :data:`perfkit.tuning.goals.objectives.OBJECTIVES`.
    slack
        With ``memory``: accepted loss of time, as a share or as text such as ``10%``.
    memory_exchange
        With ``latency`` and ``throughput``: share of time that a doubling of the peak memory has to
        save.
    price
        With ``cost``: prices of an hour, see :func:`perfkit.tuning.goals.prices.parse_prices`.
    agreement
        Loosest agreement class; ``bfloat16`` by default.
    preload
        Whether allocators that need ``LD_PRELOAD`` are allowed.
    memory_bytes
        Largest peak memory of a recommended configuration.
    pareto
        Whether the front of time and memory is kept.

    Raises
    ------
    UserError
        An option is impossible, or has no influence on the objective.
    """
    options = ObjectiveOptions(
        None if slack is None else _share("slack", slack),
        None if memory_exchange is None else _share("memory-exchange", memory_exchange),
        None if price is None else _prices(price),
    )
    chosen = make_objective(objective, options)
    used: dict[str, tuple[object, tuple[str, ...]]] = {
        "slack": (slack, (Memory.name,)),
        "memory-exchange": (memory_exchange, (Latency.name, Throughput.name)),
        "price": (price, (Cost.name,)),
    }
    for name, (value, objectives) in used.items():
        if value is not None and objective not in objectives:
            raise UserError(
                f"--{name} has no influence on objective {objective!r}: it goes with "
                f"{' and '.join(objectives)}"
            )
    loosest = Constraints().agreement if agreement is None else agreement_class(agreement)
    return Goal(chosen, Constraints(memory_bytes, loosest, preload), pareto)


def _prices(price: str | float) -> Prices:
    return parse_prices(price if isinstance(price, str) else f"{price:f}")


def _share(name: str, value: str | float) -> float:
    """A share from a number such as ``0.1``, or from a percentage such as ``10%``."""
    share = _parsed_share(value) if isinstance(value, str) else float(value)
    if share is None:
        raise UserError(f"--{name} takes a share such as 0.1 or 10%, not {cut(str(value))!r}")
    if not 0 <= share <= MOST_SHARE:
        raise UserError(f"--{name} takes 0 or more, up to {MOST_SHARE:g}, not {cut(str(value))!r}")
    return share


def _parsed_share(text: str) -> float | None:
    number = parse_number(text.strip().removesuffix("%"))
    if number is None or "%" not in text:
        return number
    return number / 100
