"""Production times and limits of agreement of a study that is read from its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfkit.answers.agreement import Tolerance
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.models.workload import Workload
from perfkit.records.roles import Role
from perfkit.records.schema import Record
from perfkit.tuning.choice.extrapolate import Extrapolation, extrapolate
from perfkit.tuning.choice.recommend import Recommendation


def stored_extrapolations(
    records: Sequence[Record], recommendation: Recommendation
) -> tuple[Extrapolation, ...]:
    """Production times of stock and of the recommended configuration, from records alone.

    The input is not read again, so that a prediction has the number of seeds that its model
    assumes for an input that is not known.

    Parameters
    ----------
    records
        All records of the study, including those of parts and of longer runs.
    recommendation
        Recommendation from the same records.

    Returns
    -------
    tuple of Extrapolation
        Empty where no parts were measured, or where the model is not installed here.
    """
    traced = [record for record in records if record.role is Role.PARTS]
    if not traced:
        return ()
    try:
        model = get_model(traced[-1].workload.model)
    except UserError:
        return ()
    production = dict(model.costs.production)
    workload = Workload.from_dict(traced[-1].workload.model_dump())
    counts = model.part_counts(production, workload)
    digests = dict.fromkeys(
        row.digest for row in (recommendation.stock, recommendation.best) if row is not None
    )
    found = (extrapolate(records, digest, production, counts) for digest in digests)
    return tuple(each for each in found if each is not None)


def tolerances_of(model: str) -> Mapping[str, Tolerance]:
    """Limits of the compared quantities; empty for a model that is not installed here."""
    try:
        return get_model(model).tolerances
    except UserError:
        return {}
