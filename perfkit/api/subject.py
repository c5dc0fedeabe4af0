"""What a call measures: a model, its input, the fidelity and the limits of each trial."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from perfkit.errors import UserError, unknown_name
from perfkit.file_names import file_name
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.models import get_model
from perfkit.models.base import Model, Option
from perfkit.models.workload import Workload
from perfkit.printable import printable
from perfkit.records.machine import available_memory_bytes
from perfkit.trial.limits import Limits
from perfkit.units import bytes_text, parse_duration, parse_size

type OptionValue = str | int | float | bool | os.PathLike[str] | None
"""Value of a model's option; None means that it is not set."""

type KnobValue = str | int | float | bool
"""Value of a knob as a caller writes it, e.g. ``True`` for ``true``."""

type Fidelity = Literal["low", "production"]
"""``low`` is a cheap measurement, ``production`` the model's own defaults."""

FIDELITIES: tuple[Fidelity, ...] = ("low", "production")

RESULTS_FOLDER = "perfkit-results"
"""Folder below the current one that holds the results of calls that name no folder."""


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes
    ----------
    model
        Model that predicts.
    catalogue
        Knobs that may be set for the model.
    workload
        Model, input and fidelity.
    limits
        Time and memory limits of each trial.
    force
        Whether to run even where memory is predicted not to suffice.
    """

    model: Model
    catalogue: Catalogue
    workload: Workload
    limits: Limits
    force: bool = False

    def configuration(
        self, knobs: Mapping[str, KnobValue], preset: Path | str | None = None
    ) -> Configuration:
        """The configuration of a preset with knobs set on top.

        Parameters
        ----------
        knobs
            Knob values by name; they override the preset's.
        preset
            File of the preset to start from; None starts from stock.

        Raises
        ------
        UserError
            A knob or value is impossible, or the preset is for another model.
        """
        from perfkit.tuning.preset import load_preset

        values: dict[str, str] = {}
        if preset is not None:
            loaded = load_preset(Path(preset))
            if loaded.model != self.model.name:
                raise UserError(
                    f"the preset {preset} is for model {loaded.model!r}, not {self.model.name!r}"
                )
            values = loaded.configuration.as_dict()
        values |= {name: knob_text(value) for name, value in knobs.items()}
        configuration = self.catalogue.configuration(values)
        configuration.ensure_possible()
        return configuration

    def refuse_without_memory(
        self, configuration: Configuration, workload: Workload | None = None
    ) -> None:
        """Refuse what this machine has too little memory for, unless forced.

        Nothing is refused with a package whose memory is not predicted.

        Parameters
        ----------
        configuration
            Configuration of the trial.
        workload
            Workload of the trial; the subject's own by default.

        Raises
        ------
        UserError
            The predicted peak is above the memory limit, or above what is free.
        """
        checked = self.workload if workload is None else workload
        self.model.check(checked, configuration)
        needed = self.model.memory_estimate_bytes(checked, configuration)
        allowed = self.limits.memory_bytes or available_memory_bytes()
        if needed is not None and needed > allowed and not self.force:
            raise UserError(
                f"{checked.name} ({checked.size} {self.model.size_unit}) needs about "
                f"{bytes_text(needed)} of memory in configuration {configuration.label!r}, "
                f"but only {bytes_text(allowed)} are available; --force runs it anyway"
            )


class SubjectArguments(TypedDict, total=False):
    """The optional arguments of :func:`make_subjects`."""

    fidelity: str | None
    time_limit: str | float | None
    memory_limit: str | int | None
    force: bool
    predicts: bool
    plans: bool


def make_subject(
    model: str, options: Mapping[str, OptionValue], **others: Unpack[SubjectArguments]
) -> Subject:
    """Check the arguments of a call that measures a single input, and make its workload.

    Parameters
    ----------
    model, options, **others
        As for :func:`make_subjects`.

    Raises
    ------
    UserError
        A value is impossible, the options name several inputs, or the input is bad.
    """
    subjects = make_subjects(model, options, **others)
    if len(subjects) > 1:
        raise UserError(
            f"the options name {len(subjects)} inputs, but this takes one: perfkit.run_each "
            "predicts several in turn"
        )
    return subjects[0]


def make_subjects(
    model: str,
    options: Mapping[str, OptionValue],
    *,
    fidelity: str | None = None,
    time_limit: str | float | None = None,
    memory_limit: str | int | None = None,
    force: bool = False,
    predicts: bool = False,
    plans: bool = False,
) -> list[Subject]:
    """Check the arguments of a call and make the workload of every input that they name.

    Parameters
    ----------
    model
        Name of the model.
    options
        Values of the model's options and fidelity axes by name; hyphens may be underscores.
    fidelity
        ``low`` or ``production``; None chooses by ``predicts``.
    time_limit
        Wall time of each trial: seconds, or text such as ``20m``.
    memory_limit
        Resident memory of each trial: bytes, or text such as ``16GB``.
    force
        Whether to run even where memory is predicted not to suffice.
    predicts
        Whether the call writes predictions. It then takes several inputs and options on files, and
        with real weights its fidelity is production, unless `fidelity` says otherwise.
    plans
        Whether plans use the measurements. Implementations that plans do not describe are then
        refused.

    Raises
    ------
    UserError
        A value is impossible, or the input is bad.
    """
    chosen = get_model(model)
    given = {name.replace("_", "-"): value for name, value in options.items() if value is not None}
    axes = {axis.name: axis for axis in chosen.fidelity_axes}
    known = {option.name: option for option in chosen.options}
    for name in given:
        if name not in axes and name not in known:
            raise unknown_name(f"option of {chosen.name}", name, (*known, *axes))
    if fidelity is not None and fidelity not in FIDELITIES:
        raise unknown_name("fidelity", fidelity, FIDELITIES)
    own: dict[str, str | int | float | bool] = {}
    for name, value in given.items():
        if name not in known or (value is False and known[name].default is False):
            continue
        own[name] = _option_value(known[name], value)
        if known[name].predicts and not predicts:
            raise UserError(f"--{name} is for predictions, which only perfkit run writes")
    if plans:
        chosen.costs.refuse_unplanned(own)
    by_default = "production" if predicts and chosen.weights_option in own else "low"
    values = {name: value for name, value in given.items() if name in axes}
    chosen_axes = _axis_values(chosen, values, fidelity or by_default)
    inputs = chosen.each_input(own) if predicts else (own,)
    workloads = [chosen.workload(one, chosen_axes) for one in inputs]
    for workload in workloads:
        _refuse_broken_text(workload)
    limits = Limits(
        time_s=None if time_limit is None else seconds_of(time_limit),
        memory_bytes=None if memory_limit is None else parse_size(str(memory_limit)),
    )
    catalogue = Catalogue(chosen.knobs)
    return [Subject(chosen, catalogue, workload, limits, force) for workload in workloads]


def preset_warnings(preset: Path | str | None) -> list[str]:
    """How the environment differs from that of a preset; see :mod:`perfkit.presets.differences`.

    Measurements that cannot be read are reported too: they do not keep a preset from being applied.
    """
    from perfkit.presets.differences import differences

    try:
        return [] if preset is None else differences(preset)
    except UserError as error:
        return [str(error)]


def seconds_of(duration: str | float) -> float:
    """Seconds of a duration that is text such as ``15m``, or a number of seconds.

    Raises
    ------
    UserError
        It is no duration, zero, or absurdly long.
    """
    return parse_duration(duration if isinstance(duration, str) else f"{duration:f}")


def knob_text(value: KnobValue) -> str:
    """The value of a knob as text; ``True`` becomes ``true``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def default_folder(*words: str) -> Path:
    """Folder of the results if the caller gives none, below the current folder."""
    return Path(RESULTS_FOLDER) / file_name("-".join(words))


def at_least(name: str, value: int, least: int) -> None:
    """Refuse a count below ``least``.

    Raises
    ------
    UserError
        The count is too small.
    """
    if value < least:
        raise UserError(f"--{name} takes {least} or more, not {value}")


def _option_value(option: Option, value: OptionValue) -> str | int | float | bool:
    """The value in the type that the option has."""
    if option.kind is str and isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if option.kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if option.kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if option.kind is bool and isinstance(value, bool):
        return value
    expected = {str: "text or a path", float: "a number", int: "a whole number", bool: "True"}
    raise UserError(f"--{option.name} takes {expected[option.kind]}, not {value!r}")


def _axis_values(model: Model, values: Mapping[str, OptionValue], fidelity: str) -> dict[str, int]:
    """Values of the fidelity axes that differ from those of a cheap measurement."""
    chosen: dict[str, int] = {}
    for axis in model.fidelity_axes:
        value = values.get(axis.name)
        if value is None:
            if fidelity == "production":
                chosen[axis.name] = axis.production
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            raise UserError(f"--{axis.name} takes a whole number, not {value!r}")
        at_least(axis.name, value, axis.minimum)
        chosen[axis.name] = value
    return chosen


def _refuse_broken_text(workload: Workload) -> None:
    """Refuse names and paths that records, which are UTF-8, cannot hold.

    File names in another encoding than UTF-8, and JSON that escapes half of a surrogate pair, give
    text that could not be recorded once everything is computed.
    """
    for text in (workload.name, *map(str, workload.source.values())):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"the name '{printable(text)}' is not valid Unicode, so it cannot be recorded; "
                "rename the input"
            ) from None
