"""Predicts the peak memory of a forecast on a CPU before compiling anything.

The terms are fitted to the compiler's memory analysis of the published sizes, which needs shapes
only. ``tests/models/gencast/test_memory.py`` compares the terms with that analysis.
"""

from __future__ import annotations

import math

from perfkit.models.gencast.inputs.checkpoint import DenoiserArchitectureConfig
from perfkit.models.gencast.knobs import AUTOMATIC, Settings
from perfkit.models.gencast.task import TaskConfig
from perfkit.models.shared_knobs import FLOAT32

PROCESS_BYTES = 0.9e9
"""Resident bytes of the interpreter, imported packages, the compiler and XLA's buffers for matrix
products."""

PATCH_NODES = 128
"""Most nodes of a patch of attention. Smaller patches repeat more keys; larger ones compute more
masked logits (benchmarks/scripts/gencast_choices.py)."""

_PUBLISHED_WIDTH = 512
"""Width of the published network's latents."""

PARAMETER_COUNT = 57_492_612
"""Number of parameters of the published network, from its shapes."""

EDGES_PER_GRID_NODE = 5
"""Edges per grid node: three into the grid node and, at the published query radius, 1.57 into the
mesh; rounded up."""

_LIVE_LATENTS = 3
"""Latents of the whole grid that are alive during a call: context, encoded grid, its messages."""

_LIVE_BLOCK_LATENTS = 11
"""XLA's temporary memory per grid node of a block, in latents of a node (one set of edges is
three). The compiler reports 1.99 GB for the whole grid at 1 degree and 0.64 GB in blocks of 2,048
(latent 512, float32)."""

_EDGE_RANK = 80
"""Numerical rank of encoded edges, rounded up (observed: 65 to 75)."""

_STATES = 6
"""Arrays of all outputs that the sampler, its noise and the stacking of inputs hold."""

_MESH_LATENTS = 25
"""Latents of the whole mesh that the transformer's layers hold together, widened ones included."""

_PATCH_REACH_HOPS = 6
"""Edges from the centre of a patch of 128 nodes to its rim."""


def peak_resident_bytes(
    architecture: DenoiserArchitectureConfig, grid_nodes: int, settings: Settings
) -> int:
    """Predict the peak resident set of perfkit's implementation.

    Parameters
    ----------
    architecture
        Mesh and widths.
    grid_nodes
        Number of grid nodes.
    settings
        Values of the model's knobs.

    Returns
    -------
    int
        Peak resident set in bytes.
    """
    # A parameter that is a constant exists as a literal, in the module and in generated code.
    copies = 4 if settings.constants else 0
    baked_bytes = copies * (PARAMETER_COUNT * _width(settings) + _edge_bytes(grid_nodes, settings))
    return int(
        PROCESS_BYTES
        # Weights are held as they are in the file and in the layout of the products.
        + 4 * PARAMETER_COUNT
        + baked_bytes
        + argument_bytes(architecture, grid_nodes, settings)
        + temporary_bytes(architecture, grid_nodes, settings)
    )


_PUBLISHED_LATENTS = 72
"""Peak memory of the published implementation in latents of the whole grid, XLA's buffers for
matrix products included. Measured: 1.87 GB resident at 4 degrees, 3.70 GB at 2 degrees and 5.65 GB
at 1.5 degrees, float32."""


def weathernext_peak_bytes(
    architecture: DenoiserArchitectureConfig, grid_nodes: int, settings: Settings
) -> int:
    """Predict the peak resident set of the published implementation, in bytes.

    It computes the whole grid at once and stores every edge in full.

    Parameters
    ----------
    architecture, grid_nodes, settings
        As for :func:`peak_resident_bytes`.
    """
    latent_bytes = architecture.latent_size * _width(settings)
    mesh_nodes = _mesh_nodes(architecture)
    heads = architecture.sparse_transformer_config.num_heads
    logits_bytes = 2 * 4 * heads * mesh_nodes**2
    on_grid = _PUBLISHED_LATENTS * latent_bytes * grid_nodes
    # The transformer runs between the two graph networks and reuses their memory.
    on_mesh = _MESH_LATENTS * latent_bytes * mesh_nodes + logits_bytes
    copies = 6 if settings.constants else 2
    return int(PROCESS_BYTES + copies * 4 * PARAMETER_COUNT + max(on_grid, on_mesh))


def argument_bytes(
    architecture: DenoiserArchitectureConfig, grid_nodes: int, settings: Settings
) -> int:
    """Predict the bytes of a step's arguments: weights, edges, mask, harmonics, input frames."""
    task = TaskConfig()
    orders = math.isqrt(grid_nodes // 2)
    mask_bytes = _mesh_nodes(architecture) * _keys(architecture, settings)
    frames_bytes = 4 * grid_nodes * (task.grid_channels - task.output_channels)
    weights_bytes = PARAMETER_COUNT * _width(settings)
    edge_bytes = _edge_bytes(grid_nodes, settings)
    return int(weights_bytes + edge_bytes + mask_bytes + 4 * orders**3 + frames_bytes)


def temporary_bytes(
    architecture: DenoiserArchitectureConfig, grid_nodes: int, settings: Settings
) -> int:
    """Predict the temporary bytes that XLA allocates for a step of :func:`peak_resident_bytes`."""
    latent_bytes = architecture.latent_size * _width(settings)
    block = min(settings.grid_block or grid_nodes, grid_nodes)
    heads = architecture.sparse_transformer_config.num_heads
    queries = PATCH_NODES if _in_patches(settings) else _mesh_nodes(architecture)
    logits_bytes = 2 * 4 * heads * queries * _keys(architecture, settings)
    latents = (
        _LIVE_LATENTS * grid_nodes
        + _LIVE_BLOCK_LATENTS * block
        + _MESH_LATENTS * _mesh_nodes(architecture)
    )
    return int(
        latent_bytes * latents
        + logits_bytes
        + _STATES * 4 * grid_nodes * TaskConfig().output_channels
    )


def _width(settings: Settings) -> int:
    return 4 if settings.precision == FLOAT32 else 2


def _edge_bytes(grid_nodes: int, settings: Settings) -> int:
    rank = _EDGE_RANK if settings.compress_edges else _PUBLISHED_WIDTH
    return EDGES_PER_GRID_NODE * grid_nodes * rank * _width(settings)


def _mesh_nodes(architecture: DenoiserArchitectureConfig) -> int:
    nodes: int = 10 * 4**architecture.mesh_size + 2
    return nodes


def _in_patches(settings: Settings) -> bool:
    return settings.attention in (AUTOMATIC, "patches")


def _keys(architecture: DenoiserArchitectureConfig, settings: Settings) -> int:
    """Return the largest number of keys that a query has logits for."""
    nodes = _mesh_nodes(architecture)
    if not _in_patches(settings):
        return nodes
    reach = architecture.sparse_transformer_config.attention_k_hop + _PATCH_REACH_HOPS
    # A triangular lattice has 3 r (r + 1) + 1 nodes within r steps.
    return min(nodes, 3 * reach * (reach + 1) + 1)
