"""Makes synthetic parameters with which the network behaves like a trained one.

Timing and memory do not depend on the values of parameters, but agreement between precisions
does. With Haiku's own initialisation, every residual branch ends in zeros and nothing would be
tested; with unit gain, activations explode over 48 blocks. The rule here keeps the residual
streams of order one. Plain linear layers preserve the variance of their input (1 / fan-in). The
last layer of each residual branch is damped. Gates that are initialised nearly closed for
training are nearly closed here too. The layer that turns features into coordinates has unit
gain, which EDM's preconditioning (Karras et al. 2022, table 1) turns into coordinates of the size
of a protein.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

BRANCH_GAIN = 0.3
"""Gain of the last layer of a residual branch. The stream grows about threefold in 48 blocks."""

CLOSED_GATE_BIAS = -2.0
"""Bias of the gates of adaptive layer norm (adaLN-Zero), as upstream initialises it."""

SEED = 20260101
"""Default seed, so that synthetic weights are the same everywhere."""

_BRANCH_ENDS = ("output_projection", "transition2")
"""Names of the last layers of residual branches."""

_HEADS_FIRST = ("q_projection", "k_projection")
"""Layers of pair attention whose weights are stored with the input dimension last."""


@dataclass(frozen=True)
class ParameterShape:
    """Name, shape and type of a parameter.

    Attributes
    ----------
    module
        Path of the Haiku module.
    name
        Name of the parameter in its module.
    shape
        Shape, including a leading dimension per layer stack.
    dtype
        Name of the NumPy type that upstream stores it in, ``float32`` or ``bfloat16``.
    """

    module: str
    name: str
    shape: tuple[int, ...]
    dtype: str


def fan_in(parameter: ParameterShape) -> int:
    """Return the number of inputs that a weight sums over, without the layers of a stack."""
    stacked = len(re.findall("__layer_stack", parameter.module))
    shape = parameter.shape[stacked:]
    leaf = parameter.module.rpartition("/")[2]
    if parameter.name == "output_w":
        return shape[0] * shape[1]
    if leaf in _HEADS_FIRST and "/pair_attention" in parameter.module:
        return shape[-1]
    return shape[0]


def values(parameter: ParameterShape, generator: np.random.Generator) -> np.ndarray:
    """Draw the synthetic values of a parameter, as float32 in its shape."""
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
    """Yield each parameter with its synthetic values (float32), in the order of ``shapes``.

    Parameters
    ----------
    shapes
        The parameters. Values depend on their order.
    seed
        Seed of the values.
    """
    generator = np.random.default_rng(seed)
    for parameter in shapes:
        yield parameter, values(parameter, generator)


def shapes_of(tree: Mapping[str, Mapping[str, object]]) -> list[ParameterShape]:
    """List the parameters of a Haiku tree, sorted by module and name.

    Parameters
    ----------
    tree
        Module path -> parameter name -> array or shape description.
    """
    return [
        ParameterShape(module, name, tuple(leaf.shape), str(leaf.dtype))  # type: ignore[attr-defined]
        for module, leaves in sorted(tree.items())
        for name, leaf in sorted(leaves.items())
    ]
