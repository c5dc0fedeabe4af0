"""Records of confirmation blocks, made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from perfkit.records.schema import Record
from tests.support.replay import Fields, record

STOCK_S = 10.0
"""Seconds of a pass of stock."""

TWOFOLD = (1.9, 1.95, 2.0, 2.0, 2.05, 2.1)
"""Ratios of six blocks with a median of 2 and an interval from 1.9 to 2.1."""


def stock(times: Mapping[int, float], **fields: Unpack[Fields]) -> Record:
    """A record of stock with passes of the given seconds."""
    return record({}, times=times, **({"role": "base", "block": "x"} | fields))


def confirmed(
    settings: dict[str, str],
    ratios: Sequence[float],
    *,
    stock_bytes: int = 0,
    **fields: Unpack[Fields],
) -> list[Record]:
    """One confirmation block for each ratio of the time of stock to that of ``settings``.

    Parameters
    ----------
    stock_bytes
        Peak memory of stock; 0 for unknown.
    """
    found = []
    for number, ratio in enumerate(ratios):
        name = f"{settings}{number}"
        block: Fields = {"role": "confirm", "block": name, "id": name}
        of_stock: Fields = block | {"peak_rss_bytes": stock_bytes}
        found.append(stock({0: STOCK_S}, **of_stock))
        found.append(record(settings, times={0: STOCK_S / ratio}, **(block | fields)))
    return found


def together(blocks: Sequence[dict[str, float]]) -> list[Record]:
    """Confirmation blocks of several configurations and stock, which share each block.

    Parameters
    ----------
    blocks
        For each block, name of a knob that is set to 1 to the ratio of times.
    """
    found = []
    for number, ratios in enumerate(blocks):
        for name, ratio in ({"": 1.0} | ratios).items():
            block: Fields = {"role": "confirm", "block": f"{number}", "id": f"{number}{name}"}
            settings = {name: "1"} if name else {}
            found.append(record(settings, times={0: STOCK_S / ratio}, **block))
    return found
