"""GenCast's knobs in programs of others: with a stub, and with the package if installed."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perfkit.answers.agreement import AgreementClass, compare
from perfkit.foreign.adapter import ForeignOptions
from perfkit.models.gencast.foreign import WATCHED, adapt
from perfkit.models.gencast.model import GenCast
from tests.support.settings_report import KeptReport

MODEL = GenCast()

real = pytest.mark.skipif(
    find_spec("weathernext") is None, reason="weathernext, the published GenCast, is not installed"
)


@pytest.fixture
def module(stub_module: Any) -> Any:
    """Make a module with a class ``GenCast`` of its own, as the published package has it."""
    made: Any = ModuleType(WATCHED[0])
    made.GenCast = type("GenCast", (stub_module.GenCast,), {})
    made.casting = SimpleNamespace(Bfloat16Cast=stub_module.Bfloat16Cast)
    return made


def built(module: Any) -> Any:
    """Build a predictor with one noise level as a program does, by keywords."""
    transformer = SimpleNamespace(attention_type="splash_mha", mask_type="lazy")
    return module.GenCast(
        task_config=None,
        denoiser_architecture_config=SimpleNamespace(sparse_transformer_config=transformer),
        sampler_config=SimpleNamespace(num_noise_levels=1),
        noise_config=None,
        noise_encoder_config=None,
    )


def types_seen(module: Any, stub_module: Any, dtype: Any) -> set[str]:
    """Data types of the state in the sampler for inputs of a data type."""
    seen = set()

    def predict(values: Any) -> Any:
        coords = dict.fromkeys(("lat", "lon", "level", "time"))
        fields = stub_module.Dataset({"t": (("batch",), values)}, coords)
        predictor = built(module)
        plain = predictor._preconditioned_denoiser

        def denoiser(**named: Any) -> Any:
            seen.add(str(named["noisy_targets"]["t"].data.dtype))
            return plain(**named)

        predictor._preconditioned_denoiser = denoiser
        return predictor(fields, targets_template=fields, forcings=fields)["t"].data

    network = hk.transform(predict)
    result = network.apply({}, jax.random.PRNGKey(0), jnp.zeros(2, dtype))
    # Starting from 0, each of two calls halves the state and adds 1.
    np.testing.assert_array_equal(result.astype(np.float32), 1.5)
    return seen


def test_the_sampler_runs_in_the_precision_of_the_setting(module: Any, stub_module: Any) -> None:
    assert types_seen(module, stub_module, jnp.float32) == {"float32"}
    report = KeptReport()
    adapt(module, {"precision": "bfloat16"}, ForeignOptions(), report)
    assert types_seen(module, stub_module, jnp.float32) == {"bfloat16"}
    assert set(report.effects) == {("precision", "")}


@pytest.mark.parametrize(("attention", "kind"), [("dense", "mha"), ("banded", "triblockdiag_mha")])
def test_predictors_are_built_with_the_attention_of_the_setting(
    module: Any, stub_module: Any, attention: str, kind: str
) -> None:
    report = KeptReport()
    adapt(module, {"attention": attention}, ForeignOptions(), report)
    built(module)
    assert stub_module.GenCast.attention == (kind, "lazy")
    assert report.effects == [("attention", kind)]


def test_settings_that_the_published_package_lacks_are_reported(module: Any) -> None:
    report = KeptReport()
    settings = {
        "attention": "patches",
        "grid_block": "512",
        "edge_basis": "full",
        "parameters": "constants",
    }
    adapt(module, settings, ForeignOptions(), report)
    assert report.effects == []
    assert {name for name, _ in report.refusals} == settings.keys()
    assert "closes over them" in dict(report.refusals)["parameters"]


def test_a_network_that_is_kept_elsewhere_is_reported(module: Any, stub_module: Any) -> None:
    report = KeptReport()
    adapt(module, {"precision": "bfloat16_network"}, ForeignOptions(), report)
    assert types_seen(module, stub_module, jnp.float32) == {"float32"}
    assert ("precision", "this GenCast keeps its network elsewhere") in report.refusals


@real
@pytest.mark.parametrize("precision", ["bfloat16", "bfloat16_network"])
def test_the_published_package_forecasts_as_perfkits_trials_do(
    monkeypatch: pytest.MonkeyPatch, small_model: dict[str, str], precision: str
) -> None:
    def forecast(engine: str, overrides: dict[str, str]) -> dict[str, Any]:
        options: dict[str, str | int | float | bool]
        options = {**small_model, "resolution": 15.0, "engine": engine}
        prepared = MODEL.prepare(MODEL.workload(options, {}), overrides)
        step = jax.jit(prepared.function).lower(*prepared.arguments).compile()
        return dict(prepared.compared(prepared.drive(step)))

    engine = "weathernext" if precision == "bfloat16" else "perfkit"
    expected = forecast(engine, {"precision": precision, "attention": "dense"})
    published = importlib.import_module(WATCHED[0])
    for method in ("__init__", "__call__"):
        monkeypatch.setattr(published.GenCast, method, getattr(published.GenCast, method))
    report = KeptReport()
    adapt(published, {"precision": precision, "attention": "dense"}, ForeignOptions(), report)
    found = forecast("weathernext", {"attention": "banded"})
    assert {name for name, _ in report.effects} == {"precision", "attention"}
    assert report.refusals == []
    if precision == "bfloat16":
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
    else:
        assert compare(found, expected, MODEL.tolerances).reached <= AgreementClass.BFLOAT16
