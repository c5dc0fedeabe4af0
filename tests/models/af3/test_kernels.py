"""Native kernels in AlphaFold 3: the knob, the network's places, and machines without kernels."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from perfkit.api.knob_catalogue import knob_catalogue
from perfkit.errors import ConfigurationRefusedError, UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.models.af3.kernels import (
    MODULES,
    PLACES,
    hooks,
    load_kernels,
    native_kernels,
    replacements,
    why_no_native_kernels,
)
from perfkit.models.af3.knobs import KNOBS, settings_for
from perfkit.models.af3.model import AlphaFold3
from perfkit.models.af3.package import import_model
from perfkit.models.workload import Workload

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
    assert not AlphaFold3().worth_trying(WORKLOAD, "kernels", "native")


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
        return AlphaFold3().memory_estimate_bytes(WORKLOAD, configuration)

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


def test_the_places_are_filled_while_a_network_is_traced_and_restored() -> None:
    pytest.importorskip("alphafold3", reason="upstream's places for kernels")
    import_model()
    changed = {(MODULES, place): value for place, value in hooks().items()} | {
        (module, name): value
        for module, variables in replacements().items()
        for name, value in variables.items()
    }

    def places() -> dict[tuple[str, str], object]:
        return {
            (module, name): getattr(importlib.import_module(module), name)
            for module, name in changed
        }

    stock = places()
    assert {name for (_, name), value in stock.items() if value is None} == set(PLACES)
    assert all(stock[place] is not value for place, value in changed.items())
    with native_kernels():
        assert places() == changed
    assert places() == stock

    def fail() -> None:
        with native_kernels():
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert places() == stock
