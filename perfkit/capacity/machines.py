"""The machines of a lab: a TOML inventory, checked, or this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from perfkit.capacity.calibration import Calibration
from perfkit.capacity.jobs import Reject
from perfkit.capacity.tables import first_sentence, read_toml, refuse_unknown
from perfkit.errors import UserError
from perfkit.knobs.cpus import allowed_cpus
from perfkit.records.machine import available_memory_bytes
from perfkit.trial.limits import SHARE_OF_AVAILABLE_MEMORY
from perfkit.units import parse_duration, parse_size

HERE = "this machine"


@dataclass(frozen=True)
class Machine:
    """A kind of machine.

    Parameters
    ----------
    count
        How many there are.
    cores
        CPUs of one, as its system counts them.
    memory_bytes
        That jobs may hold at the same time.
    numa
        Memory nodes: an instance that stays within one does not wait for another's memory.
    calibration
        How fast it is; None for the machine that the fit was made on.
    speed
        Stated instead: how many times as fast a core is as the fit's.
    price_per_hour, watts
        Of one machine in use; None where it is not known.
    time_limit_s
        Longest job that it takes; None for no limit.
    partition
        Slurm's, None for the default.
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
    """The machines, and what is wrong with those that cannot be used."""

    machines: tuple[Machine, ...]
    currency: str
    rejects: tuple[Reject, ...] = ()


class _Entry(BaseModel):
    """One ``[[machine]]``."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    count: Annotated[int, Field(ge=1)] = 1
    cores: Annotated[int, Field(ge=1)]
    memory: str
    numa: Annotated[int, Field(ge=1)] = 1
    calibration: str | None = None
    speed: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    price_per_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    watts: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    time_limit: str | None = None
    partition: Annotated[str, Field(pattern=r"^[\w.,-]+$")] | None = None

    @field_validator("memory")
    @classmethod
    def _is_a_size(cls, text: str) -> str:
        return _checked(text, parse_size)

    @field_validator("time_limit")
    @classmethod
    def _is_a_duration(cls, text: str) -> str:
        return _checked(text, parse_duration)

    @model_validator(mode="after")
    def _is_calibrated(self) -> Self:
        if (self.calibration is None) == (self.speed is None):
            raise ValueError(
                "it needs either calibration (the file that 'perfkit calibrate' leaves on it) or "
                "speed (a stated factor to the machine of the fit)"
            )
        return self


def _checked(text: str, parse: Any) -> str:
    try:
        parse(text)
    except UserError as error:
        raise ValueError(str(error)) from error
    return text


KEYS = tuple(_Entry.model_fields)


def read_inventory(path: Path) -> Inventory:
    """The inventory in a TOML file; entries that cannot be used are rejects.

    Raises
    ------
    UserError
        The file cannot be read, or has no ``[[machine]]``, or a key that is unknown.
    """
    data = read_toml(path, "inventory")
    refuse_unknown(f"{path}: key", data, ("machine", "currency"))
    entries = data.get("machine")
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path} is no inventory: it needs a [[machine]] for each kind of machine")
    machines: dict[str, Machine] = {}
    rejects: list[Reject] = []
    for number, entry in enumerate(entries, 1):
        name = str(entry.get("name", f"number {number}"))
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
                rejects.append(Reject(name, origin, "the name stands there twice"))
            machines.setdefault(machine.name, machine)
    return Inventory(tuple(machines.values()), str(data.get("currency", "EUR")), tuple(rejects))


def _machine(entry: _Entry, path: Path) -> Machine:
    calibration = None
    if entry.calibration is not None:
        calibration = Calibration.load(path.parent / entry.calibration)
    return Machine(
        name=entry.name,
        count=entry.count,
        cores=entry.cores,
        memory_bytes=parse_size(entry.memory),
        numa=entry.numa,
        calibration=calibration,
        speed=entry.speed,
        price_per_hour=entry.price_per_hour,
        watts=entry.watts,
        time_limit_s=None if entry.time_limit is None else parse_duration(entry.time_limit),
        partition=entry.partition,
    )


def this_machine(price_per_hour: float | None = None, watts: float | None = None) -> Inventory:
    """This machine with the CPUs and the memory that it has to give now."""
    machine = Machine(
        name=HERE,
        count=1,
        cores=len(allowed_cpus()),
        memory_bytes=int(available_memory_bytes() * SHARE_OF_AVAILABLE_MEMORY),
        price_per_hour=price_per_hour,
        watts=watts,
    )
    return Inventory((machine,), "EUR")
