"""Knobs of a search, from a file and from the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from perfkit.api.knob_values import Values, searched_knobs
from perfkit.knobs.configuration import Catalogue

CATALOGUE = Catalogue()


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        (None, None),
        ([], {}),
        (["allocator", "cpus"], {"allocator": [], "cpus": []}),
        ({"allocator": None}, {"allocator": []}),
        ({"allocator": "glibc,jemalloc"}, {"allocator": ["glibc", "jemalloc"]}),
        ({"cpus": 1}, {"cpus": ["1"]}),
        ({"xla_cpu_use_onednn": [True, "false"]}, {"xla_cpu_use_onednn": ["true", "false"]}),
    ],
)
def test_knobs_are_names_or_values_by_name(
    knobs: Sequence[str] | Mapping[str, Values | None] | None,
    expected: dict[str, list[str]] | None,
) -> None:
    assert searched_knobs(CATALOGUE, knobs, None) == expected


def test_a_named_knob_replaces_its_entry_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text("[knobs]\nallocator = ['jemalloc']\ncpus = [1]\n")
    assert searched_knobs(CATALOGUE, None, path) == {"allocator": ["jemalloc"], "cpus": ["1"]}
    assert searched_knobs(CATALOGUE, {"allocator": ["tcmalloc"]}, path) == {
        "allocator": ["tcmalloc"],
        "cpus": ["1"],
    }
