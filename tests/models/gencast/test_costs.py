"""Features of GenCast's laws."""

from __future__ import annotations

from perfkit.models.gencast.costs import grid_features
from perfkit.models.gencast.model import GenCast


def test_a_grid_is_cut_into_equal_blocks() -> None:
    """5000 rows in blocks of at most 2048 are three of 1667."""
    features = grid_features(5000, 1, {})
    assert features == {"g": 5000.0, "b": 1667.0, "m": 42.0}
    assert grid_features(5000, 1, {"grid_block": "whole"})["b"] == 0.0
    assert grid_features(100, 2, {})["b"] == 100.0


def test_another_grid_keeps_its_mesh() -> None:
    """2049 rows in blocks of at most 2048 are two, of 1025 and 1024."""
    features = GenCast().costs.resized(grid_features(5000, 1, {}), 2049.0, {})
    assert features == {"g": 2049.0, "b": 1025.0, "m": 42.0}
