"""Makes random weights with which activations and forecasts have realistic magnitudes."""

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
"""Default seed, so that synthetic weights are the same everywhere."""

LONGEST_REACH_HOPS = 32
"""Reach of attention of the 0.25 degree model in edges of the mesh (Price et al. 2024)."""

_MODULATION_GAIN = 0.1
"""Gain of modulations. The scales of trained modulations vary around one, and so do these."""

_OUTPUT_GAIN = 0.3
"""Gain of the output layer. The correction of a trained denoiser is smaller than the noise. With a
gain of one, the sampler would amplify rounding from call to call, which no trained model does."""

_BIAS = 0.02
"""Standard deviation of biases."""


def architecture_for(
    mesh_size: int,
    hops: int | None = None,
    latent: int = 512,
    layers: int = 16,
    feed_forward: int = 2048,
) -> DenoiserArchitectureConfig:
    """Return the published architecture on a mesh of ``mesh_size`` refinements.

    Parameters
    ----------
    mesh_size
        Number of refinements of the icosahedron.
    hops
        Reach of attention in edges of the mesh. By default it is one edge of the icosahedron, as
        in GenCast Mini, but at most :data:`LONGEST_REACH_HOPS`.
    latent
        Width of the latents.
    layers
        Number of layers of the transformer.
    feed_forward
        Width of the transformer's feed-forward layers.
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
    """Make a checkpoint with random weights.

    Parameters
    ----------
    architecture
        Mesh and widths.
    seed
        Seed of the weights.
    """
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
