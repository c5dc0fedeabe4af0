"""Terms of laws: products of powers of a model's features."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from perfkit.models import get_model
from perfkit.models.costs import CONSTANT, CostModel, Features
from perfkit.models.workload import Workload
from perfkit.records.schema import WorkloadRecord
from perfkit.records.stages import StageName

CONSTANT_STAGES = (StageName.IMPORT, StageName.TRACE)
"""Stages that take equally long at every size, unless a model says otherwise."""

_FACTOR = re.compile(r"([a-z][a-z0-9_]*)(?:\^(\d(?:\.\d{1,3})?))?", re.ASCII)


def time_terms(costs: CostModel, quantity: str) -> tuple[str, ...]:
    """Return the terms that the time of a part or stage may have.

    Parameters
    ----------
    costs
        Cost model.
    quantity
        Name of the part or stage.
    """
    own = costs.terms.time.get(quantity)
    if own is not None:
        return own
    return (CONSTANT,) if quantity in CONSTANT_STAGES else costs.terms.other_time


def term_value(term: str, features: Features) -> float:
    """Return the value of a product of powers, e.g. ``s*n^2``.

    Raises
    ------
    KeyError
        The term names a feature that is not in ``features``.
    """
    if term == CONSTANT:
        return 1.0
    factors = (factor.partition("^") for factor in term.split("*"))
    return math.prod(float(features[name] ** float(power or 1)) for name, _, power in factors)


def is_term(text: str) -> bool:
    """Return whether :func:`term_value` accepts the text."""
    return text == CONSTANT or all(_FACTOR.fullmatch(factor) for factor in text.split("*"))


def term_features(term: str) -> set[str]:
    """Return the features that a term depends on."""
    return set() if term == CONSTANT else {factor.partition("^")[0] for factor in term.split("*")}


def size_feature(model: str) -> str:
    """Return the feature that is the size of a model."""
    return get_model(model).costs.features[0].name


def features_of(
    workload: Workload | WorkloadRecord, settings: Mapping[str, str]
) -> dict[str, float]:
    """Return the features of a workload.

    Parameters
    ----------
    workload
        The workload, or the record of one.
    settings
        Settings of the configuration. Those of other knobs than the model's are ignored.
    """
    costs = get_model(workload.model).costs
    return costs.features_at(workload.size, workload.source, workload.fidelity, settings)
