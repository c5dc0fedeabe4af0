"""The check of jaxlib's answers before the first trial of a call."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from perfkit.api.progress import CallProgress
from perfkit.diagnose.standing import is_examined, jaxlib_warning
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.interpreter import Interpreter


def jaxlib_warnings(
    progress: CallProgress,
    configuration: Configuration = STOCK,
    interpreter: Interpreter | None = None,
) -> tuple[str, ...]:
    """The warning to announce before a call's trials, if answers of jaxlib are wrong here.

    The first call on a machine examines jaxlib, which takes about ten seconds.

    Parameters
    ----------
    progress
        Shows that the examination runs.
    configuration
        Configuration of the trials; stock where they have several.
    interpreter
        The Python that runs the trials; None for this one.
    """
    xla_flags = configuration.environment().get("XLA_FLAGS", "")
    build, python = None, Path(sys.executable)
    if interpreter is not None:
        build, python = interpreter.jaxlib_build, interpreter.python
    examine = partial(jaxlib_warning, xla_flags, python=python, build=build)
    if is_examined(xla_flags, build=build):
        warning = examine()
    else:
        with progress.trial("known answers of jaxlib, examined once on this CPU"):
            warning = examine()
    return () if warning is None else (warning,)
