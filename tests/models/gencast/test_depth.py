"""GenCast's shallow network: the first layers of the transformer, and the same outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from perfkit.errors import UserError
from perfkit.models.base import REST
from perfkit.models.depth import Blocks
from perfkit.models.gencast.depth import first_layers
from perfkit.models.gencast.inputs.checkpoint import (
    check_parameters,
    load_checkpoint,
    save_checkpoint,
)
from perfkit.models.gencast.inputs.synthetic_weights import architecture_for, synthetic_checkpoint
from perfkit.models.gencast.model import GenCast
from tests.support.quick_compilation import quick_jit

MODEL = GenCast()

LAYER = "mesh_transformer/~/transformer/block_{:02d}/mha_final"


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory, small_model: dict[str, str]) -> dict[str, str]:
    """Options for a narrow network with seven layers, in the published format."""
    path = tmp_path_factory.mktemp("deep") / "deep.npz"
    architecture = architecture_for(1, latent=32, layers=7, feed_forward=64)
    save_checkpoint(synthetic_checkpoint(architecture), path)
    return {**small_model, "checkpoint": str(path)}


def test_the_first_four_layers_of_a_published_file_are_kept(deep: dict[str, str]) -> None:
    full = load_checkpoint(Path(deep["checkpoint"]))
    shallow = first_layers(full)
    check_parameters(shallow, "the shallow network")
    assert shallow.denoiser_architecture_config.sparse_transformer_config.num_layers == 4
    gone = {module for module in full.params if module not in shallow.params}
    assert {LAYER.format(layer) for layer in (4, 5, 6)} <= gone
    # Two modulations, three projections and three other layers for each of the three.
    assert len(gone) == 3 * 8
    for module, leaves in shallow.params.items():
        assert leaves is full.params[module]


def test_the_shallow_network_runs_and_has_the_outputs_of_the_full_one(
    deep: dict[str, str], tmp_path: Path
) -> None:
    workload = MODEL.workload({**deep, "resolution": 15.0}, {})
    shallow = MODEL.shallow(workload)
    assert shallow is not None
    assert shallow.digest != workload.digest
    assert MODEL.stacks(shallow) == {"mesh transformer": Blocks(4, 7)}

    def ran(given: Any) -> tuple[Any, Any]:
        prepared = MODEL.prepare(given, {})
        return prepared, prepared.drive(quick_jit(prepared.function))

    prepared, outputs = ran(shallow)
    _, expected = ran(workload)
    assert jax.tree.map(np.shape, outputs) == jax.tree.map(np.shape, expected)
    assert not np.allclose(outputs["denoiser_call"], expected["denoiser_call"], atol=1e-3)
    assert np.isfinite(outputs["denoiser_call"]).all()
    with pytest.raises(UserError, match="run the workload at full depth"):
        prepared.write(outputs, tmp_path)


def test_a_network_of_few_layers_has_no_shallow_one(small_model: dict[str, str]) -> None:
    workload = MODEL.workload({**small_model, "resolution": 15.0}, {})
    assert MODEL.shallow(workload) is None
    assert MODEL.stacks(workload) == {}


def test_the_published_network_has_16_layers() -> None:
    workload = MODEL.workload({"resolution": 10.0}, {})
    assert MODEL.stacks(workload) == {"mesh transformer": Blocks(4, 16)}


@pytest.mark.parametrize(
    ("path", "stack"),
    [
        (
            "jit(step_setup)/while/body/denoiser_call/mesh_transformer/attend/dot",
            "mesh transformer",
        ),
        ("jit(step_setup)/while/body/denoiser_call/grid2mesh/dot_general", REST),
        ("", None),
    ],
)
def test_operations_of_the_transformer_belong_to_the_stack(path: str, stack: str | None) -> None:
    assert MODEL.stack_of(path) == stack
