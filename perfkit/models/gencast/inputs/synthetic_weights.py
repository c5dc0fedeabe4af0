"""Random weights that keep activations and forecasts at the size trained ones give."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from perfkit.models.gencast.inputs.checkpoint import (
    Checkpoint,
    DenoiserArchitectureConfig,
    Parameters,
    SparseTransformerConfig,
    parameter_shapes,
)

SYNTHETIC_WEIGHTS_NOTICE = (
    "the weights are synthetic: times and memory are real, the forecast means nothing"
)

SEED = 0
LONGEST_REACH_HOPS = 32
"""Hops of attention of the 0.25 degree model, according to its paper (Price et al. 2024)."""

_MODULATION_GAIN = 0.1
"""Trained modulations vary about one; so do these."""

_OUTPUT_GAIN = 0.3
"""A trained denoiser's correction is smaller than the noise it corrects: with a gain of one, the
sampler amplifies rounding from call to call as no trained model does."""

_BIAS = 0.02


def architecture_for(
    mesh_size: int,
    hops: int | None = None,
    latent: int = 512,
    layers: int = 16,
    feed_forward: int = 2048,
) -> DenoiserArchitectureConfig:
    """The published architecture on a mesh of ``mesh_size`` refinements.

    Parameters
    ----------
    hops
        Reach of attention on the mesh; by default one edge of the icosahedron, as for the Mini,
        and no more than the finest model's.
    latent, layers, feed_forward
        Widths and depth; the defaults are the published ones.
    """
    reach = min(2**mesh_size, LONGEST_REACH_HOPS) if hops is None else hops
    return DenoiserArchitectureConfig(
        SparseTransformerConfig(
            attention_k_hop=reach,
            d_model=latent,
            num_layers=layers,
            ffw_hidden=feed_forward,
            attention_type="triblockdiag_mha",
        ),
        mesh_size=mesh_size,
        latent_size=latent,
    )


def synthetic_checkpoint(architecture: DenoiserArchitectureConfig, seed: int = SEED) -> Checkpoint:
    """Random weights for ``architecture``; ``seed`` chooses them."""
    return Checkpoint(
        params=_parameters(architecture, seed),
        denoiser_architecture_config=architecture,
        description=f"synthetic weights of perfkit, seed {seed}; not trained",
        license="none",
    )


def _parameters(architecture: DenoiserArchitectureConfig, seed: int) -> Parameters:
    layers = architecture.sparse_transformer_config.num_layers
    return {
        module: {leaf: _values(module, leaf, shape, layers, seed) for leaf, shape in leaves.items()}
        for module, leaves in parameter_shapes(architecture).items()
    }


def _values(
    module: str, leaf: str, shape: tuple[int, ...], layers: int, seed: int
) -> NDArray[np.float32]:
    digest = hashlib.sha256(f"{seed}:{module}:{leaf}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    values = generator.standard_normal(shape, np.float32)
    if leaf == "b":
        return values * np.float32(_BIAS)
    gain = 1.0
    if "_norm_conditioning" in module:
        gain = _MODULATION_GAIN
    elif module.endswith(("/mha_final", "/ffw_down")):
        gain = (2 * layers) ** -0.5
    elif module.endswith("decoder_nodes_grid_nodes_mlp/~/linear_1"):
        gain = _OUTPUT_GAIN
    return values * np.float32(gain / np.sqrt(shape[0]))
