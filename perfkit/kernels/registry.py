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
)
"""All kernels. One library holds them."""
