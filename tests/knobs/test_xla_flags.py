"""Flags of the installed jaxlib: any of them is a knob, all others are refused before a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.knobs import xla_flags
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
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert installed_flags() == flags


PRINTED = {"xla_cpu_new_switch": "false", "xla_cpu_new_word": "", "xla_dump_to": ""}


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list of flags as another jaxlib might print it; returns the builds that were asked."""
    asked: list[str] = []

    def printed(build: str) -> dict[str, str]:
        asked.append(build)
        return PRINTED

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(xla_flags, "installed_build", lambda name: "9.9.9+one")
    monkeypatch.setattr(xla_flags, "_printed_flags", printed)
    return asked


def test_another_build_of_the_same_version_has_a_list_of_its_own(
    listed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_flags()
    monkeypatch.setattr(xla_flags, "installed_build", lambda name: "9.9.9+two")
    assert installed_flags() == installed_flags() == PRINTED
    assert listed == ["9.9.9+one", "9.9.9+two"]


def test_a_list_with_a_changed_letter_is_asked_for_again(listed: list[str], tmp_path: Path) -> None:
    installed_flags()
    (kept,) = (tmp_path / "xla-flags").iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"xla_cpu_new_word", b"xla_cpu_new_wore"))
    assert installed_flags() == PRINTED
    assert len(listed) == 2


def test_an_absent_jaxlib_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla_flags, "installed_build", lambda name: None)
    with pytest.raises(UserError, match="jaxlib is not installed"):
        installed_flags()


def test_any_installed_flag_is_a_knob(listed: list[str]) -> None:
    catalogue = Catalogue()
    configuration = catalogue.configuration({"xla_cpu_new_switch": "on", "xla_cpu_new_word": "x"})
    assert configuration.environment() == {
        "XLA_FLAGS": "--xla_cpu_new_switch=true --xla_cpu_new_word=x"
    }
    assert catalogue.configuration({"xla_cpu_new_switch": "0"}).settings == ()
    assert catalogue.knob("xla_cpu_new_switch").exact is False


def test_a_value_cannot_smuggle_in_a_second_flag(listed: list[str]) -> None:
    with pytest.raises(UserError, match="it takes one word without blanks"):
        Catalogue().configuration({"xla_cpu_new_word": "x --xla_dump_to=y"})


def test_an_unknown_flag_is_refused_with_the_nearest_installed_one(listed: list[str]) -> None:
    with pytest.raises(UserError, match="the nearest is 'xla_cpu_new_switch'"):
        Catalogue().knob("xla_cpu_new_swich")


def test_stock_values_are_those_of_the_installed_jaxlib() -> None:
    pytest.importorskip("jaxlib", reason="flags are printed by jaxlib")
    installed = installed_flags()
    known = {knob.name: knob.default for knob in KNOWN_FLAGS if knob.name in installed}
    assert known == {name: installed[name] for name in known}
    # jaxlib prints this one's stock value nowhere, but takes it.
    assert {knob.name for knob in KNOWN_FLAGS} - set(known) == {"xla_allow_excess_precision"}
