"""From records of trials to the laws of a model: least squares for every part and stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from perfkit.capacity.laws.fit import ONCE, Compiled, ModelFit
from perfkit.capacity.laws.law import Law, fit_law
from perfkit.capacity.laws.observation import Observation, has_part_times, observations
from perfkit.capacity.laws.shallow import corrected
from perfkit.capacity.laws.terms import size_feature, time_terms
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.models.base import REST
from perfkit.packages import measured_package
from perfkit.records.schema import Record


def fit_records(records: Sequence[Record]) -> ModelFit:
    """Fit all laws to the records of one model and configuration on one machine.

    Parameters
    ----------
    records
        Trials with traced parts at several sizes, all on the same number of CPUs, and trials that
        only compiled. Trials of the shallow network count for times and for the memory beyond the
        compiler's count, see :mod:`perfkit.capacity.laws.shallow`.

    Raises
    ------
    UserError
        The records are of several models, configurations, machines, packages or versions of jaxlib,
        or too few or too similar for the laws.
    """
    _ensure_comparable(records)
    first = records[0]
    model = first.workload.model
    seen = observations(records)
    observed = [one for one in seen if not one.shallow]
    timed = [one for one in observed if has_part_times(one)]
    shallow = corrected(timed, [one for one in seen if one.shallow])
    measured = [*timed, *shallow.observations]
    with_memory = [*timed, *shallow.with_memory]
    costs = get_model(model).costs
    size = size_feature(model)
    sizes = sorted({one.features[size] for one in measured})
    if len(sizes) < 2:
        found = f"only {sizes[0]:g} was" if sizes else "none was"
        raise UserError(
            "a law needs several sizes with traced parts, "
            f"{found} measured ('perfkit plan fit --sizes A,B,C,D,E' measures them)"
        )
    laws = _time_laws(model, measured)
    covariance = _covariance(laws, len(measured))
    bytes_terms = costs.terms.compiled_bytes
    compiled = _bytes_law("memory", bytes_terms, observed, "compiled_bytes", size)
    output = _bytes_law("outputs", bytes_terms, observed, "output_bytes", size)
    overhead = fit_law(
        "memory overhead",
        costs.terms.overhead_bytes,
        [one.features for one in with_memory],
        [one.overhead_bytes for one in with_memory],
        size=size,
    )
    return ModelFit(
        model=model,
        settings=first.configuration.settings,
        label=first.configuration.label,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=first.machine.model_dump(),
        versions=first.versions,
        package=first.model_package,
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
        kept_results=1,
        compiled_exactly=tuple(
            Compiled(features=dict(one.features), compiled_bytes=one.compiled_bytes)
            for one in {tuple(sorted(o.features.items())): o for o in observed}.values()
        ),
        memory_measured_to=max((one.features[size] for one in timed), default=None),
        shallow_sizes=tuple(sorted({one.features[size] for one in shallow.observations})),
        shallow_corrections=shallow.factors,
        shallow_overhead_bytes=shallow.overhead_bytes,
        notices=_notices(records),
    )


def _ensure_comparable(records: Sequence[Record]) -> None:
    if not records:
        raise UserError("there are no records to fit")
    for record in records:
        get_model(record.workload.model).costs.refuse_unplanned(record.workload.source)
    for what, found in (
        ("models", {record.workload.model for record in records}),
        ("configurations", {record.configuration.label for record in records}),
        ("machines", {str(record.machine.digest) for record in records}),
        ("packages", {_package_text(record) for record in records}),
        ("versions of jaxlib", {str(record.versions.get("jaxlib")) for record in records}),
    ):
        if len(found) > 1:
            raise UserError(
                f"the records are of several {what} ({', '.join(sorted(found))}): a fit needs "
                "records of one"
            )


def _package_text(record: Record) -> str:
    """The package of a record's model; the versions alone show it in older records."""
    name = get_model(record.workload.model).package()
    package = record.model_package or measured_package(name, record.versions)
    return "unknown" if package is None else package.text


def _notices(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the notices of all records, and how many records carry a warning."""
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
    """Return the covariance of relative residuals, corrected for each law's fitted terms."""
    columns = []
    for law in laws.values():
        residuals = np.zeros(points)
        residuals[: len(law.residuals)] = law.residuals
        columns.append(residuals / math.sqrt(max(1, law.freedom)))
    matrix = np.array(columns)
    return tuple(tuple(float(value) for value in row) for row in matrix @ matrix.T)
