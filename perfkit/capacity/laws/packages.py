"""The packages that laws hold for: those that their trials ran with."""

from __future__ import annotations

from collections.abc import Mapping

from perfkit.capacity.laws.fit import ModelFit
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.packages import Package, provider_of
from perfkit.presets.differences import JAXLIB, Origin, environment_differences


def ensure_same_package(fit: ModelFit, here: Package | None) -> None:
    """Refuse a fit of another distribution than the one that provides the model here.

    Two distributions of one model differ in time and, by gigabytes, in memory. A fit of unknown
    package and an environment without the model are accepted.

    Parameters
    ----------
    fit
        The fit.
    here
        The package that provides its model in the environment that will run the jobs.

    Raises
    ------
    UserError
        The distributions differ.
    """
    measured = fit.model_package
    if measured is None or here is None or measured.distribution == here.distribution:
        return
    raise UserError(
        f"the fit of {fit.model} was measured with {measured.text}, but {here.text} would run the "
        "jobs, whose time and memory differ: repeat 'perfkit plan fit' here"
    )


def fit_notices(
    fit: ModelFit, here: Package | None, versions: Mapping[str, str | None]
) -> list[str]:
    """What a reader of a plan must know of the packages of a fit.

    Parameters
    ----------
    fit
        The fit.
    here
        The package that provides its model in the environment that will run the jobs; None if there
        is none.
    versions
        Versions of installed distributions, by name.

    Returns
    -------
    list of str
        A sentence if versions differ, or if there is nothing to compare with.
    """
    measured = fit.model_package
    if measured is None:
        return []
    if here is None:
        return [
            f"the fit of {fit.model} holds for {measured.text}; no package of this model is "
            "installed here, so that jobs of another package may need other memory and time"
        ]
    origin = Origin(f"the fit of {fit.model}", measured, fit.versions.get(JAXLIB))
    return environment_differences([origin], versions, here)


def package_here(fit: ModelFit) -> Package | None:
    """The package that provides the model of a fit in this environment; None if there is none."""
    return provider_of(get_model(fit.model).package())
