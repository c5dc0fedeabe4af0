"""Pauses the collector of cyclic garbage while many objects are made that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collection() -> Iterator[None]:
    """Pause the collector during the block, unless it is off already.

    Python looks for cycles whenever enough objects were made, among all objects that there are. The
    records of ten thousand trials have millions of parts and no cycles: looking through them again
    and again takes more time than to read them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
