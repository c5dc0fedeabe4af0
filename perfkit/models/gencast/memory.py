"""Peak memory of a forecast on a CPU, predicted before anything is compiled."""

from __future__ import annotations

from perfkit.models.gencast.checkpoint import DenoiserArchitectureConfig
from perfkit.models.gencast.knobs import FLOAT32, Settings
from perfkit.models.gencast.task import TaskConfig

PROCESS_BYTES = 0.9e9
"""Interpreter, imported packages, the compiler and XLA's own matrix-product buffers."""

PARAMETER_COUNT = 57_492_612
"""Parameters of the published network (counted from its shapes)."""

_LIVE_LATENTS = 3
"""Latents of the whole grid that live through a call: context, encoded grid, its messages."""

_LIVE_BLOCK_LATENTS = 11
"""XLA's temporary bytes a grid node of a block, in latents of that node (three are one edge set):
1.95 GB for the whole grid at 1 degree and 0.66 GB in blocks of 2,048, latent 512, float32."""

_EDGE_RANK = 80
"""Numerical rank of encoded edges, rounded up (65 to 75 seen)."""

_STATES = 6
"""Arrays of all outputs that the sampler and its noise keep."""


def peak_resident_bytes(
    architecture: DenoiserArchitectureConfig, grid_nodes: int, settings: Settings
) -> int:
    """Predicted peak resident set in bytes.

    Parameters
    ----------
    architecture
        Mesh and widths.
    grid_nodes
        Number of grid nodes.
    settings
        What the knobs mean.
    """
    width = 4 if settings.precision == FLOAT32 else 2
    latent = architecture.latent_size * width
    mesh_nodes = 10 * 4**architecture.mesh_size + 2
    block = min(settings.grid_block or grid_nodes, grid_nodes)
    edges = 5 * grid_nodes
    rank = min(_EDGE_RANK, architecture.latent_size)
    stored_edge = (rank if settings.compress_edges else architecture.latent_size) * width
    heads = architecture.sparse_transformer_config.num_heads
    # A baked-in parameter exists as literal, as constant of the module and in generated code.
    copies = 5 if settings.constants else 1
    encoding_bytes = 4 * edges * architecture.latent_size
    running_bytes = (
        latent * (_LIVE_LATENTS * grid_nodes + _LIVE_BLOCK_LATENTS * block)
        + mesh_nodes**2 * (2 * 4 * heads + 1)
        + _STATES * 4 * grid_nodes * TaskConfig().output_channels
    )
    kept_bytes = copies * (PARAMETER_COUNT * width + edges * stored_edge)
    return int(PROCESS_BYTES + kept_bytes + max(running_bytes, encoding_bytes))
