"""Calibration: the speed of a machine relative to that of a fit, from a small trial."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from pydantic import Field, JsonValue, ValidationError, model_validator

from perfkit.capacity.bounds import Count, Cpus, FileData, Finite, NonNegative, Positive
from perfkit.capacity.laws.assemble import contention, cpu_laws
from perfkit.capacity.laws.fit import (
    MOST_CONTENTION,
    ONCE,
    ModelFit,
    ensure_model,
    feature_names,
)
from perfkit.capacity.laws.observation import Observation, has_part_times, observe
from perfkit.capacity.laws.parallel import CpuLaw
from perfkit.capacity.tables import first_sentence
from perfkit.errors import UserError
from perfkit.files import reason_of, short_digest, write_whole
from perfkit.input_files import read_toml
from perfkit.models import get_model
from perfkit.models.base import REST
from perfkit.packages import Package, measured_package
from perfkit.records.schema import Outcome, Record
from perfkit.records.settings import StoredSettings
from perfkit.records.stages import STARTUP_STAGES
from perfkit.stats.exact import median_uncertainty

LOGGER = logging.getLogger("perfkit.capacity.laws.calibration")
"""Warns when a calibration file cannot be used and is replaced."""

CALIBRATION_VERSION = 3
"""Version of the file's layout; version 3 added the seconds of each part and their error."""

CHECKSUM = "checksum"
"""Key of the checksum in a saved calibration. Files of older versions have none."""

OWN_VERSIONS = ("perfkit", "perfkit_commit")
"""Packages whose version does not change the time of a trial."""

MOST_FACTOR = 1e4
"""Largest factor between the speeds of two machines, in either direction."""


class CalibrationPoint(FileData):
    """The trial of a calibration at a further size, on all CPUs that were measured.

    Attributes
    ----------
    features
        Features of the workload.
    part_s
        Part to its seconds per run.
    """

    features: dict[str, Finite]
    part_s: dict[str, NonNegative]


class CalibrationTrial(FileData):
    """A small trial of a real model.

    Attributes
    ----------
    model
        Name of the model.
    settings
        Settings of the configuration.
    features
        Features of the workload.
    counts
        Part to its number of runs per pass.
    cpus
        CPUs that the trial was allowed.
    running_s
        Median seconds of a timed pass.
    starting_s
        Seconds from import to the end of compilation.
    running_cpus, starting_cpus
        Laws of passes and of the start over CPUs, None where one CPU count was measured.
    contention
        Slow-down while other instances fill the machine, None if not measured.
    package
        The package whose code predicted; None in calibrations of version 1.
    part_s
        Part to its seconds per run, on all CPUs that were measured; None before version 3.
    running_error
        Half the width of the 95 % interval of ``running_s``, relative to it; None before version 3.
    further
        Trials of the same configuration at larger sizes.
    """

    model: str
    settings: StoredSettings
    features: dict[str, Finite]
    counts: dict[str, Count]
    cpus: Cpus
    running_s: Positive
    starting_s: Positive
    running_cpus: CpuLaw | None = None
    starting_cpus: CpuLaw | None = None
    contention: Annotated[NonNegative, Field(le=MOST_CONTENTION)] | None = None
    package: Package | None = None
    part_s: dict[str, NonNegative] | None = None
    running_error: Finite | None = None
    further: tuple[CalibrationPoint, ...] = ()

    @model_validator(mode="after")
    def _has_its_features(self) -> Self:
        ensure_model(self.model, self.settings)
        expected = feature_names(self.model)
        found = [self.features, *(point.features for point in self.further)]
        if any(features.keys() != expected for features in found):
            raise ValueError(
                f"expected the features of {self.model}: {', '.join(sorted(expected))}"
            )
        return self


class Factor(FileData):
    """Time on a calibrated machine divided by time on the fit's machine.

    Attributes
    ----------
    running, starting
        Factors on passes and on the start, each on all CPUs that were measured.
    spread
        Largest factor between ``running`` and the ratio of the machines' ceilings (matrix product,
        copy). Large trials are more compute-bound or more memory-bound than the small one.
    """

    running: float
    starting: float
    spread: float


class Calibration(FileData):
    """Results of ``perfkit calibrate`` on a machine.

    Attributes
    ----------
    version
        Version of the file's layout.
    created
        Time of the calibration, ISO 8601.
    machine
        Fingerprint of the machine.
    versions
        Versions of packages, by name.
    ceilings
        Rates of the machine (matrix product, copy), by name.
    trials
        One trial per model and preset.
    """

    version: Annotated[int, Field(strict=True, ge=1, le=CALIBRATION_VERSION)] = CALIBRATION_VERSION
    created: str
    machine: dict[str, JsonValue]
    versions: dict[str, str]
    ceilings: dict[str, Positive]
    trials: tuple[CalibrationTrial, ...]

    def trial_for(self, fit: ModelFit) -> CalibrationTrial | None:
        """Return a trial of the fit's model, if possible under its preset; None without one."""
        own = [trial for trial in self.trials if trial.model == fit.model]
        alike = [trial for trial in own if trial.settings == fit.settings]
        return next(iter([*alike, *own]), None)

    def factor(self, fit: ModelFit) -> Factor:
        """Return how much slower the machine is than the fit's.

        Raises
        ------
        UserError
            The fit's model was not calibrated, or was calibrated with another distribution of its
            package, or the factor exceeds :data:`MOST_FACTOR`.
        """
        trial = self.trial_for(fit)
        if trial is None:
            raise UserError(
                f"the calibration of {self.machine.get('host')} has no trial of {fit.model}: "
                f"run 'perfkit calibrate --model {fit.model}' there"
            )
        name = get_model(fit.model).package()
        own = trial.package or measured_package(name, self.versions)
        measured = fit.model_package
        if own and measured and own.distribution != measured.distribution:
            raise UserError(
                f"the calibration of {self.machine.get('host')} was measured with {own.text}, the "
                f"fit of {fit.model} with {measured.text}: repeat one of them"
            )
        there = fit.seconds(trial.features, trial.counts)
        running = self._ratio(
            trial.running_s, sum(s for name, s in there.items() if name not in ONCE), fit
        )
        starting = self._ratio(
            trial.starting_s, sum(s for name, s in there.items() if name in STARTUP_STAGES), fit
        )
        ratios = [
            fit.ceilings[name] / rate / running
            for name, rate in self.ceilings.items()
            if fit.ceilings.get(name)
        ]
        spread = max((max(ratio, 1 / ratio) for ratio in ratios), default=1.0)
        if spread > MOST_FACTOR:
            raise UserError(
                f"the ceilings of {self.machine.get('host')} and of the fit of {fit.model} are "
                f"{spread:.3g} times further apart than the trial: one of them is wrong, measure "
                "again"
            )
        return Factor(running=running, starting=starting, spread=spread)

    def measured_like(self, other: Calibration) -> bool:
        """Return whether two calibrations are of the same machine and packages."""
        same_machine = self.machine.get("digest") == other.machine.get("digest")
        mine, theirs = (
            {name: version for name, version in each.versions.items() if name not in OWN_VERSIONS}
            for each in (self, other)
        )
        return same_machine and mine == theirs

    def _ratio(self, here_s: float, there_s: float, fit: ModelFit) -> float:
        if not there_s / MOST_FACTOR <= here_s <= there_s * MOST_FACTOR:
            raise UserError(
                f"the calibration of {self.machine.get('host')} takes {here_s:.3g} s for what the "
                f"fit of {fit.model} predicts {there_s:.3g} s: one of them is wrong, measure again"
            )
        return here_s / there_s

    def save(self, path: Path) -> None:
        """Write the calibration to a TOML file, which is replaced if it exists.

        Raises
        ------
        UserError
            The file cannot be written.
        """
        data = self.model_dump(exclude_none=True)
        write_whole(path, tomli_w.dumps({CHECKSUM: short_digest(data, 64), **data}), "calibration")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a calibration from a TOML file.

        Raises
        ------
        UserError
            The file cannot be read, is not a calibration, or was changed since it was written.
        """
        data = read_toml(path, "calibration")
        checksum = data.pop(CHECKSUM, None)
        if checksum is not None and checksum != _checksum(data):
            raise UserError(
                f"the calibration {path} was changed since it was written: its checksum differs; "
                "run 'perfkit calibrate' on that machine again"
            )
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise UserError(
                f"{path} is not a calibration of 'perfkit calibrate': {first_sentence(error)}"
            ) from error


def earlier_calibration(path: Path) -> Calibration | None:
    """Read an earlier calibration, None where there is none that can be used.

    A file that cannot be used is renamed, and a warning says why.

    Raises
    ------
    UserError
        The file can be neither used nor renamed.
    """
    if not path.exists():
        return None
    try:
        return Calibration.load(path)
    except UserError as error:
        aside = path.with_name(f"{path.name}.unusable")
        try:
            path.replace(aside)
        except OSError as refused:
            raise UserError(f"{error}, and cannot be renamed ({reason_of(refused)})") from refused
        LOGGER.warning("perfkit: %s; it is kept as %s and made again", error, aside.name)
        return None


def _checksum(data: Mapping[str, Any]) -> str | None:
    """Return the checksum of data from TOML, None where JSON cannot hold it, such as a date."""
    try:
        return short_digest(data, 64)
    except TypeError:
        return None


def calibrate(
    records: Sequence[Record], ceilings: Mapping[str, float], before: Calibration | None
) -> Calibration:
    """Make the calibration of a machine.

    Parameters
    ----------
    records
        Records of one model and preset, see
        :class:`perfkit.capacity.laws.measure.FitMeasurement`. Sizes above the smallest are further
        points.
    ceilings
        Rates of the machine, by name.
    before
        An earlier calibration, None for none. Its trials of other models and presets are kept if
        it was measured on the same machine with the same packages.

    Raises
    ------
    UserError
        No trial succeeded.
    """
    measured = [
        (record, one)
        for record in records
        if (one := observe(record)) is not None and has_part_times(one) and one.steady_s is not None
    ]
    if not measured:
        if records and records[-1].outcome is Outcome.OK:
            raise UserError("the trials of the calibration have no traced parts: trace a pass")
        reason = f": {records[-1].outcome} ({records[-1].reason})" if records else ""
        raise UserError(f"the trial of the calibration failed{reason}")
    cpus = max(one.cpus for _, one in measured)
    everywhere = [(record, one) for record, one in measured if one.cpus == cpus]
    smallest = min(record.workload.size for record, _ in everywhere)
    full = [(each, one) for each, one in everywhere if each.workload.size == smallest]
    record, one = full[-1]
    same = [each for each in records if each.workload.digest == record.workload.digest]
    running_cpus, starting_cpus = cpu_laws(same)
    trial = CalibrationTrial(
        model=record.workload.model,
        settings=record.configuration.settings,
        features=dict(one.features),
        counts=one.counts,
        cpus=cpus,
        running_s=statistics.median(each.steady_s or 0.0 for _, each in full),
        starting_s=statistics.median(
            sum(each.seconds.get(name, 0.0) for name in STARTUP_STAGES) for _, each in full
        ),
        running_cpus=running_cpus,
        starting_cpus=starting_cpus,
        contention=contention(same),
        package=record.model_package,
        part_s=_part_s(one),
        running_error=median_uncertainty([s.wall_s for each, _ in full for s in each.steady]),
        further=tuple(
            CalibrationPoint(features=dict(point.features), part_s=_part_s(point))
            for each, point in everywhere
            if each.workload.size > smallest
        ),
    )
    calibration = Calibration(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=record.machine.known(),
        versions={key: value for key, value in record.versions.items() if value is not None},
        ceilings=dict(ceilings),
        trials=(trial,),
    )
    if before is None or not calibration.measured_like(before):
        return calibration
    others = [
        other
        for other in before.trials
        if (other.model, other.settings) != (trial.model, trial.settings)
    ]
    return calibration.model_copy(update={"trials": (*others, trial)})


def _part_s(observation: Observation) -> dict[str, float]:
    names = (*observation.counts, REST)
    return {name: observation.seconds[name] for name in names if name in observation.seconds}
