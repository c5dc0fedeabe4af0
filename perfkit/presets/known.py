"""Presets with the measurements behind them: how they are read and where they are found."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perfkit.errors import UserError, unknown_name
from perfkit.models import get_model
from perfkit.packages import Package, measured_package
from perfkit.tuning.preset import PRESET_NAME, load_preset

SHIPPED = Path(__file__).parent / "data"
"""Folder of the presets that ship with perfkit: a folder per model, with a file per preset."""

type Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
type Whole = Annotated[int, Field(ge=0)]

_logger = logging.getLogger(__name__)


class Table(BaseModel):
    """Base class of a table in a file. Unknown keys are ignored: newer versions may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class MeasuredMachine(Table):
    """The machine that a preset was measured on; None or empty where the file does not state it.

    Attributes
    ----------
    cpu, cpu_family, cpu_model
        Name, family and model number of the CPU.
    instruction_sets
        Names as in the flags of ``/proc/cpuinfo``.
    logical_cpus
        CPUs of the machine.
    memory_bytes
        Physical memory.
    """

    cpu: str | None = None
    cpu_family: str | None = None
    cpu_model: str | None = None
    instruction_sets: tuple[str, ...] = ()
    logical_cpus: Annotated[int, Field(ge=1)] | None = None
    memory_bytes: Whole | None = None


class Measured(Table):
    """The measurements behind a preset; None where the file does not state a value.

    Attributes
    ----------
    workload, size
        Name of the input, and its size in the model's unit.
    cpus
        CPUs that the trials could use.
    measured_at
        Time of the last measurement, ISO 8601.
    speedup
        Time of stock over time of the preset.
    speedup_interval
        Ends of its 95 % interval; None where the measurements support no interval.
    pairs
        Pairs of fresh processes behind the interval.
    steady_s
        Seconds of one prediction at the fidelity of the tuning.
    peak_rss_bytes
        Largest resident set.
    agreement
        Class of agreement with the reference.
    records
        Folder of the records, relative to perfkit's repository.
    machine
        The machine.
    versions
        Package -> version.
    model_package
        The package whose code predicted.
    conditions
        Limits and disturbances of the measurement, in sentences.
    """

    workload: str = ""
    size: Annotated[int, Field(ge=1)] | None = None
    cpus: Annotated[int, Field(ge=1)] | None = None
    measured_at: str = ""
    speedup: Positive | None = None
    speedup_interval: tuple[Positive, Positive] | None = None
    pairs: Whole = 0
    steady_s: Positive | None = None
    peak_rss_bytes: Whole | None = None
    agreement: str | None = None
    records: str = ""
    machine: MeasuredMachine = MeasuredMachine()
    versions: Mapping[str, str] = Field(default_factory=dict)
    model_package: Package | None = None
    conditions: tuple[str, ...] = ()

    @property
    def available_cpus(self) -> int | None:
        """CPUs that the trials could use; those of the machine where the file states no more."""
        return self.machine.logical_cpus if self.cpus is None else self.cpus


@dataclass(frozen=True)
class KnownPreset:
    """A preset and what was measured of it.

    Attributes
    ----------
    name
        Name of a shipped preset, or the path of a file.
    shipped
        Whether it ships with perfkit.
    model
        Name of the model.
    settings
        Knob -> value.
    measured
        The measurements.
    table
        The measurements as they are in the file.
    """

    name: str
    shipped: bool
    model: str
    settings: Mapping[str, str]
    measured: Measured
    table: Mapping[str, Any]

    @property
    def package(self) -> Package | None:
        """The package that the model was measured with; None where the file does not show it."""
        name = get_model(self.model).package()
        return self.measured.model_package or measured_package(name, self.measured.versions)

    @property
    def title(self) -> str:
        """The preset for a sentence: ``the shipped preset af3-256``, or ``the preset FILE``."""
        return f"the {'shipped ' if self.shipped else ''}preset {self.name}"


def read_known_preset(path: Path, *, shipped: bool = False) -> KnownPreset:
    """The preset in a file, with its measurements.

    Raises
    ------
    UserError
        The file is no preset, or its measurements have another form.
    """
    loaded = load_preset(path)
    try:
        measured = Measured.model_validate(loaded.measured)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"the measurements of the preset {path} cannot be read: {where}: {first['msg']}"
        ) from error
    return KnownPreset(
        name=path.stem if shipped else str(path),
        shipped=shipped,
        model=loaded.model,
        settings=loaded.configuration.as_dict(),
        measured=measured,
        table=loaded.measured,
    )


def shipped_presets(model: str, folder: Path = SHIPPED) -> list[KnownPreset]:
    """The presets of a model that ship with perfkit, by name.

    Parameters
    ----------
    model
        Name of the model.
    folder
        Folder with a folder per model.
    """
    return [
        read_known_preset(path, shipped=True) for path in sorted((folder / model).glob("*.toml"))
    ]


def shipped_names(folder: Path = SHIPPED) -> dict[str, str]:
    """Name of each shipped preset -> its model.

    Parameters
    ----------
    folder
        Folder with a folder per model.
    """
    return {path.stem: path.parent.name for path in sorted(folder.glob("*/*.toml"))}


def shipped_preset(name: str, model: str, folder: Path = SHIPPED) -> KnownPreset:
    """The shipped preset of a name.

    Parameters
    ----------
    name
        Name of the preset.
    model
        Name of the model that it is needed for.
    folder
        Folder with a folder per model.

    Raises
    ------
    UserError
        There is no such preset, or it is for another model.
    """
    models = shipped_names(folder)
    if name not in models:
        raise unknown_name("shipped preset", name, models)
    if models[name] != model:
        raise UserError(f"the shipped preset {name!r} is for model {models[name]!r}, not {model!r}")
    return read_known_preset(folder / model / f"{name}.toml", shipped=True)


def stored_presets(model: str, folder: Path) -> list[KnownPreset]:
    """The presets of a model that earlier tunings left below a folder, by path.

    A file that cannot be read is skipped with a warning.

    Parameters
    ----------
    model
        Name of the model.
    folder
        Folder of the results of tunings; it need not exist.
    """
    found = []
    for path in sorted(folder.glob(f"**/{PRESET_NAME}")):
        try:
            preset = read_known_preset(path)
        except UserError as error:
            _logger.warning("%s; the preset is skipped", error)
            continue
        if preset.model == model:
            found.append(preset)
    return found
