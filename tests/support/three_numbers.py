"""A model of three numbers, and the worker of a trial that runs it: trials without a package.

As a program it is the worker: ``start_three_numbers`` starts it as the child of a trial.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from perfkit.answers.agreement import AgreementClass, Tolerance
from perfkit.models.base import Model
from perfkit.models.prepared import Prepared
from perfkit.models.workload import Workload
from perfkit.trial.child import ChildProcess, StartChild
from perfkit.trial.worker.worker import main

LABEL = "below production fidelity (steps 1 of 2)"


def three_numbers(*, pass_s: float = 0.0, value: float = 1.0) -> Workload:
    """The workload: three numbers of ``value`` plus one, in a pass of about ``pass_s`` seconds."""
    source = {"pass_s": pass_s, "value": value}
    return Workload("three", "numbers", 3, source, {"steps": 1}, f"digest of {value}")


class ThreeNumbers:
    """Adds one to three numbers, which it refuses below zero.

    Its writer logs a warning, as for a damaged cache file.
    """

    tolerances: Mapping[str, Tolerance] = {"numbers": Tolerance(1e-6, 1e-2)}

    def load(self) -> None:
        """Nothing to import."""

    def prepare(self, workload: Workload, overrides: dict[str, str]) -> Prepared:
        numbers = np.full(3, float(workload.source["value"]), np.float32)

        if numbers.min() < 0:
            raise ValueError("numbers are not negative")

        def drive(compiled: Callable[..., Any]) -> Any:
            end_s = time.monotonic() + float(workload.source["pass_s"])
            while time.monotonic() < end_s:
                # A pass computes; one that slept would look held up.
                pass
            return compiled(numbers)

        def write(outputs: Any, folder: Path) -> list[Path]:
            logging.getLogger("perfkit.models").warning("perfkit: a table is made again")
            (folder / "numbers.txt").write_text(str(outputs.sum()))
            return [folder / "numbers.txt"]

        return Prepared(
            function=lambda x: x + 1,
            arguments=(numbers,),
            drive=drive,
            parts={"addition": 1},
            compared=lambda outputs: {"numbers": np.asarray(outputs)},
            write=write,
            labels=(LABEL,),
        )

    def declared_class(self, overrides: Mapping[str, str]) -> AgreementClass:
        return AgreementClass.FLOAT32


def find_three_numbers(name: str) -> Model:
    """The model, whatever its name; it has what a worker needs of a model."""
    return cast(Model, ThreeNumbers())


THREE_NUMBERS_COMMAND = (sys.executable, str(Path(__file__).resolve()))
"""Command of a worker that runs the model."""

start_three_numbers: StartChild = partial(ChildProcess, command=THREE_NUMBERS_COMMAND)
"""Starts a worker that runs the model, for ``TrialProcess(..., start_child=...)``."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], find_three_numbers))
