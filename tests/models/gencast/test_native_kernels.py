"""GenCast with native kernels against the reference outputs of the published model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.models.gencast.knobs import KNOBS
from perfkit.models.gencast.model import GenCast
from perfkit.models.gencast.network.constants import Execution, network_settings
from perfkit.models.gencast.network.denoiser import denoise
from perfkit.models.workload import Workload
from perfkit.tuning.space import search_space
from tests.kernels.levels import HIGHEST, loaded
from tests.models.gencast import test_denoiser as denoiser
from tests.models.gencast import test_forecast_step as forecast_step

EXECUTION = Execution(attention="patches", grid_block=100, native_kernels=True)
IN_BFLOAT16 = Execution(
    dtype=np.dtype(jnp.bfloat16), attention="patches", grid_block=100, native_kernels=True
)

MODEL = GenCast()


@pytest.fixture(scope="module", autouse=True)
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The kernels of the highest level of this CPU are in use."""
    with loaded("".join(HIGHEST), tmp_path_factory):
        yield


@pytest.mark.parametrize(
    ("case", "call"),
    [
        pytest.param("denoiser_A", "0", marks=pytest.mark.slow),
        pytest.param("denoiser_A", "1", marks=pytest.mark.slow),
        # It has mesh nodes without incoming edges.
        ("denoiser_B", "0"),
    ],
)
def test_a_denoiser_call_equals_the_published_one_to_rounding(
    reference: Any, set_up: Any, case: str, call: str
) -> None:
    ours = denoiser.run_case(reference, set_up, case, call, EXECUTION)
    theirs = reference.group(case, f"{call}/denoised")
    assert denoiser.largest_difference(ours, theirs) <= reference.tolerances[case]


@pytest.mark.parametrize("state_dtype", [jnp.bfloat16, np.float32], ids=["all", "network only"])
def test_bfloat16_is_as_far_from_float32_as_in_the_published_model(
    reference: Any, set_up: Any, state_dtype: Any
) -> None:
    ratio = denoiser.bfloat16_ratio(reference, set_up, IN_BFLOAT16, state_dtype)
    # Kernels round less often than the published model, and may come closer to float32.
    assert 0.1 < ratio <= reference.tolerances["bf16"]["max_ratio"]


@pytest.mark.parametrize(
    ("case", "group"),
    [
        pytest.param("sample_A_churn", "prediction", marks=pytest.mark.slow),
        pytest.param("sample_A_nochurn", "prediction", marks=pytest.mark.slow),
        pytest.param("sample_A_default20", "prediction", marks=pytest.mark.slow),
    ],
)
def test_a_sampled_step_equals_the_published_one(
    reference: Any, set_up: Any, case: str, group: str
) -> None:
    run = forecast_step.step_function(reference, set_up, case, EXECUTION)
    key = jax.random.PRNGKey(int(reference.arrays(case)["seed"]))
    forcings = forecast_step.forcings_of(reference, 0)
    ours = run(reference.group("extract_A", "inputs"), forcings, key)
    theirs = reference.group(case, group)
    assert reference.physical_distance(ours, theirs) <= reference.tolerances[case]


@pytest.mark.slow
def test_a_bfloat16_step_is_as_far_from_float32_as_the_published_one(
    reference: Any, set_up: Any
) -> None:
    ratio = forecast_step.bfloat16_ratio(reference, set_up, IN_BFLOAT16)
    assert 0.1 < ratio <= reference.tolerances["bf16"]["max_ratio"]


@pytest.mark.slow
def test_a_rollout_equals_the_published_one(reference: Any, set_up: Any) -> None:
    distance = forecast_step.rollout_distance(reference, set_up, EXECUTION)
    assert distance <= reference.tolerances["rollout_A"]


def test_a_program_with_kernels_calls_each_of_them(reference: Any, set_up: Any) -> None:
    arrays = reference.arrays("denoiser_A")
    settings, constants = set_up(
        reference.checkpoint("denoiser_A"), arrays["lat"], arrays["lon"], EXECUTION
    )
    nodes, outputs = len(arrays["lat"]) * len(arrays["lon"]), settings.task.output_channels
    latent = constants.mesh_nodes.shape[-1]
    given = (jnp.zeros((nodes, 1, latent)), jnp.ones((nodes, 1, outputs)), jnp.array([0.5]))

    def text(native: bool) -> str:
        chosen = network_settings(
            reference.checkpoint("denoiser_A"),
            Execution(attention="patches", native_kernels=native),
        )
        lowered = jax.jit(lambda constants, *given: denoise(constants, chosen, *given)).lower(
            constants, *given
        )
        return lowered.as_text()

    with_kernels, without = text(True), text(False)
    for target in ("EdgeMessages", "MlpBlock", "PatchAttention"):
        assert f"perfkit.{target}" in with_kernels
    assert "perfkit." not in without


@pytest.mark.slow
def test_members_of_a_batch_are_computed_as_if_alone(reference: Any, set_up: Any) -> None:
    arrays = reference.arrays("denoiser_A")
    settings, constants = set_up(
        reference.checkpoint("denoiser_A"), arrays["lat"], arrays["lon"], EXECUTION
    )
    nodes, latent = len(arrays["lat"]) * len(arrays["lon"]), constants.mesh_nodes.shape[-1]
    random = np.random.default_rng(0)
    embedded = jnp.asarray(random.normal(size=(nodes, 2, latent)), "float32")
    noisy = jnp.asarray(random.normal(size=(nodes, 2, settings.task.output_channels)), "float32")
    levels = jnp.array([0.5, 20.0])

    @jax.jit
    def run(embedded: Any, noisy: Any, levels: Any) -> Any:
        return denoise(constants, settings.network, embedded, noisy, levels)

    together = run(embedded, noisy, levels)
    for member in range(2):
        one = slice(member, member + 1)
        alone = run(embedded[:, one], noisy[:, one], levels[one])
        np.testing.assert_allclose(together[:, one], alone, atol=2e-5)


def test_float64_and_blocks_of_other_depth_are_left_to_xla(reference: Any) -> None:
    checkpoint = reference.checkpoint("denoiser_A")
    assert network_settings(checkpoint, EXECUTION).native_kernels
    wide = Execution(dtype=np.dtype(np.float64), native_kernels=True)
    assert not network_settings(checkpoint, wide).native_kernels
    architecture = replace(checkpoint.denoiser_architecture_config, hidden_layers=2)
    deeper = replace(checkpoint, denoiser_architecture_config=architecture)
    assert not network_settings(deeper, EXECUTION).native_kernels


def test_kernels_need_a_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configuration = Catalogue(KNOBS).configuration({"kernels": "native"})
    workload = MODEL.workload({"resolution": 10.0}, {})
    MODEL.check(workload, configuration)
    assert ("kernels", "native") in tried(workload)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match="knob 'kernels' cannot be 'native' here: "):
        MODEL.check(workload, configuration)
    assert ("kernels", "native") not in tried(workload)


def tried(workload: Workload) -> set[tuple[str, str]]:
    """The settings that a tuning tries."""
    space = search_space(MODEL, workload, Catalogue(KNOBS))
    return {setting for change in space.changes for setting in change}
