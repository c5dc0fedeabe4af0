"""Presets are read with their measurements, from the package and from folders of tunings."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.models import model_names
from perfkit.presets.known import (
    SHIPPED,
    read_known_preset,
    shipped_preset,
    shipped_presets,
    stored_presets,
)
from tests.presets.conftest import SETTINGS, WritePreset


def test_a_preset_is_read_with_its_measurements(write_preset: WritePreset) -> None:
    path = write_preset("preset.toml", records="reports/x", pairs=7)
    preset = read_known_preset(path)
    assert preset.name == str(path)
    assert not preset.shipped
    assert preset.model == "af3"
    assert preset.settings == SETTINGS
    measured = preset.measured
    assert (measured.size, measured.speedup, measured.speedup_interval) == (76, 2.0, (1.9, 2.1))
    assert (measured.pairs, measured.records) == (7, "reports/x")
    assert measured.machine.logical_cpus == 2
    assert measured.versions["jaxlib"] == "0.7.0"


def test_a_preset_of_an_older_tuning_lacks_some_measurements(tmp_path: Path) -> None:
    path = tmp_path / "preset.toml"
    path.write_text("format = 1\nmodel = 'af3'\n[knobs]\nbucket = 'exact'\n")
    measured = read_known_preset(path).measured
    assert measured.size is None
    assert measured.speedup is None
    assert measured.machine.cpu is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"size": 0}, "size: Input should be greater than or equal to 1"),
        ({"speedup": -1.0}, "speedup: Input should be greater than 0"),
        ({"speedup": float("nan")}, "speedup: Input should be a finite number"),
        ({"machine": {"logical_cpus": 0}}, "machine.logical_cpus: Input should be greater"),
    ],
)
def test_impossible_measurements_are_refused(
    write_preset: WritePreset, table: dict[str, object], message: str
) -> None:
    path = write_preset("preset.toml", **table)
    with pytest.raises(UserError, match=message):
        read_known_preset(path)


@pytest.mark.parametrize("model", model_names())
def test_every_shipped_preset_states_what_it_was_measured_on(model: str) -> None:
    presets = shipped_presets(model)
    if model in ("af3", "gencast"):
        assert presets
    for preset in presets:
        measured = preset.measured
        assert preset.shipped
        assert preset.model == model
        assert preset.settings
        assert measured.size is not None
        assert measured.speedup is not None
        assert measured.agreement in ("float32", "bfloat16")
        assert measured.machine.cpu_family is not None
        assert "avx2" in measured.machine.instruction_sets
        assert {"jax", "jaxlib"} <= measured.versions.keys()
        # What the preset rests on can be looked up.
        assert (SHIPPED.parents[2] / measured.records).is_dir()


def test_the_shipped_preset_of_a_study_states_the_gain_of_its_report() -> None:
    # reports/README.md: 3.51 times, 3.26 s, 2.4 GB; the study predates intervals that hold today.
    measured = shipped_preset("af3-ubiquitin", "af3").measured
    assert measured.speedup == pytest.approx(3.51, abs=0.005)
    assert measured.speedup_interval is None
    assert measured.pairs == 0
    assert measured.steady_s == pytest.approx(3.26, abs=0.01)
    assert measured.peak_rss_bytes == pytest.approx(2.4e9, abs=0.05e9)
    assert measured.agreement == "bfloat16"
    assert (measured.size, measured.machine.cpu_family) == (76, "25")


def test_a_shipped_preset_of_another_model_is_refused(write_preset: WritePreset) -> None:
    folder = write_preset("data/af3/mine.toml").parents[1]
    assert shipped_preset("mine", "af3", folder).name == "mine"
    with pytest.raises(UserError, match="'mine' is for model 'af3', not 'gencast'"):
        shipped_preset("mine", "gencast", folder)
    with pytest.raises(UserError, match="unknown shipped preset 'mien'; the nearest is 'mine'"):
        shipped_preset("mien", "af3", folder)


def test_presets_of_earlier_tunings_are_found_and_damaged_ones_skipped(
    write_preset: WritePreset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = write_preset("results/a/preset.toml")
    second = write_preset("results/deep/b/preset.toml", size=300)
    write_preset("results/gencast/preset.toml", {"grid_block": "1024"}, model="gencast")
    write_preset("results/other.toml")
    (tmp_path / "results/preset.toml").write_text("no preset")
    with caplog.at_level(logging.WARNING):
        found = stored_presets("af3", tmp_path / "results")
    assert [preset.name for preset in found] == [str(first), str(second)]
    assert len(caplog.records) == 1
    assert "is not TOML" in caplog.text
    assert stored_presets("af3", tmp_path / "nothing") == []
