"""Which implementation of a model a fit or a calibration may be measured with."""

from __future__ import annotations

from collections.abc import Mapping

from perfkit.errors import UserError
from perfkit.models.gencast.inputs.sources import OWN


def ensure_planned_engine(options: Mapping[str, object]) -> None:
    """Refuse to measure another implementation than the one whose calls a plan counts.

    Parameters
    ----------
    options
        Of the input, as in the source of a workload.

    Raises
    ------
    UserError
        They ask for another one, which calls its parts another number of times.
    """
    engine = options.get("engine", OWN)
    if engine != OWN:
        raise UserError(
            f"plans count the calls of perfkit's own implementation, not those of {engine!r}: "
            "measure without --engine"
        )
