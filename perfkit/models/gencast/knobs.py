"""GenCast's own knobs, and their values for a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from perfkit.errors import ConfigurationRefusedError
from perfkit.kernels.build.availability import why_no_kernels
from perfkit.knobs.knob import Bundle, Knob, Layer, Search
from perfkit.knobs.parsers import one_of, word_or_count
from perfkit.models.shared_knobs import (
    BFLOAT16,
    CONSTANTS,
    FLOAT32,
    NATIVE,
    kernels_knob,
    parameters_knob,
    precision_knob,
)

AUTOMATIC = "automatic"
WHOLE = "whole"
DENSE = "dense"
BANDED = "banded"
BFLOAT16_NETWORK = "bfloat16_network"

PUBLISHED_ATTENTION: Mapping[str, str] = MappingProxyType(
    {DENSE: "mha", BANDED: "triblockdiag_mha"}
)
"""Value of the knob ``attention`` -> its name in the configuration of the published package."""

PRECISION = precision_knob(
    default=FLOAT32,
    summary="float32; bfloat16 in the network only; or bfloat16 in the sampler too, as upstream",
    allowed=(FLOAT32, BFLOAT16_NETWORK, BFLOAT16),
    # Without products of bfloat16 in the CPU, float32 is the faster format.
    search=Search(
        (BFLOAT16_NETWORK, BFLOAT16),
        order=3,
        bundle=Bundle.MAJOR,
        first_with=frozenset({"avx512_bf16", "amx_bf16"}),
    ),
)
ATTENTION = Knob(
    name="attention",
    default=AUTOMATIC,
    layer=Layer.MODEL,
    exact=True,
    summary="attention on the mesh: dense, banded, patches, or the one with the fewest logits",
    parse=one_of(AUTOMATIC, DENSE, "patches", BANDED),
    # On meshes worth tuning for, automatic attention is that of patches.
    search=Search((BANDED, DENSE), order=25),
)
GRID_BLOCK = Knob(
    name="grid_block",
    default="2048",
    layer=Layer.MODEL,
    exact=True,
    summary="grid nodes that pass through the network together, or the whole grid",
    parse=word_or_count(WHOLE),
    search=Search(("1024", "4096", "512"), order=2, bundle=Bundle.MAJOR),
)
EDGE_BASIS = Knob(
    name="edge_basis",
    default="compressed",
    layer=Layer.MODEL,
    exact=True,
    summary="encoded edges kept as a basis of their numerical rank, or in full",
    parse=one_of("compressed", "full"),
)
KERNELS = kernels_knob(
    "blocks of nodes, edge messages, feed-forward layers and attention of patches",
    order=4,
    why_no_native=why_no_kernels,
)
PARAMETERS = parameters_knob(order=1, bundle=Bundle.MAJOR)

KNOBS = (PRECISION, ATTENTION, GRID_BLOCK, EDGE_BASIS, KERNELS, PARAMETERS)


@dataclass(frozen=True)
class Settings:
    """The knobs' values as the model uses them.

    Attributes
    ----------
    precision
        ``float32``, ``bfloat16_network`` or ``bfloat16``.
    attention
        ``dense``, ``patches``, ``banded`` or ``automatic``.
    grid_block
        Grid nodes that pass through the network together, or None for the whole grid.
    compress_edges
        Whether encoded edges are kept as a basis of their numerical rank.
    native_kernels
        Whether native kernels compute what they serve.
    constants
        Whether the parameters become constants of the executable.
    """

    precision: str
    attention: str
    grid_block: int | None
    compress_edges: bool
    native_kernels: bool
    constants: bool


def settings_for(overrides: Mapping[str, str]) -> Settings:
    """Return the values of all knobs: ``overrides``, and the defaults of the other knobs."""
    chosen = {knob.name: overrides.get(knob.name, knob.default) for knob in KNOBS}
    block = chosen[GRID_BLOCK.name]
    return Settings(
        precision=chosen[PRECISION.name],
        attention=chosen[ATTENTION.name],
        grid_block=None if block == WHOLE else int(block),
        compress_edges=chosen[EDGE_BASIS.name] == "compressed",
        native_kernels=chosen[KERNELS.name] == NATIVE,
        constants=chosen[PARAMETERS.name] == CONSTANTS,
    )


FINEST_DENSE_MESH = 4
"""Refinements of the finest mesh on which dense attention is worth trying. With one more, an array
of logits takes 1.7 GB in float32."""


def makes_a_difference(name: str, value: str, grid_nodes: int, mesh_size: int) -> bool:
    """Whether a value of a knob gives another program of bearable size than its default.

    Parameters
    ----------
    name, value
        Knob and value.
    grid_nodes
        Number of grid nodes.
    mesh_size
        Number of refinements of the mesh.
    """
    if name == GRID_BLOCK.name:
        sizes = [
            grid_nodes if block == WHOLE else min(int(block), grid_nodes)
            for block in (value, GRID_BLOCK.default)
        ]
        return sizes[0] != sizes[1]
    if (name, value) == (ATTENTION.name, DENSE):
        return mesh_size <= FINEST_DENSE_MESH
    return True


def refuse_for_weathernext(settings: Settings) -> None:
    """Refuse values that only perfkit's own implementation of GenCast has.

    Raises
    ------
    ConfigurationRefusedError
        A knob has such a value.
    """
    stock = settings_for({})
    lacking = {
        f"{ATTENTION.name}=patches": settings.attention == "patches",
        f"{PRECISION.name}={BFLOAT16_NETWORK}": settings.precision == BFLOAT16_NETWORK,
        GRID_BLOCK.name: settings.grid_block != stock.grid_block,
        EDGE_BASIS.name: settings.compress_edges != stock.compress_edges,
        f"{KERNELS.name}={NATIVE}": settings.native_kernels,
    }
    for name, is_set in lacking.items():
        if is_set:
            raise ConfigurationRefusedError(
                f"--engine weathernext has no {name}; leave it out, or use --engine perfkit"
            )
