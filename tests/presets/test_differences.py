"""One sentence says that a preset was measured with another jaxlib, package or CPU family."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.packages import Package
from perfkit.presets.differences import (
    Origin,
    differences,
    environment_differences,
    foreign_differences,
)
from perfkit.presets.known import read_known_preset
from perfkit.presets.nearness import version_differences
from tests.presets.conftest import WritePreset, make_here

COLABFOLD = Package("alphafold3", "alphafold3-colabfold", "3.1.18")
DEEPMIND = Package("alphafold3", "alphafold3", "3.0.4")


def test_the_environment_of_the_measurement_needs_no_sentence(write_preset: WritePreset) -> None:
    assert differences(write_preset("p.toml"), make_here()) == []


def test_another_jaxlib_and_cpu_family_are_named_together(write_preset: WritePreset) -> None:
    path = write_preset("p.toml")
    other = make_here(versions={"jaxlib": "0.8.1"}, cpu="Intel Xeon", family="6", model="143")
    assert differences(path, other) == [
        f"the preset {path} was measured with jaxlib 0.7.0 and the CPU AMD EPYC (family 25, model "
        "17), but here is jaxlib 0.8.1 and the CPU Intel Xeon (family 6, model 143): time and "
        "memory may differ"
    ]


def test_what_is_not_stated_or_not_installed_is_not_compared(write_preset: WritePreset) -> None:
    path = write_preset("p.toml", machine={"cpu": "AMD EPYC"}, versions={})
    assert differences(path, make_here(family="6", versions={"jaxlib": "0.8.1"})) == []
    assert differences(write_preset("q.toml"), make_here(versions={})) == []


def test_the_environment_of_a_program_of_others_is_what_that_program_found(
    write_preset: WritePreset,
) -> None:
    stated = {"import_name": "alphafold3", "distribution": "alphafold3", "version": "3.0.4"}
    path = write_preset("p.toml", model_package=stated)
    same = make_here().machine
    found = {"jaxlib": "0.7.0", "alphafold3": "3.0.4"}
    assert foreign_differences(path, found, same) == []
    (sentence,) = foreign_differences(path, {"alphafold3-colabfold": "3.1.18"}, same)
    assert "alphafold3 3.0.4, but here is alphafold3-colabfold 3.1.18" in sentence
    (sentence,) = foreign_differences(path, {"jaxlib": "0.10.2"}, same)
    assert "with jaxlib 0.7.0, but here is jaxlib 0.10.2" in sentence
    # Two distributions of one package do not tell which of them is in use.
    both = {"alphafold3": "3.0.4", "alphafold3-colabfold": "3.1.18"}
    assert foreign_differences(path, both, same) == []


def test_a_file_that_is_no_preset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        differences(tmp_path / "none.toml")


def test_another_distribution_or_version_of_the_model_is_named() -> None:
    origin = Origin("the fit", COLABFOLD, None)
    assert environment_differences([origin], {}, COLABFOLD) == []
    assert environment_differences([origin], {"jaxlib": "0.8.1"}, DEEPMIND) == [
        "the fit was measured with alphafold3-colabfold 3.1.18, but here is alphafold3 3.0.4: time "
        "and memory may differ"
    ]
    newer = Package("alphafold3", "alphafold3-colabfold", "3.2.0")
    (sentence,) = environment_differences([origin], {}, newer)
    assert "3.1.18, but here is alphafold3-colabfold 3.2.0" in sentence
    assert environment_differences([Origin("the fit", None, None)], {}, DEEPMIND) == []


def test_a_preset_states_its_package_or_its_versions_show_it(write_preset: WritePreset) -> None:
    stated = {"import_name": "alphafold3", "distribution": "alphafold3", "version": "3.0.4"}
    path = write_preset("p.toml", model_package=stated)
    assert read_known_preset(path).package == DEEPMIND
    versions = {"alphafold3-colabfold": "3.1.18"}
    preset = read_known_preset(write_preset("q.toml", versions=versions))
    assert preset.package == COLABFOLD
    # Advice counts the other distribution as one more package that differs.
    assert version_differences(preset, make_here(versions={"alphafold3": "3.0.4"})) == {
        "alphafold3": ("alphafold3-colabfold 3.1.18", "alphafold3 3.0.4")
    }
    assert version_differences(preset, make_here(versions=versions)) == {}
