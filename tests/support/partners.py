"""A sweep of 24 configurations, written by hand, with an optimum of two partners."""

from __future__ import annotations

import itertools

from benchmarks.recorded import RecordedConfiguration
from perfkit.knobs.configuration import Catalogue
from perfkit.tuning.search.strategy import Change, SearchSpace
from tests.support.replay import MODEL, disagreeing
from tests.support.tiny_sweep import entry, tiny_sweep

CATALOGUE = Catalogue(MODEL.knobs)

CHANGES: tuple[Change, ...] = (
    (("precision", "bfloat16"),),
    (("xla_cpu_use_onednn", "true"),),
    (("allocator", "glibc-keep"),),
    (("allocator", "glibc-hugepages"),),
    (("parameters", "constants"),),
)

SPACE = SearchSpace(CATALOGUE, CHANGES)
"""2 x 2 x 3 x 2 = 24 configurations."""

OPTIMUM = {
    "precision": "bfloat16",
    "xla_cpu_use_onednn": "true",
    "allocator": "glibc-hugepages",
}
"""30 s x 0.5 x 0.6 = 9 s. Either of its last two settings alone makes a pass slower."""


OVER_THE_SPACE = ("screen+tpe", "gp", "grid", "random")
"""Strategies that combine values of the whole space."""


def _entry(settings: dict[str, str]) -> RecordedConfiguration:
    """Two settings gain only together; baked-in parameters are fast and wrong."""
    seconds = 30.0
    if "precision" in settings:
        seconds *= 0.5
    onednn = "xla_cpu_use_onednn" in settings
    hugepages = settings.get("allocator") == "glibc-hugepages"
    if onednn and hugepages:
        seconds *= 0.6
    elif onednn or hugepages:
        seconds *= 1.1
    if "parameters" in settings:
        seconds *= 0.3
    made = entry(settings, (seconds, seconds), (30.0, 30.0))
    return disagreeing(made) if "parameters" in settings else made


def _combinations() -> list[dict[str, str]]:
    """The settings of all configurations of the space, stock first."""
    values = ([(name, value) for value in SPACE.values[name]] for name in SPACE.values)
    return [
        {name: value for name, value in pairs if value != CATALOGUE.knob(name).default}
        for pairs in itertools.product(*values)
    ]


PARTNERS = tiny_sweep([_entry(settings) for settings in _combinations()])
