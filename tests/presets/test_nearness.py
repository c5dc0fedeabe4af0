"""The distance of a measurement from a machine and a size, field by field."""

from __future__ import annotations

import math

import pytest

from perfkit.presets.known import read_known_preset
from perfkit.presets.nearness import (
    OTHER_FAMILY,
    SAME_CPU,
    SAME_FAMILY,
    Distance,
    Here,
    distance,
    here,
    version_differences,
)
from tests.presets.conftest import WritePreset, make_here

SAME = Distance(0, SAME_CPU, 0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("machine", "size", "expected"),
    [
        (make_here(), 76, SAME),
        (make_here(model="1"), 76, Distance(0, SAME_FAMILY, 0.0, 0.0, 0)),
        (make_here(family="26"), 76, Distance(0, OTHER_FAMILY, 0.0, 0.0, 0)),
        # avx512f and avx512_bf16 are lacking, amx_bf16 is new.
        (
            make_here(instruction_sets=("avx2", "amx_bf16")),
            76,
            Distance(3, SAME_CPU, 0.0, 0.0, 0),
        ),
        (make_here(cpus=8), 76, Distance(0, SAME_CPU, 2.0, 0.0, 0)),
        (make_here(cpus=1), 76, Distance(0, SAME_CPU, 1.0, 0.0, 0)),
        (make_here(), 304, Distance(0, SAME_CPU, 0.0, 2.0, 0)),
        (make_here(), 19, Distance(0, SAME_CPU, 0.0, 2.0, 0)),
        # Only what is installed can differ: jaxlib does, python is not known here.
        (make_here(versions={"jaxlib": "0.8.0"}), 76, Distance(0, SAME_CPU, 0.0, 0.0, 1)),
    ],
)
def test_distances(write_preset: WritePreset, machine: Here, size: int, expected: Distance) -> None:
    found = distance(read_known_preset(write_preset("preset.toml")), size, machine)
    assert found == expected
    assert found.same == (expected == SAME)


def test_a_file_that_states_nothing_is_far_from_every_machine(write_preset: WritePreset) -> None:
    preset = read_known_preset(write_preset("preset.toml", machine={"cpu": "Another"}))
    found = distance(preset, 76, make_here())
    assert found == Distance(3, OTHER_FAMILY, math.inf, 0.0, 0)


def test_a_cpu_of_the_same_name_is_the_same_where_the_file_states_no_more(
    write_preset: WritePreset,
) -> None:
    machine = {"cpu": "AMD EPYC", "logical_cpus": 2}
    assert distance(
        read_known_preset(write_preset("preset.toml", machine=machine)), 76, make_here()
    ).same


def test_earlier_fields_outweigh_later_ones() -> None:
    versions = Distance(0, SAME_CPU, 0.0, 0.0, 9)
    size = Distance(0, SAME_CPU, 0.0, 1.0, 0)
    cpus = Distance(0, SAME_CPU, 0.5, 0.0, 0)
    family = Distance(0, SAME_FAMILY, 0.0, 0.0, 0)
    sets = Distance(1, SAME_CPU, 0.0, 0.0, 0)
    assert sorted([sets, family, cpus, size, versions, SAME]) == [
        *(SAME, versions, size, cpus, family, sets)
    ]


def test_differing_versions_are_named(write_preset: WritePreset) -> None:
    preset = read_known_preset(write_preset("preset.toml"))
    assert version_differences(preset, make_here(versions={"jaxlib": "0.8.0"})) == {
        "jaxlib": ("0.7.0", "0.8.0")
    }


def test_this_machine_has_cpus_and_versions() -> None:
    machine = here()
    assert machine.host.cpus >= 1
    assert "numpy" in machine.versions
