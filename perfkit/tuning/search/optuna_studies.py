"""Optuna without its messages, and configurations as Optuna's trials."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from perfkit.tuning.search.settings import Settings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna from logging studies and from warning of its experimental options.

    The verbosity is restored after that: a notebook may use Optuna for other work.
    """
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def distributions(values: Mapping[str, Sequence[str]]) -> dict[str, BaseDistribution]:
    """A categorical distribution for each knob.

    Parameters
    ----------
    values
        Values of each knob, the default first.
    """
    from optuna.distributions import CategoricalDistribution

    return {name: CategoricalDistribution(tuple(listed)) for name, listed in values.items()}


def finished_trial(
    settings: Settings, values: Mapping[str, Sequence[str]], log_gain: float
) -> FrozenTrial:
    """A configuration as a completed trial, whose value is to be minimised.

    Parameters
    ----------
    settings
        Settings of the configuration.
    values
        Values of each knob, the default first.
    log_gain
        Logarithm of ``stock / configuration``.
    """
    import optuna

    chosen = {name: listed[0] for name, listed in values.items()} | dict(settings)
    return optuna.trial.create_trial(
        params=chosen, distributions=distributions(values), value=-log_gain
    )
