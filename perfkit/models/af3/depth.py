"""AlphaFold 3's stacks of identical blocks, and the shallow network with fewer of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from perfkit.models.base import REST
from perfkit.models.depth import Blocks, Stacks
from perfkit.models.prepared import PyTree


@dataclass(frozen=True)
class Stack:
    """A stack of identical blocks.

    Attributes
    ----------
    option
        Path of its number of layers in upstream's configuration.
    layers_per_block
        Layers in a block. The parameters of a block are one entry of their leading axis.
    parameters
        Substring of the Haiku path of each of its parameters.
    operations
        Substrings of paths of its operations.
    blocks
        Number of blocks.
    """

    option: tuple[str, ...]
    layers_per_block: int
    parameters: str
    operations: tuple[str, ...]
    blocks: Blocks


STACKS: Mapping[str, Stack] = MappingProxyType(
    {
        "pairformer": Stack(
            option=("evoformer", "pairformer", "num_layer"),
            layers_per_block=1,
            parameters="/trunk_pairformer/",
            operations=("/trunk_pairformer/",),
            blocks=Blocks(shallow=8, full=48),
        ),
        "MSA stack": Stack(
            option=("evoformer", "msa_stack", "num_layer"),
            layers_per_block=1,
            parameters="/msa_stack/",
            operations=("/msa_stack/",),
            blocks=Blocks(shallow=1, full=4),
        ),
        "diffusion transformer": Stack(
            option=("heads", "diffusion", "transformer", "num_blocks"),
            layers_per_block=4,
            parameters="/diffusion_head/transformer/__layer_stack",
            operations=(
                "diffusion_head)/transformer/while/",
                "diffusion_head/transformer/while/",
                "/diffusion_head/transformer/__layer_stack",
            ),
            blocks=Blocks(shallow=2, full=6),
        ),
        "confidence pairformer": Stack(
            option=("heads", "confidence", "pairformer", "num_layer"),
            layers_per_block=1,
            parameters="/confidence_pairformer/",
            operations=(
                "confidence_head)/while/",
                "confidence_head/while/",
                "/confidence_pairformer/",
            ),
            blocks=Blocks(shallow=1, full=4),
        ),
    }
)
"""Name -> stack. The numbers of blocks keep the stacks' shares of a pass near those of the full
network: a sixth of the pairformer, which takes most of a pass, and a third of the diffusion
transformer. With one block, XLA removes the loop over the blocks and moves work out of it. That is
a small error in the MSA stack and the confidence head, but not in the diffusion transformer, which
spends much of its time on selecting the parameters of each block. The template stack has two blocks
and keeps them."""

BLOCKS: Stacks = MappingProxyType({name: stack.blocks for name, stack in STACKS.items()})
"""Name of a stack -> its number of blocks."""

_SHARED_LOOP = "/evoformer/while/"
"""Substring of the paths of the loops of both the MSA stack and the pairformer. Operations that
select the parameters of a block have no more specific name."""


def stack_name(op_name: str) -> str | None:
    """Return the stack of an operation, see :meth:`perfkit.models.base.Model.stack_of`."""
    for name, stack in STACKS.items():
        if any(path in op_name for path in stack.operations):
            return name
    return None if not op_name or _SHARED_LOOP in op_name else REST


def make_shallow(config: Any) -> None:
    """Reduce the numbers of layers in upstream's configuration, in place."""
    for stack in STACKS.values():
        owner = config
        for attribute in stack.option[:-1]:
            owner = getattr(owner, attribute)
        setattr(owner, stack.option[-1], stack.blocks.shallow * stack.layers_per_block)


def first_blocks(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, PyTree]]:
    """Return the parameters of the shallow network: the first blocks of each stack.

    Parameters
    ----------
    parameters
        Module path -> parameter name -> array of the full network. Arrays of stacks have one entry
        per block in their leading axis.

    Returns
    -------
    dict
        The same names. NumPy arrays are views, so that of a memory-mapped file only the first
        blocks are read.
    """
    return {
        module: {name: leaf[_first_of(module)] for name, leaf in leaves.items()}
        for module, leaves in parameters.items()
    }


def _first_of(module: str) -> Any:
    """Index of the leading axis: the first blocks of a stack, everything elsewhere."""
    for stack in STACKS.values():
        if stack.parameters in module:
            return slice(stack.blocks.shallow)
    return ...
