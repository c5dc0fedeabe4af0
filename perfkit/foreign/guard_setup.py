"""Installs the guard in this process: replaces ``jax.jit`` after the program imported ``jax``."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from perfkit.foreign.plan import MODE_ZERO

if TYPE_CHECKING:
    from perfkit.foreign.install import ForeignProcess
    from perfkit.foreign.journal import Journal
    from perfkit.guard.injection.ledger import Ledger


def install_guard(process: ForeignProcess) -> None:
    """Replace ``jax.jit``, ``jax.pmap``, ``pjit`` and the export functions in this process.

    Parameters
    ----------
    process
        This process, whose plan has the mode of the guard and whose journal takes the counts.
    """
    import jax
    import jax.export
    from jax.experimental import pjit, serialize_executable

    from perfkit.guard.injection.guarded_export import make_guarded_export, make_guarded_serialize
    from perfkit.guard.injection.guarded_jit import make_guarded_jit, make_guarded_pmap
    from perfkit.guard.injection.ledger import Ledger

    ledger = Ledger(process.journal)
    zero_rounding = process.plan.guard == MODE_ZERO
    # Set through the modules' dictionaries: the program must find it under the usual names.
    vars(jax)["jit"] = make_guarded_jit(jax.jit, ledger, zero_rounding)
    vars(jax)["pmap"] = make_guarded_pmap(jax.pmap, ledger, zero_rounding)
    vars(pjit)["pjit"] = make_guarded_jit(pjit.pjit, ledger, zero_rounding)
    vars(jax.export)["export"] = make_guarded_export(jax.export.export)
    vars(serialize_executable)["serialize"] = make_guarded_serialize(serialize_executable.serialize)
    _keep_until_exit(ledger, process)


def _keep_until_exit(ledger: Ledger, process: ForeignProcess) -> None:
    """Write the ledger when this process ends, and in every process that it forks."""

    def begin_in_child(journal: Journal | None) -> None:
        ledger.begin(journal)
        ledger.wait_for_calls()

    atexit.register(ledger.end, waits=True)
    process.in_children(begin_in_child)
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        ledger.wait_for_calls()
    exit_at_once = os._exit

    def end_and_exit(status: int) -> NoReturn:
        ledger.end(waits=False)
        exit_at_once(status)

    # Workers of multiprocessing end with os._exit, which skips functions registered with atexit.
    vars(os)["_exit"] = end_and_exit
