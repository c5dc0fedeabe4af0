"""Prices of an hour of computing."""

from __future__ import annotations

from dataclasses import dataclass

from perfkit.errors import UserError
from perfkit.units import GIGA, cut, parse_number

FORMS = "1.20 (an hour of the whole machine) or cpu=0.04,memory=0.005 (an hour of a CPU and a GB)"

NAMES = {"node": "node", "cpu": "cpu", "memory": "gigabyte"}
"""Name that a user writes to the attribute of :class:`Prices`."""


@dataclass(frozen=True)
class Prices:
    """Prices in any one currency.

    Attributes
    ----------
    node
        Price of an hour of the whole machine, however much of it is used.
    cpu
        Price of an hour of one CPU that a prediction may use.
    gigabyte
        Price of an hour of 10⁹ bytes of peak resident memory.
    """

    node: float = 0.0
    cpu: float = 0.0
    gigabyte: float = 0.0

    def hourly(self, cpus: int, memory_bytes: float) -> float:
        """Price of an hour in which ``cpus`` CPUs and ``memory_bytes`` of memory are used."""
        return self.node + cpus * self.cpu + memory_bytes / GIGA * self.gigabyte

    @property
    def text(self) -> str:
        """The prices for a reader."""
        units = {"node": "machine", "cpu": "CPU", "gigabyte": "GB"}
        given = [
            f"{getattr(self, name):g} per {unit}-hour"
            for name, unit in units.items()
            if getattr(self, name)
        ]
        return " and ".join(given)


def parse_prices(text: str) -> Prices:
    """Parse the prices of an hour, in one of the forms :data:`FORMS`.

    Parameters
    ----------
    text
        A number, or ``NAME=NUMBER`` with a name of :data:`NAMES`, separated by commas.

    Raises
    ------
    UserError
        The text has another form, a price is negative, the price of the time is zero, or the
        machine is paid for as a whole and by its CPUs.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.partition("=")
        if not equals:
            name, number = "node", part
        amount, known = parse_number(number), NAMES.get(name.strip())
        if amount is None or known is None or known in found:
            raise UserError(f"{cut(text)!r} is not a price of an hour; write for example {FORMS}")
        if amount < 0:
            raise UserError(f"a price cannot be negative, but {cut(part)!r} is")
        found[known] = amount
    prices = Prices(**found)
    if prices.node and (prices.cpu or prices.gigabyte):
        raise UserError(
            f"{cut(text)!r} pays twice: give either the price of the whole machine, or those of "
            "a CPU and a GB"
        )
    if not prices.node and not prices.cpu:
        # Memory alone would make the slowest single CPU the cheapest.
        raise UserError(
            f"at a price of {cut(text)!r} time costs nothing, so that no configuration is cheaper "
            f"than another; write for example {FORMS}"
        )
    return prices
