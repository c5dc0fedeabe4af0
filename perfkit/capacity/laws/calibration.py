"""How fast a machine is beside the one that laws were fitted on, from a few minutes of it."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from perfkit.capacity.bounds import Count, Cpus, Finite, NonNegative, Positive
from perfkit.capacity.laws.assemble import contention, cpu_laws
from perfkit.capacity.laws.fit import (
    MOST_CONTENTION,
    ONCE,
    ModelFit,
    ensure_model,
    feature_names,
)
from perfkit.capacity.laws.observation import observe, whole
from perfkit.capacity.laws.parallel import CpuLaw
from perfkit.capacity.laws.terms import STAGES
from perfkit.capacity.tables import first_sentence, read_toml
from perfkit.errors import UserError
from perfkit.files import reason_of, short_digest, write_whole
from perfkit.records.schema import Record

LOGGER = logging.getLogger("perfkit.capacity.laws.calibration")
"""Says in one line, a warning, that a file cannot be used and is made again."""

CALIBRATION_VERSION = 1

CHECKSUM = "checksum"
"""Key of a saved calibration's checksum; files of older versions lack it."""


OWN_VERSIONS = ("perfkit", "perfkit_commit")
"""Versions that do not change what a trial takes."""

MOST_FACTOR = 1e4
"""Between two machines, either way."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CalibrationTrial(_Frozen):
    """One small real trial: what it was, and what it took.

    Attributes
    ----------
    running_s
        Median steady pass.
    starting_s
        Import to compilation.
    """

    model: str
    settings: dict[str, str]
    features: dict[str, Finite]
    counts: dict[str, Count]
    cpus: Cpus
    running_s: Positive
    starting_s: Positive
    running_cpus: CpuLaw | None = None
    starting_cpus: CpuLaw | None = None
    contention: Annotated[NonNegative, Field(le=MOST_CONTENTION)] | None = None

    @model_validator(mode="after")
    def _has_its_features(self) -> Self:
        ensure_model(self.model, self.settings)
        expected = feature_names(self.model)
        if self.features.keys() != expected:
            raise ValueError(
                f"features are not those of {self.model}: {', '.join(sorted(expected))}"
            )
        return self


class Factor(_Frozen):
    """Time there over time on the fit's machine, each on all CPUs that were measured.

    Attributes
    ----------
    spread
        By how much the machine's ceilings (matrix product, copy) would put it otherwise: what the
        small trial says need not hold for a large one, which is more of the one or the other.
    """

    running: float
    starting: float
    spread: float


class Calibration(_Frozen):
    """What ``perfkit calibrate`` found on a machine."""

    version: Annotated[int, Field(strict=True, ge=1, le=CALIBRATION_VERSION)] = CALIBRATION_VERSION
    created: str
    machine: dict[str, JsonValue]
    versions: dict[str, str]
    ceilings: dict[str, Positive]
    trials: tuple[CalibrationTrial, ...]

    def trial_for(self, fit: ModelFit) -> CalibrationTrial | None:
        """The trial of the fit's model under its preset, else of its model."""
        own = [trial for trial in self.trials if trial.model == fit.model]
        alike = [trial for trial in own if trial.settings == fit.settings]
        return next(iter([*alike, *own]), None)

    def factor(self, fit: ModelFit) -> Factor:
        """How the machine compares with the fit's.

        Raises
        ------
        UserError
            The fit's model was not calibrated, or the two differ by more than any two machines.
        """
        trial = self.trial_for(fit)
        if trial is None:
            raise UserError(
                f"the calibration of {self.machine.get('host')} has no trial of {fit.model}: "
                f"run 'perfkit calibrate --model {fit.model}' there"
            )
        there = fit.seconds(trial.features, trial.counts)
        running = self._ratio(
            trial.running_s, sum(s for name, s in there.items() if name not in ONCE), fit
        )
        starting = self._ratio(
            trial.starting_s, sum(s for name, s in there.items() if name in STAGES), fit
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
        """Whether two calibrations are of one machine and one set of packages."""
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
        """Leave the calibration in a TOML file, replaced if it exists.

        Raises
        ------
        UserError
            It cannot be written.
        """
        data = self.model_dump(exclude_none=True)
        write_whole(path, tomli_w.dumps({CHECKSUM: short_digest(data, 64), **data}), "calibration")

    @classmethod
    def load(cls, path: Path) -> Self:
        """The calibration in a TOML file.

        Raises
        ------
        UserError
            The file cannot be read, is no calibration, or was changed since it was written.
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
                f"{path} is no calibration of 'perfkit calibrate': {first_sentence(error)}"
            ) from error


def earlier_calibration(path: Path) -> Calibration | None:
    """The calibration that a file holds, None where there is none to use.

    A file that cannot be used is kept under another name, and a line says why.

    Raises
    ------
    UserError
        A file that cannot be used cannot be renamed either.
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
    """The checksum of what TOML holds; None for what JSON cannot hold, such as a date."""
    try:
        return short_digest(data, 64)
    except TypeError:
        return None


def calibrate(
    records: Sequence[Record], ceilings: Mapping[str, float], before: Calibration | None
) -> Calibration:
    """The calibration that a study's records support.

    Parameters
    ----------
    records
        Of one model and preset on one workload, see
        :class:`perfkit.capacity.laws.measure.FitMeasurement`.
    ceilings
        Rates of the machine, by name.
    before
        An earlier calibration. Its trials of other models and presets are kept where it was
        measured on the same machine with the same packages.

    Raises
    ------
    UserError
        The trial did not end well.
    """
    measured = [
        (record, one)
        for record in records
        if (one := observe(record)) is not None and whole(one) and one.steady_s is not None
    ]
    if not measured:
        told = f": {records[-1].outcome} ({records[-1].reason})" if records else ""
        raise UserError(f"the calibration's trial did not end well{told}")
    cpus = max(one.cpus for _, one in measured)
    full = [(record, one) for record, one in measured if one.cpus == cpus]
    record, one = full[-1]
    running_cpus, starting_cpus = cpu_laws(records)
    trial = CalibrationTrial(
        model=record.workload.model,
        settings=record.configuration.settings,
        features=dict(one.features),
        counts=one.counts,
        cpus=cpus,
        running_s=statistics.median(each.steady_s or 0.0 for _, each in full),
        starting_s=statistics.median(
            sum(each.seconds.get(name, 0.0) for name in STAGES) for _, each in full
        ),
        running_cpus=running_cpus,
        starting_cpus=starting_cpus,
        contention=contention(records),
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
