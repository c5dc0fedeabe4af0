"""Arrays by name that exist only while they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np


class MadeArrays(Mapping[str, np.ndarray[Any, Any]]):
    """A mapping whose arrays are made anew each time they are asked for.

    The quantities that are compared are float32 copies of outputs. All of them together can need
    more memory than the prediction.

    Parameters
    ----------
    makers
        Name -> function that makes the array.
    """

    def __init__(self, makers: Mapping[str, Callable[[], np.ndarray[Any, Any]]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """Make an array."""
        return self._makers[name]()

    def __contains__(self, name: object) -> bool:
        """Whether there is an array of this name; makes none."""
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        """Names of the arrays."""
        return iter(self._makers)

    def __len__(self) -> int:
        """Number of arrays."""
        return len(self._makers)
