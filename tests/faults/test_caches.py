"""A damaged cache of any kind is detected, built again, and reported in one warning."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from perfkit.paths import CACHE_VARIABLE

pytest.importorskip("jax", reason="caches of programs and kernels name their jaxlib")
pytest.importorskip("biotite", reason="components come from biotite")

from tests.support.faults.caches import CACHES, DAMAGES, fault_of_cache

REPETITIONS = 3
"""Places of a file that are damaged; the drill tries many more."""


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", CACHES)
def test_a_damaged_cache_is_built_again_with_one_warning(
    kind: str,
    damage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(REPETITIONS):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.setenv(CACHE_VARIABLE, str(folder / "cache"))
        chance = random.Random(f"{kind} {damage} {number}")
        found = fault_of_cache(
            CACHES[kind], DAMAGES[damage], folder, chance, lambda: len(caplog.messages)
        )
        assert found == ""
