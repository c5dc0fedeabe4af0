"""Which models start in this environment: each is imported in a process of its own.

``python -m perfkit.diagnose.models_found NAME`` is that process.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from perfkit.diagnose.child_process import last_line
from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK
from perfkit.knobs.environment import child_environment
from perfkit.models import get_model, model_names

TIME_LIMIT_S = 300.0
"""Seconds after which an import is ended; from a slow file system it may take a minute."""


@dataclass(frozen=True)
class ModelFound:
    """Whether a model starts.

    Attributes
    ----------
    name
        Name of the model.
    refusal
        Why it does not start; empty if it does.
    """

    name: str
    refusal: str = ""

    @property
    def starts(self) -> bool:
        """Whether the model and the packages that it runs with can be imported."""
        return not self.refusal

    def as_dict(self) -> dict[str, str]:
        """Return the model as plain data for JSON."""
        return asdict(self)


def models_found(names: Sequence[str] | None = None) -> tuple[ModelFound, ...]:
    """Import every model, with the environment of a stock trial.

    Parameters
    ----------
    names
        Names of the models; all by default.
    """
    return tuple(map(_found, model_names() if names is None else names))


def main(name: str) -> None:
    """Import one model; a refusal is the last line of standard error."""
    try:
        get_model(name).load()
    except UserError as error:
        sys.exit(str(error))


def _found(name: str) -> ModelFound:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "perfkit.diagnose.models_found", name],
            env=child_environment(STOCK),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ModelFound(name, f"not imported after {TIME_LIMIT_S:g} s")
    if done.returncode == 0:
        return ModelFound(name)
    return ModelFound(name, last_line(done.stderr) or f"ended with code {done.returncode}")


if __name__ == "__main__":
    main(sys.argv[1])
