"""Runs pieces under the old and the new jaxlib, and compares what they return."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import jax.numpy as jnp
import numpy as np

from perfkit.errors import PerfkitError
from perfkit.guard.analysis.bounds import float_limits
from perfkit.upgrade.locate.pieces import Piece
from perfkit.upgrade.locate.reproduce import distance, read_array

OWN_ROUNDING = 64.0
"""Units in the last place by which rounding inside a range may change a result: about the square
root of the number of terms of its longest sum, i.e. 64 for a sum of 4,096 terms."""

INPUT_ROUNDING = 16.0
"""Multiple of the change that rounding of the inputs alone makes which still counts as rounding:
each operation of a range rounds as its inputs do, and conditions what follows in the same way."""

TIME_LIMIT_S = 1800.0
"""Seconds after which a piece counts as hung; the largest programs compile within minutes."""

COMMAND = ("-m", "perfkit.upgrade.locate.runner")


@dataclass(frozen=True)
class Answer:
    """What one side returned for a piece.

    Attributes
    ----------
    files, perturbed
        Files of the results, and of those for changed inputs; empty if the piece failed.
    seconds
        Wall seconds of the timed runs.
    error
        Why the piece has no result, else empty.
    """

    files: tuple[Path, ...] = ()
    perturbed: tuple[Path, ...] = ()
    seconds: tuple[float, ...] = ()
    error: str = ""

    def raise_if_failed(self) -> None:
        """Raise :class:`PerfkitError` if the piece has no result."""
        if self.error:
            raise PerfkitError(f"a part of the program does not run alone: {self.error}")


@dataclass(frozen=True)
class Difference:
    """How one result of a piece differs between the two sides.

    Attributes
    ----------
    output
        Position of the result.
    distance
        Largest difference of an element, relative to the root mean square of the old result;
        infinite if a side has no result.
    tolerance
        Largest distance that rounding explains.
    """

    output: int
    distance: float
    tolerance: float

    @property
    def beyond_rounding(self) -> bool:
        """Whether rounding does not explain the difference."""
        return self.distance > self.tolerance

    @property
    def excess(self) -> float:
        """The distance as a multiple of the tolerance."""
        return self.distance / self.tolerance if self.tolerance else self.distance


class Runner(Protocol):
    """Runs pieces under one jaxlib, e.g. :class:`RunnerProcess`."""

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request, as :func:`perfkit.upgrade.locate.runner.reply` takes it.

        Its answer must be taken before the next one is sent.
        """
        ...

    def take(self) -> Answer:
        """Wait for the answer to the last request; a crash is an answer, too."""
        ...

    def close(self) -> None:
        """Stop running pieces."""
        ...


class RunnerProcess:
    """A process that runs pieces under its own jaxlib; it is started when first asked.

    Parameters
    ----------
    python
        The interpreter.
    environment
        Environment variables of the process; those of this one by default.
    time_limit_s
        Seconds after which a piece counts as hung.
    """

    def __init__(
        self,
        python: Path,
        environment: Mapping[str, str] | None = None,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> None:
        self._python = python
        self._time_limit_s = time_limit_s
        self._environment = dict(os.environ if environment is None else environment)
        self._process: subprocess.Popen[str] | None = None

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request, as for :class:`Runner`."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [str(self._python), *COMMAND],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        assert self._process.stdin is not None
        # A process that has just died is reported when its answer is taken.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(dict(request)) + "\n")
            self._process.stdin.flush()

    def take(self) -> Answer:
        """Wait for the answer to the last request; a crash is an answer, too."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        watch = threading.Timer(self._time_limit_s, process.kill)
        watch.start()
        line = process.stdout.readline()
        watch.cancel()
        if not line:
            code = process.wait()
            hung = code == -signal.SIGKILL
            limit = f"no answer in {self._time_limit_s:g} s, or " if hung else ""
            return Answer(error=f"{limit}the process ended with code {code}")
        answer = json.loads(line)
        if "error" in answer:
            return Answer(error=answer["error"])
        return Answer(
            tuple(map(Path, answer["files"])),
            tuple(map(Path, answer.get("perturbed", ()))),
            tuple(answer["seconds"]),
        )

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()


class Bench:
    """Both sides, and a folder for the files that pass between them.

    Parameters
    ----------
    old, new
        The two sides.
    folder
        Scratch folder; it grows with each range that is tried.
    """

    def __init__(self, old: Runner, new: Runner, folder: Path) -> None:
        self.old, self.new = old, new
        self._folder = folder
        self._numbers = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.old.close()
        self.new.close()

    def new_path(self, stem: str) -> Path:
        """A path in the scratch folder that nothing has."""
        return self._folder / f"{stem}-{next(self._numbers)}"

    def save(self, array: Any) -> Path:
        """Write an array to a file of its own."""
        path = self.new_path("value").with_suffix(".npy")
        np.save(path, np.asarray(array))
        return path

    def run(
        self,
        piece: Piece,
        inputs: Sequence[Path],
        sides: Sequence[Runner],
        *,
        epsilon: float = 0.0,
        runs: int = 0,
        hlo: Sequence[Path] = (),
    ) -> list[Answer]:
        """Run a piece on each of some sides.

        Parameters
        ----------
        piece
            The piece.
        inputs
            Files of its inputs.
        sides
            The sides. They run at the same time, unless runs are timed.
        epsilon
            If not 0, the relative change of the inputs for a further run.
        runs
            Number of timed runs.
        hlo
            Files for the optimised HLO of each side.
        """
        base = {"piece": str(piece.folder), "inputs": [str(path) for path in inputs]}
        requests = [
            base
            | {"save": str(self.new_path("result")), "epsilon": epsilon, "runs": runs}
            | {"hlo": str(hlo[number]) if hlo else ""}
            for number in range(len(sides))
        ]
        answers = []
        for side, request in zip(sides, requests, strict=True):
            side.send(request)
            if runs:
                answers.append(side.take())
        return answers or [side.take() for side in sides]

    def differences(self, piece: Piece, inputs: Sequence[Path], epsilon: float) -> list[Difference]:
        """Run a piece on both sides, and compare its results.

        Parameters
        ----------
        piece, inputs
            As for :meth:`run`.
        epsilon
            Unit in the last place of the piece's coarsest type.

        Returns
        -------
        list of Difference
            One for each result.

        Raises
        ------
        PerfkitError
            The piece fails on both sides.
        """
        old, new = self.run(piece, inputs, (self.old, self.new), epsilon=epsilon)
        try:
            return _differences(piece, old, new, epsilon)
        finally:
            # A range of a model may return gigabytes.
            for answer in (old, new):
                for path in (*answer.files, *answer.perturbed):
                    path.unlink()


def _differences(piece: Piece, old: Answer, new: Answer, epsilon: float) -> list[Difference]:
    if old.error and new.error:
        old.raise_if_failed()
    if old.error or new.error:
        return [Difference(number, math.inf, 0.0) for number in range(len(piece.outputs))]
    return [
        Difference(
            number,
            distance(_read(new.files[number], one), _read(old.files[number], one)),
            max(
                OWN_ROUNDING * epsilon,
                INPUT_ROUNDING * min(_sensitivity(answer, number, one) for answer in (old, new)),
            ),
        )
        for number, one in enumerate(piece.outputs)
    ]


def coarsest_epsilon(dtypes: Sequence[Any]) -> float:
    """Unit in the last place of the coarsest floating type; that of float32 if there is none."""
    floating = [each for each in dtypes if jnp.issubdtype(each, jnp.floating)]
    return max(float(float_limits(each).eps) for each in (floating or [np.float32]))


def _read(path: Path, one: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    return read_array(path, one["dtype"])


def _sensitivity(answer: Answer, number: int, one: Mapping[str, Any]) -> float:
    return distance(_read(answer.perturbed[number], one), _read(answer.files[number], one))
