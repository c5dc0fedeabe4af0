"""One preconditioned denoiser call against reference outputs of the published model."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perfkit.models.gencast.forecast_step import embed_normalised
from perfkit.models.gencast.network import denoiser_network as network
from perfkit.models.gencast.network.constants import Execution
from perfkit.models.gencast.network.definition import ENCODER
from perfkit.models.gencast.network.denoiser import denoise
from perfkit.models.gencast.network.layers import block, noise_encoding
from perfkit.models.gencast.network.stacking import stack, unstack

EXECUTIONS = {
    "plain": Execution(attention="dense", grid_block=None, compress_edges=False),
    "dense in blocks": Execution(attention="dense", grid_block=100, compress_edges=True),
    "patches in blocks": Execution(attention="patches", grid_block=100, compress_edges=True),
    "banded in blocks": Execution(attention="banded", grid_block=97, compress_edges=True),
}


def denoise_fields(settings: Any, constants: Any, fields: dict[str, Any], levels: Any) -> Any:
    nlat, nlon = fields["noisy"]["2m_temperature"].shape[-2:]
    context = embed_normalised(settings, constants, fields["inputs"], fields["forcings"])
    noisy = stack(fields["noisy"], nlat, nlon, len(levels)).astype(settings.state_dtype)
    levels = jnp.asarray(levels).astype(settings.state_dtype)
    clean = denoise(constants, settings.network, context, noisy, levels)
    return unstack(clean, settings.task, nlat, nlon)


def run_case(reference: Any, set_up: Any, case: str, call: str, execution: Execution) -> Any:
    arrays = reference.arrays(case)
    settings, constants = set_up(
        reference.checkpoint(case), arrays["lat"], arrays["lon"], execution
    )
    fields = {
        "inputs": reference.group(case, "inputs"),
        "forcings": reference.group(case, "forcings"),
        "noisy": reference.group(case, f"{call}/noisy"),
    }
    run = jax.jit(partial(denoise_fields, settings))
    return run(constants, fields, arrays[f"{call}/noise_levels"])


def largest_difference(ours: Any, theirs: dict[str, Any]) -> float:
    assert set(ours) == set(theirs)
    return max(float(np.abs(np.asarray(ours[v]) - theirs[v]).max()) for v in theirs)


@pytest.mark.parametrize("execution", EXECUTIONS.values(), ids=EXECUTIONS)
@pytest.mark.parametrize(
    ("case", "call"), [("denoiser_A", "0"), ("denoiser_A", "1"), ("denoiser_B", "0")]
)
def test_a_denoiser_call_equals_the_published_one_to_rounding(
    reference: Any, set_up: Any, case: str, call: str, execution: Execution
) -> None:
    ours = run_case(reference, set_up, case, call, execution)
    theirs = reference.group(case, f"{call}/denoised")
    assert largest_difference(ours, theirs) <= reference.tolerances[case]


def test_a_call_in_float64_equals_the_published_one_to_rounding(
    reference: Any, set_up: Any, x64: None
) -> None:
    execution = Execution(dtype=np.dtype(np.float64))
    arrays = reference.arrays("denoiser_A")
    settings, constants = set_up(
        reference.checkpoint("denoiser_A"), arrays["lat"], arrays["lon"], execution
    )
    fields = {
        group: {
            name: array.astype(np.float64)
            for name, array in reference.group("denoiser_A", path).items()
        }
        for group, path in {"inputs": "inputs", "forcings": "forcings", "noisy": "1/noisy"}.items()
    }
    run = jax.jit(partial(denoise_fields, settings))
    ours = run(constants, fields, arrays["1/noise_levels"])
    assert ours["temperature"].dtype == np.float64
    theirs = reference.group("denoiser_A", "1/denoised")
    assert largest_difference(ours, theirs) <= reference.tolerances["denoiser_A"]


def test_every_stage_of_a_call_equals_the_published_one(reference: Any, set_up: Any) -> None:
    case, execution = "denoiser_A", EXECUTIONS["dense in blocks"]
    arrays, inner = reference.arrays(case), reference.group(case, "1/inner")
    checkpoint = reference.checkpoint(case)
    settings, constants = set_up(checkpoint, arrays["lat"], arrays["lon"], execution)
    level = arrays["1/noise_levels"]
    encoding = noise_encoding(constants.weights, jnp.asarray(level), 16.0, True)
    np.testing.assert_allclose(encoding, inner["noise_encoding"], atol=2e-6)

    context = embed_normalised(
        settings, constants, reference.group(case, "inputs"), reference.group(case, "forcings")
    )
    noisy = stack(reference.group(case, "1/noisy"), 13, 24, 1) / np.sqrt(level**2 + 1)
    grid, mesh = network.encode(constants, settings.network, context, noisy, encoding)
    np.testing.assert_allclose(mesh, inner["mesh_after_grid2mesh"], atol=2e-5)
    update = block(constants.weights, f"{ENCODER}/processor_nodes_0_grid_nodes", grid, encoding)
    np.testing.assert_allclose(grid + update, inner["grid_after_grid2mesh"], atol=2e-5)
    mesh = network.transform(constants, settings.network, mesh, encoding)
    np.testing.assert_allclose(mesh, inner["mesh_after_transformer"], atol=2e-5)
    raw = network.decode(constants, settings.network, grid, mesh, encoding)
    np.testing.assert_allclose(raw, inner["raw_output"], atol=2e-5)


def test_the_reference_has_mesh_nodes_without_incoming_edges(reference: Any, set_up: Any) -> None:
    arrays = reference.arrays("denoiser_B")
    _, constants = set_up(
        reference.checkpoint("denoiser_B"), arrays["lat"], arrays["lon"], Execution()
    )
    assert len(np.unique(constants.to_mesh_receivers)) == 642 - 24


def bfloat16_ratio(reference: Any, set_up: Any, execution: Execution, state_dtype: Any) -> float:
    """The distance of a call from float32 over that of the published model in bfloat16."""
    arrays, lat, lon = (
        reference.arrays("bf16_A"),
        reference.arrays("denoiser_A")["lat"],
        reference.arrays("denoiser_A")["lon"],
    )
    settings, constants = set_up(reference.checkpoint("bf16_A"), lat, lon, execution, state_dtype)
    fields = {group: reference.group("bf16_A", group) for group in ("inputs", "forcings", "noisy")}
    ours = jax.jit(partial(denoise_fields, settings))(constants, fields, arrays["noise_levels"])
    exact = reference.group("bf16_A", "denoised_f32")
    theirs = reference.group("bf16_A", "denoised_bf16")

    def distance(candidate: Any) -> float:
        errors = [(np.asarray(candidate[v], np.float64) - exact[v]).ravel() for v in exact]
        return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))

    return distance(ours) / distance(theirs)


@pytest.mark.parametrize("state_dtype", [jnp.bfloat16, np.float32], ids=["all", "network only"])
def test_bfloat16_is_as_far_from_float32_as_in_the_published_model(
    reference: Any, set_up: Any, state_dtype: Any
) -> None:
    execution = Execution(dtype=np.dtype(jnp.bfloat16), grid_block=100)
    ratio = bfloat16_ratio(reference, set_up, execution, state_dtype)
    bounds = reference.tolerances["bf16"]
    assert bounds["min_ratio"] <= ratio <= bounds["max_ratio"]
