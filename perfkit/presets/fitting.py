"""The values of a preset that a machine can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from perfkit.knobs.availability import why_not_here
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.knob import Host


@dataclass(frozen=True)
class Fitted:
    """A preset's values on a machine.

    Attributes
    ----------
    configuration
        The values that can be set and can make a difference.
    dropped
        Setting, written ``NAME=VALUE`` -> why it is left out.
    """

    configuration: Configuration
    dropped: Mapping[str, str]


def fit_to_host(settings: Mapping[str, str], catalogue: Catalogue, host: Host) -> Fitted:
    """Keep the values of a preset that a machine can use.

    Parameters
    ----------
    settings
        Knob -> value.
    catalogue
        The knobs that may be set.
    host
        The machine.
    """
    kept: dict[str, str] = {}
    dropped: dict[str, str] = {}
    for name, value in settings.items():
        knob = catalogue.knob(name)
        reason = why_not_here(knob, knob.canonical(value), host)
        if reason is None:
            kept[name] = value
        else:
            dropped[f"{name}={value}"] = reason
    return Fitted(catalogue.configuration(kept), dropped)
