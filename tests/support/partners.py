"""A search space in which two settings gain only together."""

from __future__ import annotations

from perfkit.knobs.configuration import Catalogue
from perfkit.models.af3.model import AlphaFold3
from perfkit.tuning.search.strategy import Change, SearchSpace

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
