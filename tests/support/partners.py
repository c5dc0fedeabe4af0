"""A search space in which two settings gain only together, and a sweep of it written by hand."""

from __future__ import annotations

import itertools

from benchmarks.recorded import RecordedConfiguration, RecordedSweep
from perfkit.knobs.configuration import Catalogue
from perfkit.models.af3.model import AlphaFold3
from perfkit.tuning.search.strategy import Change, SearchSpace
from tests.support.replay import WORKLOAD, disagreeing
from tests.support.tiny_sweep import entry, tiny_sweep

MODEL = AlphaFold3()
CATALOGUE = Catalogue(MODEL.knobs)
CHANGES: tuple[Change, ...] = (
    (("bucket", "exact"),),
    (("xla_cpu_use_onednn", "true"),),
    (("allocator", "glibc-keep"),),
    (("allocator", "glibc-hugepages"),),
    (("parameters", "constants"),),
)
SPACE = SearchSpace(CATALOGUE, CHANGES)
"""2 x 2 x 3 x 2 = 24 configurations."""

OPTIMUM = {
    "bucket": "exact",
    "xla_cpu_use_onednn": "true",
    "allocator": "glibc-hugepages",
}
"""30 s x 0.5 x 0.6 = 9 s. Either of its last two settings alone makes a pass slower."""

OVER_THE_SPACE = ("screen+tpe", "gp", "grid", "random")


def _entry(settings: dict[str, str]) -> RecordedConfiguration:
    """The entry of a configuration. Baked-in parameters are fast and wrong."""
    seconds = 30.0
    if "bucket" in settings:
        seconds *= 0.5
    onednn = "xla_cpu_use_onednn" in settings
    hugepages = settings.get("allocator") == "glibc-hugepages"
    if onednn and hugepages:
        seconds *= 0.6
    elif onednn or hugepages:
        seconds *= 1.1
    if "parameters" in settings:
        return disagreeing(entry(settings, [0.3 * seconds] * 2, [30.0] * 2))
    return entry(settings, [seconds] * 2, [30.0] * 2)


def partners() -> RecordedSweep:
    """A sweep of the whole space, stock first; each pass takes as long as the settings say."""
    values = [[(name, value) for value in SPACE.values[name]] for name in SPACE.values]
    combinations = [CATALOGUE.configuration(dict(each)) for each in itertools.product(*values)]
    return tiny_sweep(
        [_entry(one.as_dict()) for one in combinations], WORKLOAD, {"diffusion_step": 4}
    )
