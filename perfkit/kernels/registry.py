"""The kernels that perfkit has."""

from __future__ import annotations

from perfkit.kernels.kernel import Kernel

KERNELS: tuple[Kernel, ...] = (
    Kernel("transition", "transition.cc", ("GluTransition",)),
    Kernel("pair bias", "pair_bias.cc", ("PairBias",)),
    Kernel("triangle attention", "triangle_attention.cc", ("TriangleAttention",)),
    Kernel(
        "triangle multiplication",
        "triangle_multiplication.cc",
        ("TriangleContract", "TriangleEpilogue"),
    ),
    Kernel("adaptive transition", "adaptive_transition.cc", ("AdaptiveTransition",)),
    Kernel("self-attention", "adaptive_attention.cc", ("SelfAttention",)),
    Kernel("attention of atoms", "atom_attention.cc", ("AtomAttention",)),
    Kernel("edge messages", "edge_messages.cc", ("EdgeMessages",)),
    Kernel("block of a perceptron", "mlp_block.cc", ("MlpBlock",)),
    Kernel("attention of patches", "patch_attention.cc", ("PatchAttention",)),
)
"""All kernels. One library holds them."""
