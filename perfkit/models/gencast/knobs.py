"""GenCast's own knobs, and what their values mean for an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from perfkit.errors import ConfigurationRefusedError
from perfkit.knobs.knob import Knob, Layer, one_of
from perfkit.models.parameters_knob import PARAMETERS

AUTOMATIC = "automatic"
WHOLE = "whole"
FLOAT32 = "float32"
BFLOAT16 = "bfloat16"
BFLOAT16_NETWORK = "bfloat16_network"


def _word_or_positive(word: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value == word or (value.isdigit() and int(value) > 0):
            return value if value == word else str(int(value))
        raise ValueError(f"it takes {word!r} or a whole number, 1 or more")

    return parse


PRECISION = Knob(
    name="precision",
    default=FLOAT32,
    values=(BFLOAT16_NETWORK, BFLOAT16, FLOAT32),
    layer=Layer.MODEL,
    exact=False,
    summary="float32; bfloat16 in the network only; or bfloat16 in the sampler too, as upstream",
    parse=one_of(FLOAT32, BFLOAT16_NETWORK, BFLOAT16),
)
ATTENTION = Knob(
    name="attention",
    default=AUTOMATIC,
    values=("patches", "dense", "banded"),
    layer=Layer.MODEL,
    exact=True,
    summary="attention on the mesh: dense, banded, patches, or whichever computes fewest logits",
    parse=one_of(AUTOMATIC, "dense", "patches", "banded"),
)
GRID_BLOCK = Knob(
    name="grid_block",
    default="2048",
    values=("512", "1024", "4096", WHOLE),
    layer=Layer.MODEL,
    exact=True,
    summary="grid nodes that are taken through the network together, or the whole grid",
    parse=_word_or_positive(WHOLE),
)
EDGE_BASIS = Knob(
    name="edge_basis",
    default="compressed",
    values=("compressed", "full"),
    layer=Layer.MODEL,
    exact=True,
    summary="encoded edges kept as a basis of their numerical rank, or in full",
    parse=one_of("compressed", "full"),
)

KNOBS = (PRECISION, ATTENTION, GRID_BLOCK, EDGE_BASIS, PARAMETERS)


@dataclass(frozen=True)
class Settings:
    """The knobs' values as the model uses them.

    Attributes
    ----------
    precision
        One of the values of :data:`PRECISION`.
    attention
        ``dense``, ``patches``, ``banded`` or ``automatic``.
    grid_block
        Grid nodes taken together; ``None`` for the whole grid.
    compress_edges
        Whether edges are kept as a basis of their numerical rank.
    constants
        Whether the parameters become constants of the executable.
    """

    precision: str
    attention: str
    grid_block: int | None
    compress_edges: bool
    constants: bool


def settings_for(overrides: Mapping[str, str]) -> Settings:
    """What ``overrides`` and the defaults of the other knobs mean."""
    chosen = {knob.name: overrides.get(knob.name, knob.default) for knob in KNOBS}
    block = chosen[GRID_BLOCK.name]
    return Settings(
        precision=chosen[PRECISION.name],
        attention=chosen[ATTENTION.name],
        grid_block=None if block == WHOLE else int(block),
        compress_edges=chosen[EDGE_BASIS.name] == "compressed",
        constants=chosen[PARAMETERS.name] == "constants",
    )


def refuse_for_weathernext(settings: Settings) -> None:
    """Refuse what the published implementation does not have.

    Raises
    ------
    ConfigurationRefusedError
        A knob has a value that only perfkit's own implementation has.
    """
    stock = settings_for({})
    lacking = {
        f"{ATTENTION.name}=patches": settings.attention == "patches",
        f"{PRECISION.name}={BFLOAT16_NETWORK}": settings.precision == BFLOAT16_NETWORK,
        GRID_BLOCK.name: settings.grid_block != stock.grid_block,
        EDGE_BASIS.name: settings.compress_edges != stock.compress_edges,
    }
    for name, is_set in lacking.items():
        if is_set:
            raise ConfigurationRefusedError(
                f"--engine weathernext has no {name}; leave it out, or use --engine perfkit"
            )
