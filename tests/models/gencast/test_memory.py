"""The predicted memory equals the compiler's analysis, also at sizes that are never run."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perfkit.models.gencast.forecast_step import ForecastArrays, ForecastSettings, predict_step
from perfkit.models.gencast.inputs.atmosphere import synthetic_atmosphere, synthetic_statistics
from perfkit.models.gencast.inputs.checkpoint import Checkpoint, SamplerConfig, parameter_shapes
from perfkit.models.gencast.inputs.dataset import forecast_inputs
from perfkit.models.gencast.inputs.synthetic_weights import architecture_for
from perfkit.models.gencast.knobs import settings_for
from perfkit.models.gencast.memory import argument_bytes, temporary_bytes
from perfkit.models.gencast.network.attention import AttentionMask, Patches
from perfkit.models.gencast.network.constants import Execution, is_read, network_settings
from perfkit.models.gencast.network.definition import EdgeTerms, NetworkConstants
from perfkit.models.gencast.sphere.sphere_noise import HarmonicTables
from perfkit.models.gencast.task import TaskConfig

TASK = TaskConfig()


def shaped(shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
    """Return a shape that replaces an array in a compilation."""
    return jax.ShapeDtypeStruct(shape, dtype)


def compiled_step(
    nlat: int, mesh: int, edges: int, patch: tuple[int, int, int], overrides: dict[str, str]
) -> Any:
    """Compile a step of two noise levels from shapes only.

    Parameters
    ----------
    nlat
        Number of latitudes.
    mesh
        Number of refinements of the mesh.
    edges
        Number of grid-to-mesh edges.
    patch
        Number of patches, and most queries and keys of a patch.
    overrides
        Knob -> value.
    """
    nlon = 2 * (nlat - 1)
    nodes, architecture = nlat * nlon, architecture_for(mesh)
    mesh_nodes, orders, rank = 10 * 4**mesh + 2, nlon // 2, 72
    settings = settings_for(overrides)
    bfloat16 = settings.precision != "float32"
    dtype = np.dtype(jnp.bfloat16 if bfloat16 else np.float32)
    execution = Execution(dtype, "patches", settings.grid_block, settings.compress_edges)
    weights = {
        module: {leaf: shaped(shape, dtype) for leaf, shape in leaves.items()}
        for module, leaves in parameter_shapes(architecture).items()
        if is_read(module)
    }
    patches, queries, keys = patch
    checkpoint = Checkpoint({}, architecture, sampler_config=SamplerConfig(num_noise_levels=2))
    constants = NetworkConstants(
        weights=weights,
        grid_features=shaped((nodes, 3), dtype),
        mesh_nodes=shaped((mesh_nodes, 512), dtype),
        to_mesh_edges=EdgeTerms(shaped((edges, rank), dtype), shaped((rank, 512), dtype)),
        to_grid_edges=EdgeTerms(shaped((nodes, 3, rank), dtype), shaped((rank, 512), dtype)),
        to_mesh_senders=shaped((edges,), np.int32),
        to_mesh_receivers=shaped((edges,), np.int32),
        to_grid_senders=shaped((nodes, 3), np.int32),
        mask=AttentionMask(
            shaped(patch, np.bool_),
            Patches(
                shaped((patches, queries), np.int32),
                shaped((patches, keys), np.int32),
                shaped((mesh_nodes,), np.int32),
            ),
        ),
    )
    tables = HarmonicTables(shaped((orders, orders, nlat)), shaped((2, orders, nlon)))
    statistics = jax.tree.map(jnp.asarray, synthetic_statistics(TASK))
    coarse = forecast_inputs(synthetic_atmosphere(10.0), TASK, 1)

    def enlarged(array: np.ndarray) -> Any:
        sizes = {19: nlat, 36: nlon}
        shape: tuple[int, ...] = array.shape
        return shaped(tuple(sizes.get(size, size) for size in shape))

    step = partial(
        predict_step,
        ForecastSettings(
            TASK,
            checkpoint.sampler_config,
            network_settings(checkpoint, execution),
            dtype,
            np.dtype(np.float32),
        ),
    )
    arguments = (
        ForecastArrays(constants, statistics, tables),
        *(
            {k: enlarged(v) for k, v in fields.items()}
            for fields in (coarse.inputs, coarse.forcings)
        ),
        shaped((2,), np.uint32),
    )
    return jax.jit(step).lower(*arguments).compile()


MINI = (181, 4, 102486, (21, 122, 1468))
ONE_DEGREE = (181, 5, 101892, (81, 127, 4200))
QUARTER_DEGREE = (721, 6, 1633000, (321, 128, 4681))


@pytest.mark.parametrize(
    ("size", "overrides"),
    [
        (MINI, {}),
        pytest.param(MINI, {"grid_block": "whole"}, marks=pytest.mark.slow),
        pytest.param(MINI, {"precision": "bfloat16_network"}, marks=pytest.mark.slow),
        pytest.param(ONE_DEGREE, {}, marks=pytest.mark.slow),
        pytest.param(QUARTER_DEGREE, {}, marks=pytest.mark.slow),
        pytest.param(QUARTER_DEGREE, {"precision": "bfloat16_network"}, marks=pytest.mark.slow),
    ],
)
def test_predicted_memory_equals_the_compilers_analysis(
    size: tuple[int, int, int, tuple[int, int, int]], overrides: dict[str, str]
) -> None:
    nlat, mesh, *_ = size
    analysis = compiled_step(*size, overrides).memory_analysis()
    given = (architecture_for(mesh), nlat * 2 * (nlat - 1), settings_for(overrides))
    assert argument_bytes(*given) == pytest.approx(analysis.argument_size_in_bytes, rel=0.15)
    assert temporary_bytes(*given) == pytest.approx(analysis.temp_size_in_bytes, rel=0.2)
