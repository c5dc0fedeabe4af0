"""Synthetic parameters that make the network behave like a trained one.

Timing and memory do not depend on the values of parameters, but agreement between precisions
does: with Haiku's own initialisation every residual branch ends in zeros and nothing would be
tested, with unit gain activations explode over 48 blocks. The rule here keeps the residual
streams of order one: plain linear layers keep the variance of their input (1 / fan-in), the last
layer of each residual branch is damped, the gates that start nearly closed in the trained model
start nearly closed, and the layer that turns features into coordinates has unit gain, which
EDM's preconditioning (Karras et al. 2022, table 1) turns into coordinates of the size of a protein.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

BRANCH_GAIN = 0.3
"""Gain of the last layer of a residual branch: over 48 blocks the stream grows about threefold."""

CLOSED_GATE_BIAS = -2.0
"""Bias of the gates of adaptive layer norm (adaLN-Zero), as upstream initialises them."""

SEED = 20260101
"""Seed of the shipped rule: synthetic weights are the same everywhere."""

_BRANCH_ENDS = ("output_projection", "transition2")
_HEADS_FIRST = ("q_projection", "k_projection")
"""Layers of pair attention whose weights are stored with the input last."""


@dataclass(frozen=True)
class ParameterShape:
    """Where a parameter is and what it looks like."""

    module: str
    name: str
    shape: tuple[int, ...]
    dtype: str


def fan_in(parameter: ParameterShape) -> int:
    """Number of inputs that a weight sums over, layers of a stack left aside."""
    stacked = len(re.findall("__layer_stack", parameter.module))
    shape = parameter.shape[stacked:]
    leaf = parameter.module.rpartition("/")[2]
    if parameter.name == "output_w":
        return shape[0] * shape[1]
    if leaf in _HEADS_FIRST and "/pair_attention" in parameter.module:
        return shape[-1]
    return shape[0]


def values(parameter: ParameterShape, generator: np.random.Generator) -> np.ndarray:
    """Synthetic values of a parameter, float32, of its shape."""
    leaf = parameter.module.rpartition("/")[2]
    if parameter.name == "scale":
        return np.ones(parameter.shape, np.float32)
    if parameter.name in ("offset", "output_b"):
        return np.zeros(parameter.shape, np.float32)
    if parameter.name == "bias":
        bias = CLOSED_GATE_BIAS if leaf.endswith("adaptive_zero_cond") else 0.0
        return np.full(parameter.shape, bias, np.float32)
    ends_branch = leaf.endswith(_BRANCH_ENDS) or parameter.name == "output_w"
    gain = BRANCH_GAIN if ends_branch else 1.0
    deviation = np.float32(gain / math.sqrt(fan_in(parameter)))
    return generator.standard_normal(parameter.shape, dtype=np.float32) * deviation


def synthetic_parameters(
    shapes: list[ParameterShape], seed: int = SEED
) -> Iterator[tuple[ParameterShape, np.ndarray]]:
    """Values of all parameters, float32, in the order given."""
    generator = np.random.default_rng(seed)
    for parameter in shapes:
        yield parameter, values(parameter, generator)


def shapes_of(tree: Mapping[str, Mapping[str, object]]) -> list[ParameterShape]:
    """The shapes of a Haiku parameter tree, in order of their names."""
    return [
        ParameterShape(module, name, tuple(leaf.shape), str(leaf.dtype))  # type: ignore[attr-defined]
        for module, leaves in sorted(tree.items())
        for name, leaf in sorted(leaves.items())
    ]
