"""The curves of a fit's page follow the features that trials of their sizes have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from perfkit.report.figures.capacity import laws


def test_a_curve_takes_the_mesh_of_the_nearest_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"denoiser_call": 1.0}
    trials = [
        SimpleNamespace(features={"g": g, "b": g, "m": m}, seconds=seconds, cpus=2)
        for g, m in ((1000.0, 162.0), (4000.0, 642.0))
    ]
    monkeypatch.setattr(laws, "observations", lambda _: trials)
    monkeypatch.setattr(laws, "has_part_times", lambda _: True)
    law = SimpleNamespace(value=lambda features: features["m"], terms=("m",))
    fit: Any = SimpleNamespace(
        model="gencast",
        cpus=2,
        least_size=1000.0,
        largest_size=4000.0,
        settings={},
        laws={"denoiser_call": law},
    )
    (curve,) = laws.laws_info(fit, []).curves
    # Halfway between the two on a logarithmic scale are 2000 nodes.
    expected = [162.0 if size < 2000.0 else 642.0 for size in curve.sizes]
    assert list(curve.seconds) == expected
    assert set(expected) == {162.0, 642.0}
