"""Presets: recommended configurations in TOML files."""

from __future__ import annotations

import dataclasses
import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tomli_w
from pydantic import BaseModel, Field, ValidationError

from perfkit.errors import UserError
from perfkit.files import remove, write_whole
from perfkit.input_files import read_toml
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.knob import Layer
from perfkit.knobs.xla_flags import names_file
from perfkit.models import get_model
from perfkit.records.depths import FULL_DEPTH
from perfkit.records.schema import Record
from perfkit.records.settings import present_settings
from perfkit.units import cut

if TYPE_CHECKING:
    from perfkit.tuning.choice.recommend import Recommendation
    from perfkit.tuning.choice.rows import Row

FORMAT = 1

PRESET_NAME = "preset.toml"
"""File name of the recommended configuration in the folder of a tuning."""

FRONT_NAME = "preset-{number}.toml"
"""File names of the front of time and memory in the folder of a tuning, from 1 for the fastest."""

MOST_INSTANCES = 65_536
"""Most instances, and most CPUs of each, in a preset; no machine has as many."""

MOST_BYTES = 10**18
"""Largest peak memory in a preset."""


class PresetInstances(BaseModel, frozen=True):
    """Instances of a preset that run side by side on one machine.

    Attributes
    ----------
    count
        Number of instances.
    cpus
        CPUs of each.
    peak_rss_bytes
        Largest peak memory of an instance; 0 where it is unknown.
    """

    count: Annotated[int, Field(strict=True, ge=1, le=MOST_INSTANCES)]
    cpus: Annotated[int, Field(strict=True, ge=1, le=MOST_INSTANCES)]
    peak_rss_bytes: Annotated[int, Field(strict=True, ge=0, le=MOST_BYTES)] = 0


@dataclass(frozen=True)
class Preset:
    """A configuration for a model.

    Attributes
    ----------
    model
        Name of the model.
    configuration
        The configuration.
    measured
        Measurements behind the preset, for a reader; applying the preset does not use them.
    instances
        Instances to run side by side; None where their number was not measured.
    """

    model: str
    configuration: Configuration
    measured: Mapping[str, Any]
    instances: PresetInstances | None = None

    def environment(self) -> dict[str, str]:
        """Environment variables that apply the preset to a process, to set before it starts."""
        return self.configuration.environment()


def exec_command(path: Path, instances: int = 1) -> str:
    """The beginning of the command that runs another one under a preset, up to ``--``.

    Parameters
    ----------
    path
        File of the preset.
    instances
        Number of instances that run side by side; the command is that of the first.
    """
    share = f" --instance 1/{instances}" if instances > 1 else ""
    return f"perfkit exec --preset {shlex.quote(str(path))}{share} --"


def save_preset(
    path: Path, model: str, recommendation: Recommendation, context: Mapping[str, Any]
) -> None:
    """Save the recommended configuration in a TOML file.

    Parameters
    ----------
    path
        The file; replaced if it exists.
    model
        Name of the model.
    recommendation
        The recommendation to save.
    context
        Workload, machine, versions and notices, see :func:`measured_context`; plain data without
        None.

    Raises
    ------
    UserError
        Nothing is recommended, or the file cannot be written.
    """
    best = recommendation.best
    if best is None:
        raise UserError(f"there is no preset to save: {recommendation.sentence}")
    chosen = recommendation.chosen_instances
    lead = {"summary": recommendation.sentence, "goal": recommendation.goal.sentence}
    conditions = list(recommendation.conditions)
    measured = _measured(
        best, lead | dict(context) | ({"conditions": conditions} if conditions else {})
    )
    instances = None
    if chosen is not None:
        instances = PresetInstances(
            count=chosen.count, cpus=chosen.cpus, peak_rss_bytes=chosen.peak_rss_bytes
        )
        measured["predictions_per_hour"] = round(chosen.per_hour.median, 2)
    write_preset(path, model, best.settings, measured, instances)


def save_front(
    folder: Path, model: str, recommendation: Recommendation, context: Mapping[str, Any]
) -> tuple[Path, ...]:
    """Save the configurations on the front of time and memory, each as a preset.

    Presets of a longer front that an earlier call has left in the folder are removed.

    Parameters
    ----------
    folder
        Folder of the presets, see :data:`FRONT_NAME`.
    model, recommendation, context
        As for :func:`save_preset`.

    Returns
    -------
    tuple of Path
        The files, fastest configuration first.

    Raises
    ------
    UserError
        A file cannot be written.
    """
    saved: list[Path] = []
    for number, row in enumerate(recommendation.front, 1):
        path = folder / FRONT_NAME.format(number=number)
        summary = f"number {number} of {len(recommendation.front)} on the front of time and memory"
        write_preset(path, model, row.settings, _measured(row, {"summary": summary, **context}))
        saved.append(path)
    for number in itertools.count(len(saved) + 1):
        stale = folder / FRONT_NAME.format(number=number)
        if not recommendation.goal.pareto or not stale.exists():
            break
        remove(stale)
    return tuple(saved)


def _measured(row: Row, measured: dict[str, Any]) -> dict[str, Any]:
    """``measured`` with time, speed-up and memory of a configuration."""
    if row.time_s is not None:
        measured["steady_s"] = float(f"{row.time_s.median:.4g}")
    if row.speedup is not None:
        measured["speedup"] = round(row.speedup.median, 3)
        if row.speedup.ends is not None:
            measured["speedup_interval"] = [round(end, 3) for end in row.speedup.ends]
    measured["peak_rss_bytes"] = row.peak_rss_bytes
    return measured


def measured_context(records: Sequence[Record]) -> dict[str, Any]:
    """The context of a measurement, for :func:`save_preset`.

    Parameters
    ----------
    records
        Records of the study. The last one of the whole network counts: what was screened after it
        on a shallow network is not what the preset states.
    """
    whole = [record for record in records if record.workload.depth == FULL_DEPTH]
    record = (whole or records)[-1]
    machine = record.machine.known()
    shown = (
        *("cpu", "cpu_family", "cpu_model", "instruction_sets"),
        *("logical_cpus", "memory_bytes"),
    )
    package = record.model_package
    return {
        "workload": record.workload.name,
        "size": record.workload.size,
        "measured_at": record.created,
        "notices": record.notices,
        "machine": {name: machine[name] for name in shown if name in machine},
        "versions": {name: value for name, value in record.versions.items() if value is not None},
        **({} if package is None else {"model_package": dataclasses.asdict(package)}),
    }


def write_preset(
    path: Path,
    model: str,
    settings: Mapping[str, str],
    measured: Mapping[str, Any],
    instances: PresetInstances | None = None,
) -> None:
    """Save knob values as a preset.

    Parameters
    ----------
    path
        The file; replaced if it exists.
    model
        Name of the model.
    settings
        Knob values by name.
    measured
        Measurements behind the preset, for a reader; plain data without None.
    instances
        Instances to run side by side, if their number was measured.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    data: dict[str, Any] = {"format": FORMAT, "model": model, "knobs": dict(settings)}
    if instances is not None:
        data["instances"] = instances.model_dump()
    data["measured"] = dict(measured)
    write_whole(path, tomli_w.dumps(data), "preset")


def load_preset(path: Path) -> Preset:
    """The preset in a file; former names of knobs are read as their present ones.

    Raises
    ------
    UserError
        The file cannot be read, is no preset, names a knob or value that does not exist, or sets a
        flag by which XLA reads or writes files.
    """
    data = read_toml(path, "preset")
    knobs = data.get("knobs")
    if not isinstance(data.get("model"), str) or not isinstance(knobs, dict):
        raise UserError(f"{path} is no preset: it needs 'model' and a table [knobs]")
    if data.get("format", FORMAT) != FORMAT:
        found = cut(str(data["format"]))
        raise UserError(
            f"{path} is of preset format {found}, this perfkit reads {FORMAT}; "
            "use the perfkit that wrote it or a newer one"
        )
    model = get_model(data["model"])
    settings = present_settings({str(name): str(value) for name, value in knobs.items()})
    configuration = Catalogue(model.knobs).configuration(settings)
    _refuse_files(path, configuration)
    return Preset(
        model.name,
        configuration,
        data.get("measured", {}),
        _instances(path, data.get("instances")),
    )


def _refuse_files(path: Path, configuration: Configuration) -> None:
    """Refuse flags with which a preset of somebody else would choose files of this machine."""
    for name, value in configuration.of_layer(Layer.XLA).items():
        if names_file(name) or "/" in value:
            raise UserError(
                f"the preset {path} sets {name}, by which XLA reads or writes files: remove it, "
                f"and give it on the command line if you need it (--knob {name}=VALUE)"
            )


def _instances(path: Path, table: object) -> PresetInstances | None:
    """The table [instances] of a preset, which presets of older versions lack."""
    if table is None:
        return None
    try:
        return PresetInstances.model_validate(table)
    except ValidationError as error:
        raise UserError(
            f"[instances] of the preset {path} needs whole numbers 'count' and 'cpus' from 1 to "
            f"{MOST_INSTANCES:,}, and 'peak_rss_bytes' from 0 to 1 EB if it is given"
        ) from error
