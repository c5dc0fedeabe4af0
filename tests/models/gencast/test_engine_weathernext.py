"""The published implementation as an engine: with a stub, and with the package if installed."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from perfkit.answers.agreement import AgreementClass, compare
from perfkit.errors import ConfigurationRefusedError, UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.models.gencast.inputs.atmosphere import synthetic_atmosphere, synthetic_statistics
from perfkit.models.gencast.model import GenCast
from perfkit.models.gencast.task import TaskConfig
from perfkit.models.workload import Workload

type MakeWorkload = Callable[..., Workload]

MODEL = GenCast()
NODES = 13 * 24

real = pytest.mark.skipif(
    find_spec("weathernext") is None, reason="weathernext, the published GenCast, is not installed"
)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, stub_module: Any) -> Any:
    stub_module.install(monkeypatch)
    return stub_module


@pytest.fixture
def published() -> None:
    """The installed package."""


@pytest.fixture
def workload(small_model: dict[str, str]) -> MakeWorkload:
    """Return a function that makes a workload at a fidelity."""

    def make(engine: str = "weathernext", **fidelity: int) -> Workload:
        return MODEL.workload({**small_model, "resolution": 15.0, "engine": engine}, fidelity)

    return make


def compiled(workload: Workload, overrides: dict[str, str]) -> tuple[Any, Any]:
    prepared = MODEL.prepare(workload, overrides)
    return prepared, jax.jit(prepared.function).lower(*prepared.arguments).compile()


@pytest.mark.parametrize("engine", ["stub", pytest.param("published", marks=real)])
def test_a_forecast_of_two_steps_has_every_field_and_the_first_denoiser_call(
    request: pytest.FixtureRequest, workload: MakeWorkload, engine: str, tmp_path: Path
) -> None:
    request.getfixturevalue(engine)
    prepared, step = compiled(workload(steps=2, members=1, levels=2), {})
    outputs = prepared.drive(step)
    call = outputs["denoiser_call"]
    assert call.shape == (NODES, 1, 6 + 6 * 13)
    assert np.isfinite(call).all()
    assert set(outputs) == {*TaskConfig().target_variables, "denoiser_call"}
    assert outputs["temperature"].shape == (1, 1, 2, 13, 13, 24)
    land = np.isnan(synthetic_atmosphere(15.0).fields["sea_surface_temperature"]).any(axis=1)
    for name, field in outputs.items():
        expected = land[None, :, None] if name == "sea_surface_temperature" else False
        np.testing.assert_array_equal(np.isnan(field), np.broadcast_to(expected, field.shape))
    assert set(prepared.compared(outputs)) == set(MODEL.tolerances)
    # Two levels with two calls each, in both steps; noise is drawn twice per level.
    assert prepared.parts == {"denoiser_call": 8, "noise_set": 8, "step_setup": 2}
    (written,) = prepared.write(outputs, tmp_path)
    assert written.name == "forecast.nc"


@pytest.mark.parametrize("engine", ["stub", pytest.param("published", marks=real)])
def test_parts_are_found_in_the_compiled_program(
    request: pytest.FixtureRequest, workload: MakeWorkload, engine: str
) -> None:
    request.getfixturevalue(engine)
    _, step = compiled(workload(), {})
    names = re.findall(r'op_name="([^"]*)"', step.as_text())
    parts = {MODEL.part_of(name) for name in names}
    assert parts >= {"denoiser_call", "noise_set", "step_setup"}


def test_the_sampled_state_is_converted_to_physical_units(
    stub: Any, workload: MakeWorkload
) -> None:
    prepared, step = compiled(workload(levels=2), {})
    outputs = prepared.drive(step)
    # Starting from 0, each call halves the state and adds 1: 1, 1.5, 1.75, 1.875.
    np.testing.assert_array_equal(outputs["denoiser_call"], 1.0)
    example, statistics = synthetic_atmosphere(15.0), synthetic_statistics(TaskConfig())
    warmed = 1.875 * statistics.change_spread["temperature"].reshape(-1, 1, 1)
    expected = example.fields["temperature"][:, 1:2] + warmed
    np.testing.assert_allclose(outputs["temperature"][0], expected, rtol=1e-6)
    rain = 1.2e-3 + 1.875 * 2.7e-3
    np.testing.assert_allclose(outputs["total_precipitation_12hr"], rain, rtol=1e-6)


@pytest.mark.parametrize(("attention", "kind"), [("dense", "mha"), ("banded", "triblockdiag_mha")])
def test_the_knob_sets_the_implementation_of_attention(
    stub: Any, workload: MakeWorkload, attention: str, kind: str
) -> None:
    compiled(workload(), {"attention": attention})
    assert stub.GenCast.attention == (kind, "full")


def test_bfloat16_is_cast_by_the_published_wrapper(stub: Any, workload: MakeWorkload) -> None:
    prepared, step = compiled(workload(), {"precision": "bfloat16"})
    call = prepared.drive(step)["denoiser_call"]
    assert call.dtype == jax.numpy.bfloat16
    np.testing.assert_array_equal(call.astype(np.float32), 1.0)


@pytest.mark.parametrize(
    ("knob", "value", "named"),
    [
        ("attention", "patches", "attention=patches"),
        ("precision", "bfloat16_network", "precision=bfloat16_network"),
        ("grid_block", "1024", "grid_block"),
        ("edge_basis", "full", "edge_basis"),
        ("kernels", "native", "kernels=native"),
    ],
)
def test_knobs_that_the_published_implementation_lacks_are_refused(
    stub: Any, workload: MakeWorkload, knob: str, value: str, named: str
) -> None:
    configuration = Catalogue(MODEL.knobs).configuration({knob: value})
    with pytest.raises(UserError, match=f"--engine weathernext has no {named}; leave it out"):
        MODEL.check(workload(), configuration)
    with pytest.raises(ConfigurationRefusedError, match=named):
        MODEL.prepare(workload(), configuration.overrides())
    MODEL.check(workload("perfkit"), configuration)


def test_only_knobs_of_the_published_implementation_are_searched(
    stub: Any, workload: MakeWorkload
) -> None:
    own = workload("perfkit")
    for name, value, has in [
        ("precision", "bfloat16", True),
        ("precision", "bfloat16_network", False),
        ("parameters", "constants", True),
        # The grid has 312 nodes; blocks that hold all of them change nothing.
        ("grid_block", "256", False),
    ]:
        assert MODEL.worth_trying(workload(), name, value) is has
        assert MODEL.worth_trying(own, name, value)


def test_parts_of_the_published_implementation_are_counted(
    stub: Any, workload: MakeWorkload
) -> None:
    production = {"levels": 20, "steps": 30, "members": 1}
    counts = MODEL.part_counts(production, workload())
    assert counts == {"denoiser_call": 40 * 30, "noise_set": 40 * 30, "step_setup": 30}
    assert MODEL.part_counts(production)["denoiser_call"] == 39 * 30


@pytest.mark.parametrize(
    ("resolution", "mesh", "resident_bytes"), [(4.0, 3, 1.87e9), (2.0, 3, 3.70e9), (1.5, 3, 5.65e9)]
)
def test_the_predicted_memory_equals_the_measured_memory(
    monkeypatch: pytest.MonkeyPatch,
    stub_module: Any,
    resolution: float,
    mesh: int,
    resident_bytes: float,
) -> None:
    stub_module.install(monkeypatch)
    options: dict[str, str | int | float | bool]
    options = {"resolution": resolution, "mesh": mesh, "engine": "weathernext"}
    stock = Catalogue(MODEL.knobs).configuration({})
    predicted = MODEL.memory_estimate_bytes(MODEL.workload(options, {}), stock)
    assert predicted == pytest.approx(resident_bytes, rel=0.1)


@real
@pytest.mark.parametrize("attention", ["dense", "banded"])
def test_perfkits_engine_agrees_with_the_published_one_part_by_part(
    published: None, workload: MakeWorkload, attention: str
) -> None:
    ours, step = compiled(workload("perfkit"), {})
    expected = ours.compared(ours.drive(step))
    theirs, step = compiled(workload(), {"attention": attention})
    agreement = compare(theirs.compared(theirs.drive(step)), expected, MODEL.tolerances)
    assert {quantity.name for quantity in agreement.quantities} == set(MODEL.tolerances)
    assert agreement.reached <= AgreementClass.FLOAT32
