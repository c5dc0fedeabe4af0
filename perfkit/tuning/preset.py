"""Presets: recommended configurations in TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.models import get_model
from perfkit.records.schema import Record
from perfkit.records.settings import present_settings

if TYPE_CHECKING:
    from perfkit.tuning.recommend import Recommendation

FORMAT = 1


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
    """

    model: str
    configuration: Configuration
    measured: Mapping[str, Any]

    def environment(self) -> dict[str, str]:
        """Environment variables that apply the preset to a process, to set before it starts."""
        return self.configuration.environment()


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
    measured: dict[str, Any] = {"summary": recommendation.sentence, **context}
    if best.time_s is not None:
        measured["steady_s"] = round(best.time_s.median, 3)
    if best.speedup is not None:
        measured["speedup"] = round(best.speedup.median, 3)
        if best.speedup.ends is not None:
            measured["speedup_interval"] = [round(end, 3) for end in best.speedup.ends]
    measured["peak_rss_bytes"] = best.peak_rss_bytes
    write_preset(path, model, best.settings, measured)


def measured_context(record: Record) -> dict[str, Any]:
    """The context of a measurement, for :func:`save_preset`.

    Parameters
    ----------
    record
        The last record of the study.
    """
    machine = record.machine.known()
    shown = (
        *("cpu", "cpu_family", "cpu_model", "instruction_sets"),
        *("logical_cpus", "memory_bytes"),
    )
    return {
        "workload": record.workload.name,
        "size": record.workload.size,
        "measured_at": record.created,
        "notices": record.notices,
        "machine": {name: machine[name] for name in shown if name in machine},
        "versions": {name: value for name, value in record.versions.items() if value is not None},
    }


def write_preset(
    path: Path, model: str, settings: Mapping[str, str], measured: Mapping[str, Any]
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

    Raises
    ------
    UserError
        The file cannot be written.
    """
    data = {
        "format": FORMAT,
        "model": model,
        "knobs": dict(settings),
        "measured": dict(measured),
    }
    write_whole(path, tomli_w.dumps(data), "preset")


def load_preset(path: Path) -> Preset:
    """The preset in a file; former names of knobs are read as their present ones.

    Raises
    ------
    UserError
        The file cannot be read, is no preset, or names a knob or value that does not exist.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"the preset {path} cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"the preset {path} is not TOML: {error}") from error
    knobs = data.get("knobs")
    if not isinstance(data.get("model"), str) or not isinstance(knobs, dict):
        raise UserError(f"{path} is no preset: it needs 'model' and a table [knobs]")
    if data.get("format", FORMAT) != FORMAT:
        raise UserError(
            f"{path} is of preset format {data['format']}, this perfkit reads {FORMAT}; "
            "use the perfkit that wrote it or a newer one"
        )
    model = get_model(data["model"])
    settings = present_settings({str(name): str(value) for name, value in knobs.items()})
    return Preset(
        model.name, Catalogue(model.knobs).configuration(settings), data.get("measured", {})
    )
