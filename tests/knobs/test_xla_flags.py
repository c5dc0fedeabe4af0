"""Flags of the installed jaxlib: any of them is a knob, all others are refused before a run."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.xla_flags import KNOWN_FLAGS, flags_text, installed_flags
from perfkit.paths import CACHE_VARIABLE


def test_flags_are_written_in_order_of_their_names() -> None:
    assert flags_text({"xla_b": "2", "xla_a": "x,y"}) == "--xla_a=x,y --xla_b=2"
    assert flags_text({}) == ""


def test_the_installed_jaxlib_prints_its_flags_and_they_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jaxlib", reason="flags are printed by jaxlib")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    flags = installed_flags()
    assert flags["xla_cpu_prefer_vector_width"] == "256"
    assert flags["xla_cpu_opt_preset"] == "CPU_OPT_PRESET_DEFAULT"
    assert flags["xla_cpu_max_isa"] == ""
    kept = tmp_path / "xla-flags" / f"{metadata.version('jaxlib')}.json"
    assert json.loads(kept.read_text()) == flags


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of flags that is cached already, as another jaxlib might print it."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(metadata, "version", lambda name: "9.9.9")
    folder = tmp_path / "xla-flags"
    folder.mkdir()
    flags = {"xla_cpu_new_switch": "false", "xla_cpu_new_word": "", "xla_dump_to": ""}
    (folder / "9.9.9.json").write_text(json.dumps(flags))


def test_any_installed_flag_is_a_knob(listed: None) -> None:
    catalogue = Catalogue()
    configuration = catalogue.configuration({"xla_cpu_new_switch": "on", "xla_cpu_new_word": "x"})
    assert configuration.environment() == {
        "XLA_FLAGS": "--xla_cpu_new_switch=true --xla_cpu_new_word=x"
    }
    assert catalogue.configuration({"xla_cpu_new_switch": "0"}).settings == ()
    assert catalogue.knob("xla_cpu_new_switch").exact is False


def test_a_value_cannot_smuggle_in_a_second_flag(listed: None) -> None:
    with pytest.raises(UserError, match="it takes one word without blanks"):
        Catalogue().configuration({"xla_cpu_new_word": "x --xla_dump_to=y"})


def test_an_unknown_flag_is_refused_with_the_nearest_installed_one(listed: None) -> None:
    with pytest.raises(UserError, match="the nearest is 'xla_cpu_new_switch'"):
        Catalogue().knob("xla_cpu_new_swich")


def test_stock_values_are_those_of_the_installed_jaxlib() -> None:
    pytest.importorskip("jaxlib", reason="flags are printed by jaxlib")
    installed = installed_flags()
    known = {knob.name: knob.default for knob in KNOWN_FLAGS if knob.name in installed}
    assert known == {name: installed[name] for name in known}
    # jaxlib prints this one's stock value nowhere, but takes it.
    assert {knob.name for knob in KNOWN_FLAGS} - set(known) == {"xla_allow_excess_precision"}
