"""All laws of one model under one preset on one machine: fitted, saved, read, asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from perfkit.capacity.bounds import (
    Bytes,
    Count,
    Cpus,
    Finite,
    NonNegative,
    Positive,
    Real,
)
from perfkit.capacity.laws.law import Law, ensure_covariance, fit_law
from perfkit.capacity.laws.observation import Observation, observations, whole
from perfkit.capacity.laws.parallel import CpuLaw
from perfkit.capacity.laws.prediction import HeldOut, Range, range_around
from perfkit.capacity.laws.terms import STAGES, size_feature, term_features, time_terms
from perfkit.capacity.tables import first_sentence
from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.models import get_model, model_names
from perfkit.models.base import REST
from perfkit.models.costs import CHECK, WARM_UP, Features
from perfkit.records.schema import Record
from perfkit.units import cut

FIT_VERSION = 1
"""Raised with each change of the file's layout."""

MOST_LAWS = 64

MOST_CONTENTION = 1e3

ONCE = (*STAGES, WARM_UP, CHECK)
"""What a process does once, whatever the fidelity."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def ensure_model(model: str, settings: Mapping[str, str]) -> None:
    """Refuse a model that does not exist, and impossible values of its own knobs.

    Raises
    ------
    ValueError
        Names what is wrong.
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
    """All features of a model."""
    return {feature.name for feature in get_model(model).costs.features}


class Compiled(_Frozen):
    """The compiler's count of bytes at one point; exact, where the law only interpolates."""

    features: dict[str, Finite]
    compiled_bytes: Bytes


class ModelFit(_Frozen):
    """The laws of one model and preset; see :func:`fit_records`.

    Attributes
    ----------
    settings
        Of the configuration that was measured: the preset.
    cpus
        That the fitted trials were allowed.
    laws
        Part or stage to its law of seconds a run.
    covariance
        Of relative residuals between the laws, in their order.
    freedom
        Degrees of freedom of the residuals.
    compiled, overhead
        Laws of the compiler's bytes and of the resident bytes beside them.
    output_bytes
        The law of one call's results, which are kept for every further call.
    compiled_exactly
        Points at which the compiler was asked.
    running_cpus, starting_cpus
        How passes and start follow the CPUs; None where one CPU count was measured.
    contention
        How much slower an instance is while others fill the machine, None if not measured.
    cached_compile_s
        Of a program that comes from the compilation cache, None where it was not measured.
    ceilings
        Rates of the machine (matrix product, copy), by name; empty where they are not known.
    held_out
        Predictions of runs that were kept out of the fit.
    """

    version: Annotated[int, Field(strict=True, ge=1, le=FIT_VERSION)] = FIT_VERSION
    model: str
    settings: dict[str, str]
    label: str
    created: str
    machine: dict[str, JsonValue]
    versions: dict[str, str | None]
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
    compiled_exactly: tuple[Compiled, ...]
    running_cpus: CpuLaw | None = None
    starting_cpus: CpuLaw | None = None
    contention: Annotated[NonNegative, Field(le=MOST_CONTENTION)] | None = None
    cached_compile_s: NonNegative | None = None
    ceilings: dict[str, Positive] = {}
    notices: tuple[str, ...] = ()
    held_out: tuple[HeldOut, ...] = ()

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
                    f"{place} depends on {cut(unknown)!r}, which is no feature of {self.model}"
                )
        return self

    def refusal(self, features: Features) -> str | None:
        """Why the fit says nothing about ``features``, or None."""
        known = get_model(self.model).costs.features
        refusals = (law.refusal(features, known) for law in self.laws.values())
        return next((refusal for refusal in refusals if refusal is not None), None)

    def seconds(self, features: Features, counts: Mapping[str, int]) -> dict[str, float]:
        """Seconds of each part and stage at ``features``.

        Parameters
        ----------
        counts
            How often each part runs; what is not named runs once.
        """
        return {name: law.value(features) * counts.get(name, 1) for name, law in self.laws.items()}

    def time_range(self, features: Features, seconds: Mapping[str, float]) -> Range:
        """The sum of ``seconds`` (from :meth:`seconds`, or some of them) with its interval.

        The relative errors of the parts go together as they did in the trials; each is widened
        by its law's leverage at ``features``.

        Raises
        ------
        UserError
            The laws give no time at all.
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
        """Peak resident bytes of a run that keeps the results of ``calls`` calls.

        Raises
        ------
        UserError
            The laws give no memory at all.
        """
        exact = next(
            (each for each in self.compiled_exactly if each.features == dict(features)), None
        )
        compiled = self.compiled.value(features) if exact is None else exact.compiled_bytes
        beside = self.overhead.value(features)
        # What the compiler counted is no measurement: only its law can be wrong, not its count.
        unsure = 0.0 if exact is not None else self.compiled.deviation(features)
        deviation = math.hypot(compiled * unsure, beside * self.overhead.deviation(features))
        total = compiled + beside + self.output_bytes.value(features) * (calls - 1)
        if total <= 0:
            raise UserError(f"the laws of {self.label} give no memory: measure it again")
        return range_around(total, deviation / total, self.overhead.freedom)

    def save(self, path: Path) -> None:
        """Leave the fit in a JSON file, replaced if it exists.

        Raises
        ------
        UserError
            It cannot be written.
        """
        write_whole(path, self.model_dump_json(indent=1) + "\n", "fit")

    @classmethod
    def load(cls, path: Path) -> Self:
        """The fit in a JSON file.

        Raises
        ------
        UserError
            The file cannot be read, is no fit, or is newer than this perfkit.
        """
        try:
            text = path.read_bytes()
        except OSError as error:
            raise UserError(f"the fit {path} cannot be read ({error.strerror})") from error
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
                f"{path} is no fit of 'perfkit plan fit': {first_sentence(error)}"
            ) from error


class _Version(BaseModel):
    """What is read first: the rest may look otherwise in a later version."""

    version: Annotated[int, Field(strict=True)] = FIT_VERSION


def fit_records(records: Sequence[Record]) -> ModelFit:
    """Fit all laws to the records of one model and one configuration.

    Parameters
    ----------
    records
        Trials with traced parts at several sizes, all at the same number of CPUs, and trials
        that were only compiled.

    Raises
    ------
    UserError
        The records are of several models or configurations, or too few or too alike to fit.
    """
    _ensure_one_kind(records)
    first = records[0]
    model = first.workload.model
    observed = observations(records)
    measured = [one for one in observed if whole(one)]
    costs = get_model(model).costs
    size = size_feature(model)
    sizes = sorted({one.features[size] for one in measured})
    if len(sizes) < 2:
        told = "none was" if not sizes else f"only {sizes[0]:g} was"
        raise UserError(
            "a law needs several sizes with traced parts, "
            f"{told} measured ('perfkit plan fit --sizes A,B,C,D,E' measures them)"
        )
    laws = _time_laws(model, measured)
    covariance = _covariance(laws, len(measured))
    bytes_terms = costs.terms.compiled_bytes
    compiled = _bytes_law("memory", bytes_terms, observed, "compiled_bytes", size)
    output = _bytes_law("outputs", bytes_terms, observed, "output_bytes", size)
    overhead = fit_law(
        "memory overhead",
        costs.terms.overhead_bytes,
        [one.features for one in measured],
        [float((one.peak_rss_bytes or 0) - one.compiled_bytes) for one in measured],
        size=size,
    )
    return ModelFit(
        model=model,
        settings=first.configuration.settings,
        label=first.configuration.label,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=first.machine.as_dict(),
        versions=first.versions,
        cpus=measured[0].cpus,
        least_size=sizes[0],
        largest_size=sizes[-1],
        points=len(measured),
        laws=laws,
        covariance=covariance,
        freedom=max(1, len(measured) - max(len(law.terms) for law in laws.values())),
        compiled=compiled,
        overhead=overhead,
        output_bytes=output,
        compiled_exactly=tuple(
            Compiled(features=dict(one.features), compiled_bytes=one.compiled_bytes)
            for one in {tuple(sorted(o.features.items())): o for o in observed}.values()
        ),
        notices=_notices(records),
    )


def _ensure_one_kind(records: Sequence[Record]) -> None:
    if not records:
        raise UserError("there are no records to fit")
    for record in records:
        get_model(record.workload.model).costs.refuse_unplanned(record.workload.source)
    for what, found in (
        ("models", {record.workload.model for record in records}),
        ("configurations", {record.configuration.label for record in records}),
        ("machines", {str(record.machine.digest) for record in records}),
    ):
        if len(found) > 1:
            raise UserError(
                f"the records are of several {what} ({', '.join(sorted(found))}): a fit is of one"
            )


def _notices(records: Sequence[Record]) -> tuple[str, ...]:
    """What holds for all records, and how many were measured in bad company."""
    common = [each for each in records[0].notices if all(each in r.notices for r in records)]
    warned = [record for record in records if record.warnings]
    if warned:
        common.append(
            f"{len(warned)} of the fit's {len(records)} trials carry a warning "
            f"(the first: {warned[0].warnings[0]}): do not trust their times"
        )
    return tuple(common)


def _time_laws(model: str, measured: Sequence[Observation]) -> dict[str, Law]:
    names = dict.fromkeys(name for one in measured for name in (*one.counts, REST, *ONCE))
    laws = {}
    for name in names:
        having = [one for one in measured if name in one.seconds]
        if having:
            laws[name] = fit_law(
                name,
                time_terms(get_model(model).costs, name),
                [one.features for one in having],
                [one.seconds[name] for one in having],
                size=size_feature(model),
            )
    return laws


def _bytes_law(
    quantity: str, terms: Sequence[str], observed: Sequence[Observation], attribute: str, size: str
) -> Law:
    return fit_law(
        quantity,
        terms,
        [one.features for one in observed],
        [float(getattr(one, attribute)) for one in observed],
        size=size,
    )


def _covariance(laws: Mapping[str, Law], points: int) -> tuple[tuple[float, ...], ...]:
    """Of relative residuals, each law's inflated for the terms that were fitted to them."""
    columns = []
    for law in laws.values():
        residuals = np.zeros(points)
        residuals[: len(law.residuals)] = law.residuals
        columns.append(residuals / math.sqrt(max(1, law.freedom)))
    matrix = np.array(columns)
    return tuple(tuple(float(value) for value in row) for row in matrix @ matrix.T)
