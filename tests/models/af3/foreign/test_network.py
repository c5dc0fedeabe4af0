"""What the settings do to the network's configuration and parameters, with stand-ins."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perfkit.errors import ConfigurationRefusedError
from perfkit.models.af3.foreign.native_kernels import NativeKernels
from perfkit.models.af3.foreign.network import adapt_network
from perfkit.models.af3.foreign.networks_in_use import NetworksInUse
from perfkit.models.af3.foreign.parameters import baking_jit, widened
from tests.support.settings_report import KeptReport


def config(**options: Any) -> Any:
    """Make a configuration with the options of DeepMind's that the settings concern."""
    stock = {
        "bfloat16": "all",
        "pair_attention_chunk_size": ((1536, 128), (None, 32)),
        "pair_transition_shard_spec": ((2048, None), (None, 1024)),
    }
    return SimpleNamespace(
        global_config=SimpleNamespace(**{**stock, **options}),
        evoformer=SimpleNamespace(num_msa=1024),
    )


def configuration_seen(
    given: Any,
    settings: Mapping[str, str],
    rows: int = 8,
    kernels: NativeKernels | None = None,
    why_all: str | None = None,
) -> tuple[Any, KeptReport]:
    """Build a network from a configuration, call it with some MSA rows, return what it sees."""

    class Model:
        def __init__(self, config: Any, name: str = "diffuser") -> None:
            self.config = config

        def __call__(self, batch: Any) -> Any:
            return self.config

    module: Any = ModuleType("alphafold3.model.model")
    module.Model = Model
    report, in_use = KeptReport(), NetworksInUse()
    adapt_network(module, settings, report, in_use, kernels, lambda: why_all)
    expected = {"msa_rows"} if why_all else {"msa_rows", "templates"}
    assert in_use.adapted == expected & settings.keys()
    return module.Model(given)({"msa": np.zeros((rows, 5))}), report


def test_the_network_is_built_with_the_options_of_the_settings() -> None:
    given = config()
    seen, report = configuration_seen(
        given,
        {
            "pair_attention_chunk": "whole",
            "pair_transition_shard": "8",
            "precision": "float32",
            "msa_rows": "needed",
        },
    )
    assert seen.global_config.pair_attention_chunk_size == ((None, None),)
    assert seen.global_config.pair_transition_shard_spec == ((None, 8),)
    assert seen.global_config.bfloat16 == "none"
    assert seen.evoformer.num_msa == 8
    assert sorted(name for name, _ in report.effects) == [
        "pair_attention_chunk",
        "pair_transition_shard",
        "precision",
    ]
    # The program's own configuration is as it was.
    assert given == config()


def test_rows_are_at_most_those_of_the_setting_and_of_the_input() -> None:
    assert configuration_seen(config(), {"msa_rows": "needed"}, 2000)[0].evoformer.num_msa == 1024
    seen, report = configuration_seen(config(), {"msa_rows": "512"}, 2000)
    assert seen.evoformer.num_msa == 512
    assert report.effects == [("msa_rows", "512 rows")]


def test_another_network_is_left_alone() -> None:
    seen, report = configuration_seen(
        config(model="boltz2"), {"precision": "float32", "msa_rows": "needed"}
    )
    assert seen == config(model="boltz2")
    assert report.refusals == [("precision", "the program runs boltz2, another network")]


def test_an_option_that_the_package_lacks_is_reported() -> None:
    older = config()
    del older.global_config.pair_transition_shard_spec
    _, report = configuration_seen(older, {"pair_transition_shard": "8"})
    assert report.effects == []
    assert report.refusals == [
        ("pair_transition_shard", "this alphafold3 has no option pair_transition_shard_spec")
    ]


def test_equal_templates_are_left_to_a_package_that_embeds_them_once() -> None:
    why = "it embeds equal templates once by itself"
    _, report = configuration_seen(config(), {"templates": "needed"}, why_all=why)
    assert report.refusals == [("templates", why)]


@dataclasses.dataclass
class Loads:
    """Stand-in for loading the kernels, which counts and may fail."""

    error: Exception | None = None
    count: int = 0

    def __call__(self) -> tuple[str, ...]:
        self.count += 1
        if self.error is not None:
            raise self.error
        return ("a notice",)


def kernels_of(
    report: KeptReport, load: Loads, reason: str | None = None, **settings: str
) -> NativeKernels:
    """Make the native kernels of a program that is run with ``kernels=native``."""
    given = {"kernels": "native", **settings}
    return NativeKernels(given, report, lambda: reason, load, contextlib.nullcontext)


def test_native_kernels_are_loaded_once_and_count_once_for_each_program() -> None:
    report, load = KeptReport(), Loads()
    kernels = kernels_of(report, load)
    assert kernels.take_all_rows
    for _ in range(2):
        with kernels.tracing():
            pass
    assert load.count == 1
    assert report.effects == [("kernels", "")] * 2
    assert report.sentences == ["a notice"]


def test_the_network_attends_in_all_rows_with_native_kernels() -> None:
    report = KeptReport()
    seen, _ = configuration_seen(config(), {}, kernels=kernels_of(report, Loads()))
    assert seen.global_config.pair_attention_chunk_size == ((None, None),)
    rows = kernels_of(report, Loads(), pair_attention_chunk="32")
    assert not rows.take_all_rows


def test_kernels_that_a_program_cannot_have_are_reported_and_left_out() -> None:
    report = KeptReport()
    kernels = kernels_of(report, Loads(), "there is no C++ compiler")
    assert report.refusals == [("kernels", "there is no C++ compiler")]
    assert not kernels.are_loaded()
    failing, load = KeptReport(), Loads(ConfigurationRefusedError("x.cc: error"))
    kernels = kernels_of(failing, load)
    seen, _ = configuration_seen(config(), {}, kernels=kernels)
    assert seen == config()
    assert failing.refusals == [("kernels", "x.cc: error")]
    assert failing.effects == []
    assert load.count == 1


def test_kernels_in_another_network_are_reported() -> None:
    report, load = KeptReport(), Loads()
    other = config(model="boltz2")
    seen, given = configuration_seen(other, {}, kernels=kernels_of(report, load))
    assert seen == other
    assert given.refusals == [("kernels", "the program runs boltz2, another network")]
    assert load.count == 0


def test_a_precision_that_the_preset_was_not_measured_with_is_said() -> None:
    _, report = configuration_seen(config(bfloat16="intermediate"), {"pair_attention_chunk": "8"})
    assert "bfloat16='intermediate'" in report.sentences[0]


@hk.transform
def network(batch: Any) -> Any:
    """Multiply by a matrix."""
    return hk.Linear(2, with_bias=False, name="layer")(batch)


def weights(value: float) -> dict[str, dict[str, Any]]:
    """Make parameters that are all the same number."""
    return {"layer": {"w": jnp.full((3, 2), value)}}


def test_loaded_parameters_become_constants_once_for_each_program() -> None:
    first, second, report = weights(1.0), weights(2.0), KeptReport()
    jit = baking_jit(jax.jit, [first, second], report)
    predict = functools.partial(jit(network.apply), first)
    for rows in (1, 1, 4):
        assert np.array_equal(predict(None, np.ones((rows, 3))), np.full((rows, 2), 3.0))
    assert report.effects == [("parameters", "")] * 2
    # Other parameters have programs of their own.
    apply = jit(network.apply)
    assert np.array_equal(apply(first, None, np.ones((1, 3))), [[3.0, 3.0]])
    assert np.array_equal(apply(second, None, np.ones((1, 3))), [[6.0, 6.0]])
    # So have loaded parameters of which the program replaces an array.
    first["layer"]["w"] = jnp.full((3, 2), 5.0)
    assert np.array_equal(apply(first, None, np.ones((1, 3))), [[15.0, 15.0]])


def test_parameters_that_were_not_loaded_stay_arguments() -> None:
    report = KeptReport()
    apply = baking_jit(jax.jit, [], report)(network.apply)
    given = weights(1.0)
    assert np.array_equal(apply(given, None, np.ones((1, 3))), [[3.0, 3.0]])
    given["layer"]["w"] = jnp.full((3, 2), 5.0)
    assert np.array_equal(apply(given, None, np.ones((1, 3))), [[15.0, 15.0]])
    assert report.effects == []
    # Everything else of a jitted function is still there.
    assert "dot_general" in apply.lower(given, None, np.ones((1, 3))).as_text()


@pytest.mark.parametrize("option", ["static_argnums", "donate_argnums"])
def test_options_that_count_arguments_keep_parameters_as_arguments(option: str) -> None:
    given, report = weights(1.0), KeptReport()
    apply = baking_jit(jax.jit, [given], report)(network.apply, **{option: 1})
    assert np.array_equal(apply(given, None, np.ones((1, 3))), [[3.0, 3.0]])
    assert [name for name, _ in report.refusals] == ["parameters"]


def test_functions_that_are_not_haikus_are_jitted_as_before() -> None:
    jit = baking_jit(jax.jit, [], KeptReport())
    assert type(jit(jnp.sin)) is type(jax.jit(jnp.sin))
    assert jit(jnp.add, static_argnums=())(1, 2) == 3


def test_widening_keeps_values_and_other_formats() -> None:
    narrow = {"a": {"w": jnp.array([1.5, -2.25], jnp.bfloat16), "n": jnp.arange(2)}}
    wide = widened(narrow)
    assert wide["a"]["w"].dtype == jnp.float32
    assert np.array_equal(wide["a"]["w"], [1.5, -2.25])
    assert wide["a"]["n"].dtype == narrow["a"]["n"].dtype
