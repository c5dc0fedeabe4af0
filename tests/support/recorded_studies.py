"""Studies on the recorded sweep, and what they have to find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfkit.knobs.configuration import Catalogue
from perfkit.models.base import Model
from perfkit.models.gencast.model import GenCast
from perfkit.records.store import Store
from perfkit.tuning.search.coordinate_ascent import CoordinateAscent
from perfkit.tuning.search.strategy import Change, SearchSpace
from perfkit.tuning.studies.study import Study
from perfkit.tuning.studies.study_plan import StudyPlan
from tests.support.replay import (
    MODEL,
    RECORDED,
    SWEEP,
    Listener,
    WatchedRunner,
    recorded,
)

OWN: Change = (("precision", "bfloat16"), ("allocator", "glibc-keep"))
CHANGES: tuple[Change, ...] = (
    OWN,
    *((setting,) for setting in OWN),
    (("xla_cpu_use_onednn", "true"),),
    (("parameters", "constants"),),
    (("precision", "bfloat16_network"),),
    (("cpus", "1"),),
)
MISSED = 1.05
"""Gain below which an ascent may leave out a change: processes, and programs in one process, differ
by a few percent without a reason."""

REFERENCE = {"cpus": "1"}


class OtherReference(GenCast):
    """GenCast, with a reference that is not stock."""

    reference_values = REFERENCE
    foreign_adapter: str | None = None


START_S = SWEEP.starts.sum_s + (SWEEP.stock.compile_s or 0.0)
"""Seconds from the start of a trial of stock to its first pass."""

SHORT_S = 8 * START_S
AMPLE_S = 100_000.0
AMPLE_BYTES = 1e15


def recorded_ratio(settings: dict[str, str]) -> float:
    """Seconds of a pass, relative to stock."""
    return recorded(settings).ratio


def assert_nothing_is_better(settings: dict[str, str], *, without: str | None = None) -> None:
    """Check that no recorded change of a configuration has a gain that an ascent must find.

    Changes of the knob ``without`` are left out.
    """
    assert without not in settings
    assert recorded_ratio(settings) < 1
    for change in CHANGES:
        changed = settings | dict(change)
        if without not in changed:
            assert recorded_ratio(settings) / recorded_ratio(changed) < MISSED, change


def make_study(
    folder: Path,
    runner: WatchedRunner,
    budget_s: float = AMPLE_S,
    *,
    extrapolate: bool = True,
    changes: Sequence[Change] = CHANGES,
    memory_bytes: float = AMPLE_BYTES,
    model: Model = MODEL,
) -> Study:
    catalogue, store = Catalogue(model.knobs), Store(folder)
    plan = StudyPlan(model, catalogue, RECORDED, store, budget_s, memory_bytes, extrapolate)
    space = SearchSpace(catalogue, tuple(changes))
    return Study(plan, CoordinateAscent(), runner, Listener(), space)


def best_settings(study: Study) -> dict[str, str]:
    best = study.recommendation().best
    assert best is not None
    return best.settings
