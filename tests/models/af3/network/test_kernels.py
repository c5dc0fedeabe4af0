"""Native kernels in AlphaFold 3: the knob, how the network gets them, and machines without any."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from perfkit.api.knob_catalogue import knob_catalogue
from perfkit.errors import ConfigurationRefusedError, UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.models.af3.knobs import KNOBS, settings_for
from perfkit.models.af3.model import AlphaFold3
from perfkit.models.af3.network.kernels import (
    has_places,
    hooks,
    load_kernels,
    native_kernels,
    replacements,
    why_no_native_kernels,
)
from perfkit.models.af3.network.source import MODULES, PLACES
from perfkit.models.af3.package import import_model
from perfkit.models.workload import Workload
from perfkit.tuning.space import search_space

WORKLOAD = Workload("af3", "synthetic", 256, {"size": 256}, {"samples": 1}, "0123")
NATIVE = {"kernels": "native"}
CHUNK, SHARD = "pair_attention_chunk_size", "pair_transition_shard_spec"


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the user's compiler one that does not exist; return why there are no kernels."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = why_no_native_kernels()
    assert reason is not None
    return reason


def test_without_a_compiler_the_knob_is_not_offered_and_the_reason_is_shown(
    without_compiler: str,
) -> None:
    (entry,) = (each for each in knob_catalogue("af3").knobs if each.name == "kernels")
    assert entry.worth_trying == ()
    assert entry.not_here == {"native": without_compiler}
    space = search_space(AlphaFold3(), WORKLOAD, Catalogue(KNOBS))
    assert not any(("kernels", "native") in change for change in space.changes)


def test_without_a_compiler_the_knob_is_refused(without_compiler: str) -> None:
    chosen = Catalogue(KNOBS).configuration(NATIVE)
    with pytest.raises(UserError, match="'kernels' cannot be 'native' here: ") as error:
        AlphaFold3().check(WORKLOAD, chosen)
    assert str(error.value).endswith(without_compiler)
    AlphaFold3().check(WORKLOAD, Catalogue(KNOBS).configuration({"kernels": "xla"}))


@pytest.mark.parametrize(
    ("overrides", "options"),
    [
        ({}, {}),
        (NATIVE, {CHUNK: ((None, None),)}),
        ({**NATIVE, "pair_attention_chunk": "whole"}, {CHUNK: ((None, None),)}),
        ({**NATIVE, "pair_attention_chunk": "32"}, {CHUNK: ((None, 32),)}),
        ({**NATIVE, "pair_transition_shard": "8"}, {CHUNK: ((None, None),), SHARD: ((None, 8),)}),
    ],
)
def test_native_attention_takes_all_rows(
    overrides: Mapping[str, str], options: Mapping[str, object]
) -> None:
    assert settings_for(overrides, 256).upstream_rows == options


def test_native_attention_in_all_rows_needs_no_memory_for_logits() -> None:
    def estimate(**overrides: str) -> int:
        configuration = Catalogue(KNOBS).configuration(overrides)
        estimated = AlphaFold3().memory_estimate_bytes(WORKLOAD, configuration)
        assert estimated is not None
        return estimated

    assert estimate(pair_attention_chunk="whole") > estimate()
    assert estimate(kernels="native", pair_attention_chunk="whole") == estimate()


def test_a_source_that_does_not_compile_refuses_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial then ends as rejected, in its stage ``prepare``."""
    pytest.importorskip("jax")
    compiler = tmp_path / "c++"
    compiler.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "c++ (test) 1.0" && exit\n'
        'echo "x.cc:1:1: error: unknown type name" >&2; exit 1\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("PERFKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", str(compiler))
    if why_no_native_kernels() is not None:
        pytest.skip(f"no native kernels here: {why_no_native_kernels()}")
    with pytest.raises(ConfigurationRefusedError, match=r"x\.cc:1:1: error: unknown type name"):
        load_kernels()


def changed_variables(fills_places: bool) -> dict[tuple[str, str], object]:
    """Module and variable -> what replaces it."""
    return {
        (module, name): value
        for module, variables in replacements(fills_places).items()
        for name, value in variables.items()
    }


@pytest.mark.parametrize("fills_places", [True, False])
def test_the_network_is_changed_while_it_is_traced_and_restored(fills_places: bool) -> None:
    pytest.importorskip("alphafold3", reason="upstream's network")
    import_model()
    if fills_places and not has_places():
        pytest.skip("this alphafold3 has no places for kernels")
    changed = changed_variables(fills_places)

    def found() -> dict[tuple[str, str], object]:
        return {
            (module, name): getattr(importlib.import_module(module), name)
            for module, name in changed
        }

    stock = found()
    assert all(stock[place] is not value for place, value in changed.items())
    with native_kernels(fills_places):
        assert found() == changed
    assert found() == stock

    def fail() -> None:
        with native_kernels(fills_places):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert found() == stock


def test_places_are_filled_where_there_are_any() -> None:
    """ColabFold's build has places, which are empty; its modules of the trunk stay its own."""
    pytest.importorskip("alphafold3", reason="upstream's network")
    import_model()
    trunk = importlib.import_module(MODULES)
    if not has_places():
        pytest.skip("this alphafold3 has no places for kernels")
    assert {getattr(trunk, place) for place in PLACES} == {None}
    stock = trunk.GridSelfAttention
    with native_kernels():
        assert {place: getattr(trunk, place) for place in PLACES} == hooks()
        assert trunk.GridSelfAttention is stock


def test_modules_are_replaced_where_there_are_no_places() -> None:
    pytest.importorskip("alphafold3", reason="upstream's network")
    import_model()
    trunk = importlib.import_module(MODULES)
    if has_places():
        pytest.skip("this alphafold3 has places for kernels")
    stock = trunk.GridSelfAttention
    with native_kernels():
        assert trunk.GridSelfAttention is not stock
        assert issubclass(trunk.GridSelfAttention, stock)
        assert not any(hasattr(trunk, place) for place in PLACES)
