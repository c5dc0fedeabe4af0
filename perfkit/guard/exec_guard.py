"""Installs the domain guard into a program that is not edited: ``perfkit exec --guard``.

The parent puts a folder on ``PYTHONPATH`` whose ``sitecustomize`` waits for ``jax`` to be
imported and then replaces ``jax.jit``, before the program can take hold of it. Every process
writes down what its guard does as it happens, for the parent to read. Nothing here imports JAX by
itself.
"""

from __future__ import annotations

import atexit
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from perfkit.guard.journal import Journal, ProcessReport, read_journals

if TYPE_CHECKING:
    from perfkit.guard.escaped import JaxProcess
    from perfkit.guard.guarded_jit import Ledger

MODE_VARIABLE = "PERFKIT_GUARD_MODE"
"""``lift``, or ``zero`` to return zero for differences that are rounding in either direction."""

REPORTS_VARIABLE = "PERFKIT_GUARD_REPORTS"
"""The folder in which each guarded process keeps its journal."""

SHOWN_CHARACTERS = 160
"""How much of a command line is shown."""

_HOOK_FOLDER = "hook"
_COUNTS = ("lifted", "zeroed")

_SITECUSTOMIZE = '''\
"""Puts perfkit's guard into this interpreter, then runs the sitecustomize it stands before."""

import importlib.machinery
import importlib.util
import os
import sys

import perfkit.guard.exec_guard

perfkit.guard.exec_guard.wait_for_jax()
_here = os.path.dirname(os.path.abspath(__file__))
_others = [path for path in sys.path if os.path.abspath(path or os.curdir) != _here]
_spec = importlib.machinery.PathFinder.find_spec("sitecustomize", _others)
if _spec is not None and _spec.loader is not None:
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))
'''


def guarded_environment(
    environment: Mapping[str, str], folder: Path, *, zero_rounding: bool = False
) -> dict[str, str]:
    """The environment under which any Python program runs guarded.

    Parameters
    ----------
    environment
        The environment to extend.
    folder
        An existing folder that outlives the program; the hook and the reports are put there.
        Of perfkit itself only the package is put on the program's path, not what stands beside
        it.
    zero_rounding
        As in :func:`perfkit.guard.domain.guard`.
    """
    hook = folder / _HOOK_FOLDER
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
    package = hook / "perfkit"
    if not package.is_symlink():
        package.symlink_to(Path(__file__).resolve().parents[1], target_is_directory=True)
    paths = [str(hook), *filter(None, [environment.get("PYTHONPATH")])]
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join(paths),
        MODE_VARIABLE: "zero" if zero_rounding else "lift",
        REPORTS_VARIABLE: str(folder.resolve()),
    }


def read_reports(folder: Path, seen: Sequence[JaxProcess] = ()) -> dict[str, Any]:
    """Add up what all guarded processes left in a folder.

    Parameters
    ----------
    folder
        The folder.
    seen
        The processes in which JAX was seen from outside.

    Returns
    -------
    dict
        ``processes`` (0: no guarded process loaded JAX), the totals and sites as
        :meth:`perfkit.guard.guarded_jit.Ledger.as_dict` gives them, each site once, and
        ``not_counted``: a sentence for each process whose counts are incomplete or missing.
    """
    reports = read_journals(folder)
    sites = _added_up(reports)
    return {
        "processes": len(reports),
        "guarded_equations": len(sites),
        "lifted": sum(site["lifted"] for site in sites),
        "zeroed": sum(site["zeroed"] for site in sites),
        "sites": [site for site in sites if site["lifted"] or site["zeroed"]],
        "unguarded_functions": {
            name: why for report in reports for name, why in report.unguarded.items()
        },
        "not_counted": [
            *dict.fromkeys(sentence for report in reports for sentence in report.uncounted),
            *filter(None, map(_incomplete, reports)),
            *(_escaped(process) for process in seen if not _has_guard(process, reports)),
        ],
    }


def _added_up(reports: Sequence[ProcessReport]) -> list[dict[str, Any]]:
    """Every guarded equation once, with its counts over all processes."""
    added: dict[tuple[Any, ...], dict[str, Any]] = {}
    for report in reports:
        for site in report.sites:
            key = tuple(value for name, value in site.items() if name not in _COUNTS)
            total = added.setdefault(key, {**site, **dict.fromkeys(_COUNTS, 0)})
            for name in _COUNTS:
                total[name] += site[name]
    return list(added.values())


def _incomplete(report: ProcessReport) -> str | None:
    """A sentence if some calls of a process are not counted."""
    is_running = not report.ended and _is_alive(report.pid)
    if report.calls == report.counted and not is_running:
        return None
    end = "was ended by a signal or crashed"
    if report.ended or is_running:
        end = "is still running" if is_running else "ended at once"
    return (
        f"process {report.pid} ({_shown(report.command)}) {end}: "
        f"{report.counted} of its {report.calls} guarded calls are counted"
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _has_guard(process: JaxProcess, reports: Sequence[ProcessReport]) -> bool:
    """Whether a process left a journal, or is a fork of one that did."""
    return any(
        report.pid == process.pid or (process.has_guard and report.command == process.command)
        for report in reports
    )


def _escaped(process: JaxProcess) -> str:
    return (
        f"process {process.pid} ({_shown(process.command)}) loaded JAX without the guard: its "
        "environment or an option (-I, -E, -S) kept perfkit's hook out"
    )


def _shown(command: str) -> str:
    line = " ".join(command.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]} ..."


def wait_for_jax() -> None:
    """Guard ``jax.jit`` as soon as the program imports ``jax``."""
    sys.meta_path.insert(0, _AfterJax())


def install(zero_rounding: bool, reports: Path | None) -> None:
    """Replace ``jax.jit``, ``jax.pmap`` and ``pjit`` in this process.

    Parameters
    ----------
    zero_rounding
        As in :func:`perfkit.guard.domain.guard`.
    reports
        The folder in which to keep the journal of the process, or None for nowhere.
    """
    import jax
    import jax.export
    from jax.experimental import pjit, serialize_executable

    from perfkit.guard.guarded_export import make_guarded_export, make_guarded_serialize
    from perfkit.guard.guarded_jit import Ledger, make_guarded_jit, make_guarded_pmap

    ledger = Ledger(None if reports is None else _open_journal(reports))
    # Set through the modules' dictionaries: the program must find it under the usual names.
    vars(jax)["jit"] = make_guarded_jit(jax.jit, ledger, zero_rounding)
    vars(jax)["pmap"] = make_guarded_pmap(jax.pmap, ledger, zero_rounding)
    vars(pjit)["pjit"] = make_guarded_jit(pjit.pjit, ledger, zero_rounding)
    vars(jax.export)["export"] = make_guarded_export(jax.export.export)
    vars(serialize_executable)["serialize"] = make_guarded_serialize(serialize_executable.serialize)
    if reports is not None:
        _keep_to_the_end(ledger, reports)


def _keep_to_the_end(ledger: Ledger, reports: Path) -> None:
    """Let the ledger be written to the end of this process and in the processes it forks."""

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

    # The workers of multiprocessing end so, without what is registered with atexit.
    vars(os)["_exit"] = end_and_exit


def _open_journal(folder: Path) -> Journal | None:
    try:
        return Journal(folder)
    except OSError:
        # The command is over and its folder gone, or the disk is full.
        return None


class _AfterJax(importlib.abc.MetaPathFinder):
    """Finds ``jax`` as usual, but installs the guard once it is loaded."""

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
        install(os.environ.get(MODE_VARIABLE) == "zero", Path(folder) if folder else None)
