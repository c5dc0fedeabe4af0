"""The machines of a lab, from a TOML inventory, or this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from perfkit.capacity.bounds import (
    MOST_MACHINES,
    Cpus,
    NonNegative,
    Positive,
)
from perfkit.capacity.laws.calibration import MOST_FACTOR, Calibration
from perfkit.capacity.tables import first_sentence, refuse_unknown
from perfkit.errors import UserError
from perfkit.input_files import read_toml
from perfkit.knobs.cpus import allowed_cpus
from perfkit.models.costs import Reject
from perfkit.records.machine import available_memory_bytes
from perfkit.trial.limits import SHARE_OF_AVAILABLE_MEMORY
from perfkit.units import DURATION_FORMS, SIZE_FORMS, cut, parse_duration, parse_size

HERE = "this machine"

CURRENCY = "EUR"
"""Currency of prices where the inventory names none."""

LONGEST_CURRENCY = 10


@dataclass(frozen=True)
class Machine:
    """A kind of machine.

    Attributes
    ----------
    name
        Name of the kind.
    count
        Number of machines.
    cores
        CPUs per machine, as its operating system counts them.
    memory_bytes
        Memory of a machine that its jobs may use together.
    numa
        NUMA nodes per machine. An instance within one node does not wait for remote memory.
    calibration
        Calibration of the machine, None for the machine of the fit or with a stated speed.
    speed
        Stated speed of a core relative to the fit's machine, None with a calibration.
    price_per_hour, watts
        Price and power of a machine in use, None where unknown.
    time_limit_s
        Longest time of a job, None for no limit.
    partition
        Slurm partition, None for the default.
    """

    name: str
    count: int
    cores: int
    memory_bytes: int
    numa: int = 1
    calibration: Calibration | None = None
    speed: float | None = None
    price_per_hour: float | None = None
    watts: float | None = None
    time_limit_s: float | None = None
    partition: str | None = None


@dataclass(frozen=True)
class Inventory:
    """The machines of a plan.

    Attributes
    ----------
    machines
        Kinds of machines.
    currency
        Currency of prices.
    rejects
        Entries that cannot be used.
    """

    machines: tuple[Machine, ...]
    currency: str
    rejects: tuple[Reject, ...] = ()


class _Entry(BaseModel):
    """A ``[[machine]]`` entry."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    count: Annotated[int, Field(strict=True, ge=1, le=MOST_MACHINES)] = 1
    cores: Cpus
    memory: int
    numa: Cpus = 1
    calibration: str | None = None
    speed: Annotated[Positive, Field(ge=1 / MOST_FACTOR, le=MOST_FACTOR)] | None = None
    price_per_hour: NonNegative | None = None
    watts: Positive | None = None
    time_limit: float | None = None
    partition: Annotated[str, Field(pattern=r"^[\w.,-]+$")] | None = None

    @field_validator("memory", mode="before")
    @classmethod
    def _is_a_size(cls, given: object) -> int:
        return _parsed(given, parse_size, SIZE_FORMS)

    @field_validator("time_limit", mode="before")
    @classmethod
    def _is_a_duration(cls, given: object) -> float:
        return _parsed(given, parse_duration, DURATION_FORMS)

    @model_validator(mode="after")
    def _is_calibrated(self) -> Self:
        if (self.calibration is None) == (self.speed is None):
            raise ValueError(
                "it needs either calibration (the file that 'perfkit calibrate' leaves on it) or "
                "speed (a stated factor to the machine of the fit)"
            )
        return self


def _parsed[Number](given: object, parse: Callable[[str], Number], forms: str) -> Number:
    if not isinstance(given, str):
        raise ValueError(f"write it in quotes and with its unit, such as {forms}")
    try:
        return parse(given)
    except UserError as error:
        raise ValueError(str(error)) from error


KEYS = tuple(_Entry.model_fields)


def read_inventory(path: Path) -> Inventory:
    """Read an inventory from a TOML file. Entries that cannot be used are rejects.

    Raises
    ------
    UserError
        The file cannot be read, has no ``[[machine]]``, or has an unknown key.
    """
    data = read_toml(path, "inventory")
    refuse_unknown(f"{path}: key", data, ("machine", "currency"))
    entries = data.get("machine")
    if not isinstance(entries, list) or not entries:
        raise UserError(
            f"{path} is not an inventory: it needs a [[machine]] for each kind of machine"
        )
    currency = data.get("currency", CURRENCY)
    word = isinstance(currency, str) and currency.isprintable()
    if not word or not 1 <= len(currency) <= LONGEST_CURRENCY:
        raise UserError(
            f"{path}: currency is {cut(repr(currency))}, expected a word such as {CURRENCY}"
        )
    machines: dict[str, Machine] = {}
    rejects: list[Reject] = []
    for number, entry in enumerate(entries, 1):
        name = f"number {number}"
        if not isinstance(entry, dict):
            reason = f"it is {cut(repr(entry))}, expected a table of {', '.join(KEYS)}"
            rejects.append(Reject(name, f"{path}, machine {name}", reason))
            continue
        if isinstance(entry.get("name"), str):
            name = cut(entry["name"])
        origin = f"{path}, machine {name!r}"
        refuse_unknown(f"{origin}: key", entry, KEYS)
        try:
            machine = _machine(_Entry.model_validate(entry), path)
        except ValidationError as error:
            rejects.append(Reject(name, origin, first_sentence(error)))
        except UserError as error:
            rejects.append(Reject(name, origin, str(error)))
        else:
            if machine.name in machines:
                rejects.append(Reject(name, origin, "the name occurs twice"))
            machines.setdefault(machine.name, machine)
    return Inventory(tuple(machines.values()), currency, tuple(rejects))


def _machine(entry: _Entry, path: Path) -> Machine:
    calibration = None
    if entry.calibration is not None:
        calibration = Calibration.load(path.parent / entry.calibration)
    return Machine(
        name=entry.name,
        count=entry.count,
        cores=entry.cores,
        memory_bytes=entry.memory,
        numa=entry.numa,
        calibration=calibration,
        speed=entry.speed,
        price_per_hour=entry.price_per_hour,
        watts=entry.watts,
        time_limit_s=entry.time_limit,
        partition=entry.partition,
    )


def this_machine(price_per_hour: float | None = None, watts: float | None = None) -> Inventory:
    """Return this machine with its allowed CPUs and the memory that is available now.

    Parameters
    ----------
    price_per_hour, watts
        Price and power of the machine in use, None where unknown.
    """
    machine = Machine(
        name=HERE,
        count=1,
        cores=len(allowed_cpus()),
        memory_bytes=int(available_memory_bytes() * SHARE_OF_AVAILABLE_MEMORY),
        price_per_hour=price_per_hour,
        watts=watts,
    )
    return Inventory((machine,), CURRENCY)
