"""The fit of a model: all its laws under one preset on one machine, as saved in a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, Field, JsonValue, ValidationError, model_validator

from perfkit.capacity.bounds import (
    Bytes,
    Count,
    Cpus,
    FileData,
    Finite,
    NonNegative,
    Positive,
    Real,
)
from perfkit.capacity.laws.law import Law, ensure_covariance
from perfkit.capacity.laws.parallel import CpuLaw
from perfkit.capacity.laws.prediction import HeldOut, Range, range_around
from perfkit.capacity.laws.terms import term_features
from perfkit.capacity.tables import first_sentence
from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.input_files import read_bytes
from perfkit.models import get_model, model_names
from perfkit.models.costs import WARM_UP, Features
from perfkit.packages import Package, measured_package
from perfkit.records.settings import StoredSettings
from perfkit.records.stages import STARTUP_STAGES, StageName
from perfkit.units import cut

FIT_NAME = "fit.json"
"""File name of a fit in its folder."""

FIT_VERSION = 4
"""Version of the file's layout; version 2 added the model's package, version 3 the sizes that the
shallow network was measured at, version 4 lets the overhead grow with the results."""

PEAK_ERROR = 0.02
"""Relative standard deviation between the peaks of processes of one program. Allocators keep
different pages: peaks of equal processes at 192 and 256 tokens were up to 5 % apart."""

MOST_LAWS = 64

MOST_CONTENTION = 1e3

ONCE = (*STARTUP_STAGES, WARM_UP, StageName.CHECK)
"""Stages and costs that a process pays once, whatever the fidelity."""


def ensure_model(model: str, settings: Mapping[str, str]) -> None:
    """Check that a model exists and that settings of its own knobs are possible.

    Parameters
    ----------
    model
        Name of the model.
    settings
        Settings of a configuration; those of other knobs are not checked.

    Raises
    ------
    ValueError
        The model is unknown, or a value is impossible.
    """
    if model not in (names := model_names()):
        raise ValueError(f"the model is {cut(model)!r}, expected one of {', '.join(names)}")
    try:
        for knob in get_model(model).knobs:
            if knob.name in settings:
                knob.canonical(settings[knob.name])
    except UserError as error:
        raise ValueError(str(error)) from error


def feature_names(model: str) -> set[str]:
    """Return the names of all features of a model."""
    return {feature.name for feature in get_model(model).costs.features}


class Compiled(FileData):
    """The compiler's count of bytes at one point, which is exact where the law interpolates.

    Attributes
    ----------
    features
        Features of the point.
    compiled_bytes
        Temporary, argument and output bytes.
    """

    features: dict[str, Finite]
    compiled_bytes: Bytes


class ModelFit(FileData):
    """The laws of one model and preset; see :func:`perfkit.capacity.laws.fitting.fit_records`.

    Attributes
    ----------
    version
        Version of the file's layout.
    model
        Name of the model.
    settings
        Settings of the measured configuration: the preset.
    label
        Label of the preset.
    created
        Time of the fit, ISO 8601.
    machine
        Fingerprint of the machine.
    versions
        Versions of packages, by name.
    package
        The package whose code predicted; None in fits of version 1.
    cpus
        CPUs that the fitted trials were allowed.
    least_size, largest_size
        Range of the size feature that was fitted.
    points
        Number of fitted trials.
    laws
        Part or stage to the law of its seconds per run.
    covariance
        Covariance of relative residuals between the laws, in their order.
    freedom
        Degrees of freedom of the residuals.
    compiled
        Law of the bytes that the compiler counts.
    overhead
        Law of the resident bytes that the compiler does not count.
    output_bytes
        Law of the result bytes of a call.
    kept_results
        How many times the result bytes of a call are in memory in addition to the program and its
        overhead, see :attr:`perfkit.capacity.laws.observation.Observation.overhead_bytes`. Until
        version 3 they were part of the overhead.
    compiled_exactly
        Points at which the compiler's count is known.
    running_cpus, starting_cpus
        Laws of passes and of the start over CPUs, None where one CPU count was measured.
    contention
        Slow-down while other instances fill the machine, None if not measured.
    instance_cpus
        CPUs of each of the instances that a tuning found best for the preset; None if it measured
        none.
    cached_compile_s
        Seconds to load a program from the compilation cache, None if not measured.
    ceilings
        Rates of the machine (matrix product, copy) by name, empty where unknown.
    notices
        Facts that a reader of any prediction must know.
    held_out
        Predictions of runs that were left out of the fit.
    memory_measured_to
        Largest size whose peak memory was measured; None for :attr:`largest_size`.
    shallow_sizes
        Sizes whose times were predicted from passes of the shallow network.
    shallow_corrections
        Part to the factor that corrects these times, from sizes that were measured at both depths.
    shallow_overhead_bytes
        Bytes beyond the compiler's count that the full network takes and the shallow one does not,
        from the same sizes. None where there are none: then the law of overhead is that of the
        full network alone.
    """

    version: Annotated[int, Field(strict=True, ge=1, le=FIT_VERSION)] = FIT_VERSION
    model: str
    settings: StoredSettings
    label: str
    created: str
    machine: dict[str, JsonValue]
    versions: dict[str, str | None]
    package: Package | None = None
    cpus: Cpus
    least_size: Positive
    largest_size: Positive
    points: Count
    laws: Annotated[dict[str, Law], Field(min_length=1, max_length=MOST_LAWS)]
    covariance: tuple[tuple[Real, ...], ...]
    freedom: Annotated[Count, Field(ge=1)]
    compiled: Law
    overhead: Law
    output_bytes: Law
    kept_results: Count = 0
    compiled_exactly: tuple[Compiled, ...]
    running_cpus: CpuLaw | None = None
    starting_cpus: CpuLaw | None = None
    contention: Annotated[NonNegative, Field(le=MOST_CONTENTION)] | None = None
    instance_cpus: Cpus | None = None
    cached_compile_s: NonNegative | None = None
    ceilings: dict[str, Positive] = Field(default_factory=dict)
    notices: tuple[str, ...] = ()
    held_out: tuple[HeldOut, ...] = ()
    memory_measured_to: Positive | None = None
    shallow_sizes: tuple[Positive, ...] = ()
    shallow_corrections: dict[str, Positive] = Field(default_factory=dict)
    shallow_overhead_bytes: Real | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        ensure_model(self.model, self.settings)
        if self.least_size > self.largest_size:
            raise ValueError("least_size is above largest_size")
        ensure_covariance(self.covariance, len(self.laws), "covariance")
        named = {f"laws.{name}": law for name, law in self.laws.items()}
        own = {
            "compiled": self.compiled,
            "overhead": self.overhead,
            "output_bytes": self.output_bytes,
        }
        known = feature_names(self.model)
        for place, law in (named | own).items():
            features = set(law.fixed).union(*map(term_features, law.terms))
            unknown = min(features - known, default=None)
            if unknown is not None:
                raise ValueError(
                    f"{place} depends on {cut(unknown)!r}, which is not a feature of {self.model}"
                )
        return self

    @property
    def model_package(self) -> Package | None:
        """The package that the laws hold for; from :attr:`versions` in fits of version 1."""
        return self.package or measured_package(get_model(self.model).package(), self.versions)

    def refusal(self, features: Features) -> str | None:
        """Return why the fit does not hold at ``features``, None where it does."""
        known = get_model(self.model).costs.features
        refusals = (law.refusal(features, known) for law in self.laws.values())
        return next((refusal for refusal in refusals if refusal is not None), None)

    def seconds(self, features: Features, counts: Mapping[str, int]) -> dict[str, float]:
        """Return the seconds of each part and stage.

        Parameters
        ----------
        features
            Features of the prediction.
        counts
            Part to its number of runs; parts and stages without an entry run once.
        """
        return {name: law.value(features) * counts.get(name, 1) for name, law in self.laws.items()}

    def time_range(self, features: Features, seconds: Mapping[str, float]) -> Range:
        """Return the sum of seconds with its interval.

        The relative errors of the parts are correlated as in the trials. Each is widened by the
        leverage of its law.

        Parameters
        ----------
        features
            Features of the prediction.
        seconds
            Seconds from :meth:`seconds`, of all parts and stages or of some.

        Raises
        ------
        UserError
            The laws predict no time.
        """
        total = sum(seconds.values())
        if total <= 0:
            raise UserError(f"the laws of {self.label} give no time: measure it again")
        names = list(self.laws)
        shares = np.array([seconds.get(name, 0.0) for name in names]) / total
        widened = shares * np.sqrt([1 + law.leverage(features) for law in self.laws.values()])
        variance = float(widened @ np.array(self.covariance) @ widened)
        return range_around(total, math.sqrt(max(0.0, variance)), self.freedom)

    def memory_range(self, features: Features, calls: int) -> Range:
        """Return the peak resident bytes with their interval.

        Parameters
        ----------
        features
            Features of the prediction.
        calls
            Number of calls, whose results are all kept.

        Raises
        ------
        UserError
            The laws predict no memory.
        """
        exact = next(
            (each for each in self.compiled_exactly if each.features == dict(features)), None
        )
        compiled = self.compiled.value(features) if exact is None else exact.compiled_bytes
        overhead = self.overhead.value(features)
        # The compiler's count is exact; only its law can be wrong.
        error = 0.0 if exact is not None else self.compiled.deviation(features)
        kept = self.output_bytes.value(features) * (calls - 1 + self.kept_results)
        total = compiled + overhead + kept
        if total <= 0:
            raise UserError(f"the laws of {self.label} give no memory: measure it again")
        deviation = math.hypot(
            compiled * error, overhead * self.overhead.deviation(features), PEAK_ERROR * total
        )
        return range_around(total, deviation / total, self.overhead.freedom)

    def knows_compiled_bytes(self, features: Features) -> bool:
        """Return whether the compiler's count of bytes is known at ``features``."""
        return any(each.features == dict(features) for each in self.compiled_exactly)

    def save(self, path: Path) -> None:
        """Write the fit to a JSON file, which is replaced if it exists.

        Raises
        ------
        UserError
            The file cannot be written.
        """
        write_whole(path, self.model_dump_json(indent=1) + "\n", "fit")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a fit from a JSON file.

        Raises
        ------
        UserError
            The file cannot be read, is not a fit, or is newer than this perfkit.
        """
        text = read_bytes(path, "fit")
        try:
            version = _Version.model_validate_json(text).version
            if version > FIT_VERSION:
                raise UserError(
                    f"the fit {path} is of version {version}, this perfkit reads up to "
                    f"{FIT_VERSION}"
                )
            return cls.model_validate_json(text)
        except ValidationError as error:
            if error.errors()[0]["type"] == "json_invalid":
                raise UserError(f"the fit {path} is not JSON: {first_sentence(error)}") from error
            raise UserError(
                f"{path} is not a fit of 'perfkit plan fit': {first_sentence(error)}"
            ) from error


class _Version(BaseModel):
    """The version, which is read first: later versions may have another layout."""

    version: Annotated[int, Field(strict=True)] = FIT_VERSION
