"""A side whose compiler has a planted fault, in this process and with this jaxlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perfkit.upgrade.locate.bench import Answer
from perfkit.upgrade.locate.pieces import TEXT_FILE
from perfkit.upgrade.locate.runner import reply

type Arrays = list[np.ndarray[Any, Any]]


def nothing_wrong(text: str, inputs: Arrays) -> bool:
    return False


def every_run_takes_a_second(text: str) -> float:
    return 1.0


class PlantedSide:
    """Runs pieces, and spoils the last element of the results of some of them.

    Only vectors and columns are spoiled: what a faulty fusion returns, and not what it is given.

    Parameters
    ----------
    is_wrong
        Whether to spoil a piece, given its StableHLO and its inputs.
    run_s
        Seconds that a run of a piece takes, given its StableHLO.
    """

    def __init__(
        self,
        is_wrong: Callable[[str, Arrays], bool] = nothing_wrong,
        run_s: Callable[[str], float] = every_run_takes_a_second,
    ) -> None:
        self._is_wrong = is_wrong
        self._run_s = run_s
        self._programs: dict[str, Any] = {}
        self._answer = Answer()

    def send(self, request: Mapping[str, Any]) -> None:
        text = (Path(request["piece"]) / TEXT_FILE).read_text()
        answer = reply({**request, "runs": 0}, self._programs)
        files = tuple(map(Path, answer["files"]))
        perturbed = tuple(map(Path, answer.get("perturbed", ())))
        if self._is_wrong(text, [np.load(path) for path in request["inputs"]]):
            for path in (*files, *perturbed):
                _spoil(path)
        self._answer = Answer(files, perturbed, (self._run_s(text),) * request["runs"])

    def take(self) -> Answer:
        return self._answer

    def close(self) -> None:
        pass


def _spoil(path: Path) -> None:
    array = np.load(path)
    is_vector = array.ndim == 1 or array.shape[1:] == (1,)
    if array.dtype.kind == "f" and is_vector:
        array.flat[-1] += 1 + abs(array.flat[-1])
        np.save(path, array)
