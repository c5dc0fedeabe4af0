"""Installs the guard in this process: replaces ``jax.jit`` once the program imports ``jax``.

:mod:`perfkit.guard.injection.command` arranges that every Python process of a command calls
:func:`wait_for_jax` when it starts. This module does not import JAX by itself, so a process that
does not use JAX pays nothing.
"""

from __future__ import annotations

import atexit
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from perfkit.guard.injection.journal import Journal

if TYPE_CHECKING:
    from perfkit.guard.injection.ledger import Ledger

MODE_VARIABLE = "PERFKIT_GUARD_MODE"
"""Environment variable with the mode of the guard, :data:`MODE_LIFT` or :data:`MODE_ZERO`."""

MODE_LIFT = "lift"
"""Lift operands that left their domain by rounding."""

MODE_ZERO = "zero"
"""Lift them, and set differences to zero that are positive only by rounding."""

REPORTS_VARIABLE = "PERFKIT_GUARD_REPORTS"
"""Environment variable with the folder in which each guarded process keeps its journal."""


def wait_for_jax() -> None:
    """Arrange that the guard is installed as soon as the program imports ``jax``."""
    sys.meta_path.insert(0, _AfterJax())


def install(zero_rounding: bool, reports: Path | None) -> None:
    """Replace ``jax.jit``, ``jax.pmap``, ``pjit`` and the export functions in this process.

    Parameters
    ----------
    zero_rounding
        As for :func:`perfkit.guard.transform.guard`.
    reports
        Folder for the journal of the process, or None to keep no journal.
    """
    import jax
    import jax.export
    from jax.experimental import pjit, serialize_executable

    from perfkit.guard.injection.guarded_export import make_guarded_export, make_guarded_serialize
    from perfkit.guard.injection.guarded_jit import make_guarded_jit, make_guarded_pmap
    from perfkit.guard.injection.ledger import Ledger

    ledger = Ledger(None if reports is None else _open_journal(reports))
    # Set through the modules' dictionaries: the program must find it under the usual names.
    vars(jax)["jit"] = make_guarded_jit(jax.jit, ledger, zero_rounding)
    vars(jax)["pmap"] = make_guarded_pmap(jax.pmap, ledger, zero_rounding)
    vars(pjit)["pjit"] = make_guarded_jit(pjit.pjit, ledger, zero_rounding)
    vars(jax.export)["export"] = make_guarded_export(jax.export.export)
    vars(serialize_executable)["serialize"] = make_guarded_serialize(serialize_executable.serialize)
    if reports is not None:
        _keep_until_exit(ledger, reports)


def _keep_until_exit(ledger: Ledger, reports: Path) -> None:
    """Write the ledger when this process ends, and in every process that it forks."""

    def begin_in_child() -> None:
        ledger.begin(_open_journal(reports))
        ledger.wait_for_calls()

    atexit.register(ledger.end, waits=True)
    os.register_at_fork(after_in_child=begin_in_child)
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        ledger.wait_for_calls()
    exit_at_once = os._exit

    def end_and_exit(status: int) -> NoReturn:
        ledger.end(waits=False)
        exit_at_once(status)

    # Workers of multiprocessing end with os._exit, which skips functions registered with atexit.
    vars(os)["_exit"] = end_and_exit


def _open_journal(folder: Path) -> Journal | None:
    try:
        return Journal(folder)
    except OSError:
        # The command has ended and its folder no longer exists, or the disk is full.
        return None


class _AfterJax(importlib.abc.MetaPathFinder):
    """Finds ``jax`` as usual, and installs the guard once it is loaded."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "jax":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _InstallingLoader(spec.loader)
        return spec


class _InstallingLoader(importlib.abc.Loader):
    """Loads a module with its own loader, then installs the guard."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        folder = os.environ.get(REPORTS_VARIABLE)
        install(os.environ.get(MODE_VARIABLE) == MODE_ZERO, Path(folder) if folder else None)
