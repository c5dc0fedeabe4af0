"""GenCast's stack of transformer layers, and the shallow network with the first few of them."""

from __future__ import annotations

from dataclasses import replace

from perfkit.models.base import REST
from perfkit.models.depth import Blocks, Stacks
from perfkit.models.gencast.inputs.checkpoint import (
    Checkpoint,
    DenoiserArchitectureConfig,
    parameter_shapes,
)

STACK = "mesh transformer"
"""Name of the stack."""

SHALLOW_LAYERS = 4
"""Layers of the shallow network. The published network has 16, which take about a third of a pass;
the grid's encoder and decoder take most of the rest and have no identical blocks."""

_SCOPE = "mesh_transformer"
"""Substring of the paths of the transformer's operations, in both implementations."""


def stacks_of(architecture: DenoiserArchitectureConfig) -> Stacks:
    """Return the transformer's layers; nothing if the network is not deeper than the shallow one.

    Parameters
    ----------
    architecture
        Architecture of the full network.
    """
    layers = architecture.sparse_transformer_config.num_layers
    return {STACK: Blocks(SHALLOW_LAYERS, layers)} if layers > SHALLOW_LAYERS else {}


def stack_name(op_name: str) -> str | None:
    """Return the stack of an operation, see :meth:`perfkit.models.base.Model.stack_of`."""
    if _SCOPE in op_name:
        return STACK
    return REST if op_name else None


def first_layers(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint of the shallow network: the first layers of the transformer.

    Parameters
    ----------
    checkpoint
        Checkpoint of the full network, trained or synthetic.
    """
    full = checkpoint.denoiser_architecture_config
    layers = min(SHALLOW_LAYERS, full.sparse_transformer_config.num_layers)
    architecture = replace(
        full,
        sparse_transformer_config=replace(full.sparse_transformer_config, num_layers=layers),
    )
    kept = parameter_shapes(architecture, checkpoint.noise_encoder_config, checkpoint.task_config)
    return replace(
        checkpoint,
        params={module: checkpoint.params[module] for module in kept},
        denoiser_architecture_config=architecture,
    )
