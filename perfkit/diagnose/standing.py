"""Examines the jaxlib that a command runs on, once per build, CPU and flags, and warns.

A command calls :func:`jaxlib_warning` before its first trial, so that the examination never runs
next to a timed pass. It takes about ten seconds; the result is kept in perfkit's cache. The
records of the trials state the same sentence, see :mod:`perfkit.trial.conditions.jaxlib_standing`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from perfkit.builds import installed_build
from perfkit.diagnose.diagnosis import Diagnosis
from perfkit.diagnose.examiner import XLA_FLAGS, NotStartedError, Setup, examine_setup
from perfkit.errors import UserError
from perfkit.knobs.inherited import inherited_variables
from perfkit.trial.conditions.jaxlib_standing import (
    Standing,
    check_is_off,
    known_standing,
    store_standing,
)

LOGGER = logging.getLogger("perfkit.diagnose")
"""Logs a verdict that cannot be stored."""


def is_examined(xla_flags: str = "", *, build: str | None = None) -> bool:
    """Whether :func:`jaxlib_warning` answers at once, because nothing is left to examine.

    Parameters
    ----------
    xla_flags, build
        As for :func:`jaxlib_warning`.
    """
    if check_is_off() or (build or installed_build("jaxlib")) is None:
        return True
    return known_standing(xla_flags, build) is not None


def jaxlib_warning(
    xla_flags: str = "",
    *,
    python: Path = Path(sys.executable),
    build: str | None = None,
    examine: Callable[[Setup], Diagnosis] = examine_setup,
) -> str | None:
    """One sentence if known answers of jaxlib are wrong on this CPU; None if all are right.

    Parameters
    ----------
    xla_flags
        Value of ``XLA_FLAGS`` of the process that is to run, e.g. that of
        :meth:`~perfkit.knobs.configuration.Configuration.environment`.
    python, build
        Python of the process, and its build of jaxlib; those of this process by default.
    examine
        Runs the known-answer programs under a setup.

    Returns
    -------
    str or None
        None also if ``PERFKIT_KNOWN_ANSWERS=off`` is set, if jaxlib is not installed, or if XLA
        does not start: the trial itself then reports why.
    """
    if check_is_off() or (build or installed_build("jaxlib")) is None:
        return None
    standing = known_standing(xla_flags, build)
    if standing is None:
        variables = inherited_variables() | ({XLA_FLAGS: xla_flags} if xla_flags else {})
        try:
            standing = remember(examine(Setup(variables, python)), build=build)
        except NotStartedError:
            return None
    return standing.warning


def remember(diagnosis: Diagnosis, *, build: str | None = None) -> Standing:
    """Keep the result of an examination for the records of trials, and for later commands.

    Where the cache cannot be written, a warning is logged, and the next command examines again.

    Parameters
    ----------
    diagnosis
        Diagnosis of all known-answer programs.
    build
        Build of jaxlib; that of this process by default.
    """
    count = len(diagnosis.answers)
    standing = Standing(diagnosis.jaxlib_version, diagnosis.xla_flags, count, diagnosis.wrong_names)
    try:
        store_standing(standing, build)
    except UserError as error:
        LOGGER.warning("perfkit: %s", error)
    return standing
