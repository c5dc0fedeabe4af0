"""Known XLA flags are knobs with their parsers; any other installed flag is a knob too."""

from __future__ import annotations

import pytest

from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.installed_flags import installed_flags
from perfkit.knobs.xla_flags import KNOWN_FLAGS

INSTALLED = {"xla_cpu_new_switch": "false", "xla_cpu_new_word": "", "xla_dump_to": ""}


@pytest.fixture
def catalogue() -> Catalogue:
    """A catalogue of a jaxlib with three flags that perfkit has no knob for."""
    return Catalogue(installed=lambda: INSTALLED)


def test_any_installed_flag_is_a_knob(catalogue: Catalogue) -> None:
    configuration = catalogue.configuration({"xla_cpu_new_switch": "on", "xla_cpu_new_word": "x"})
    assert configuration.environment() == {
        "XLA_FLAGS": "--xla_cpu_new_switch=true --xla_cpu_new_word=x"
    }
    assert catalogue.configuration({"xla_cpu_new_switch": "0"}).settings == ()
    assert catalogue.knob("xla_cpu_new_switch").exact is False


def test_a_value_cannot_smuggle_in_a_second_flag(catalogue: Catalogue) -> None:
    with pytest.raises(UserError, match="it takes one word without blanks"):
        catalogue.configuration({"xla_cpu_new_word": "x --xla_dump_to=y"})


def test_an_unknown_flag_is_refused_with_the_nearest_installed_one(catalogue: Catalogue) -> None:
    with pytest.raises(UserError, match="the nearest is 'xla_cpu_new_switch'"):
        catalogue.knob("xla_cpu_new_swich")


def test_stock_values_are_those_of_the_installed_jaxlib() -> None:
    pytest.importorskip("jaxlib", reason="flags are read from jaxlib")
    installed = installed_flags()
    known = {knob.name: knob.default for knob in KNOWN_FLAGS}
    assert known == {name: installed[name] for name in known}
