"""Runs a command with the guard in every Python process that it starts.

The parent puts a folder on ``PYTHONPATH`` whose ``sitecustomize`` calls
:func:`perfkit.guard.injection.install.wait_for_jax`. Every process writes a journal into the
same folder, which the parent reads at the end. This module does not import JAX.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit.errors import UserError
from perfkit.guard.injection.install import (
    MODE_LIFT,
    MODE_VARIABLE,
    MODE_ZERO,
    REPORTS_VARIABLE,
)
from perfkit.guard.injection.process_reports import read_reports
from perfkit.guard.injection.process_watch import ProcessWatch

_HOOK_FOLDER = "hook"
_PACKAGE = Path(__file__).resolve().parents[2]

_SITECUSTOMIZE = '''\
"""Puts perfkit's guard into this interpreter, then runs the sitecustomize that this one hides."""

import importlib.machinery
import importlib.util
import os
import sys

import perfkit.guard.injection.install

perfkit.guard.injection.install.wait_for_jax()
_here = os.path.dirname(os.path.abspath(__file__))
_others = [path for path in sys.path if os.path.abspath(path or os.curdir) != _here]
_spec = importlib.machinery.PathFinder.find_spec("sitecustomize", _others)
if _spec is not None and _spec.loader is not None:
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))
'''


@dataclass(frozen=True)
class GuardedRun:
    """How a guarded command ended.

    Attributes
    ----------
    exit_code
        Exit code of the command; 128 + signal if a signal ended it, as shells report it.
    report
        What the guard did, see :func:`perfkit.guard.injection.process_reports.read_reports`.
    """

    exit_code: int
    report: dict[str, Any]


def run_guarded(
    command: Sequence[str], environment: Mapping[str, str], *, zero_rounding: bool = False
) -> GuardedRun:
    """Run a command with the guard in its Python processes, and wait for it to end.

    An interrupt from the terminal reaches the command, too, which decides what to do.

    Parameters
    ----------
    command
        The program and its arguments.
    environment
        Environment of the command, to which the guard is added.
    zero_rounding
        As for :func:`perfkit.guard.transform.guard`.

    Raises
    ------
    UserError
        The command cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="perfkit-guard-") as folder:
        guarded = guarded_environment(environment, Path(folder), zero_rounding=zero_rounding)
        try:
            process = subprocess.Popen(command, env=guarded)
        except OSError as error:
            raise cannot_run_error(command, error) from error
        with ProcessWatch(process.pid, MODE_VARIABLE) as watch:
            code = _wait(process)
        report = read_reports(Path(folder), watch.jax_processes())
    return GuardedRun(code if code >= 0 else 128 - code, report)


def guarded_environment(
    environment: Mapping[str, str], folder: Path, *, zero_rounding: bool = False
) -> dict[str, str]:
    """Return an environment under which any Python program runs guarded.

    Parameters
    ----------
    environment
        The environment to extend.
    folder
        An existing folder that outlives the program, for the hook and the journals. The folder
        holds a link to the package ``perfkit``, so that nothing next to the package gets on the
        program's path.
    zero_rounding
        As for :func:`perfkit.guard.transform.guard`.
    """
    hook = folder / _HOOK_FOLDER
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
    package = hook / _PACKAGE.name
    if not package.is_symlink():
        package.symlink_to(_PACKAGE, target_is_directory=True)
    paths = [str(hook), *filter(None, [environment.get("PYTHONPATH")])]
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join(paths),
        MODE_VARIABLE: MODE_ZERO if zero_rounding else MODE_LIFT,
        REPORTS_VARIABLE: str(folder.resolve()),
    }


def cannot_run_error(command: Sequence[str], error: OSError) -> UserError:
    """Return the error for a command that cannot be started."""
    return UserError(f"the command '{shlex.join(command)}' cannot be run: {error.strerror}")


def _wait(process: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
