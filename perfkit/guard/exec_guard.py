"""Installs the domain guard into a program that is not edited: ``perfkit exec --guard``.

The parent puts a folder on ``PYTHONPATH`` whose ``sitecustomize`` waits for ``jax`` to be
imported and then replaces ``jax.jit``, before the program can take hold of it. When the process
ends, what the guard did is left as a file for the parent. Nothing here imports JAX by itself.
"""

from __future__ import annotations

import atexit
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

MODE_VARIABLE = "PERFKIT_GUARD_MODE"
"""``lift``, or ``zero`` to return zero for differences that are rounding in either direction."""

REPORTS_VARIABLE = "PERFKIT_GUARD_REPORTS"
"""The folder in which each guarded process leaves its report."""

_HOOK_FOLDER = "hook"

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


def read_reports(folder: Path) -> dict[str, Any]:
    """Add up what all guarded processes left in a folder.

    Returns
    -------
    dict
        ``processes`` (0: no Python process with JAX ended there), and the totals and sites as
        :meth:`perfkit.guard.guarded_jit.Ledger.as_dict` gives them.
    """
    reports = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("guard-*.json"))
    ]
    return {
        "processes": len(reports),
        **{
            key: sum(report[key] for report in reports)
            for key in ("guarded_equations", "lifted", "zeroed")
        },
        "sites": [site for report in reports for site in report["sites"]],
        "unguarded_functions": {
            name: why for report in reports for name, why in report["unguarded_functions"].items()
        },
    }


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
        Where to leave the report when the process ends, or None for nowhere.
    """
    import jax
    from jax.experimental import pjit

    from perfkit.guard.guarded_jit import Ledger, make_guarded_jit, make_guarded_pmap

    ledger = Ledger()
    # Set through the modules' dictionaries: the program must find it under the usual names.
    vars(jax)["jit"] = make_guarded_jit(jax.jit, ledger, zero_rounding)
    vars(jax)["pmap"] = make_guarded_pmap(jax.pmap, ledger, zero_rounding)
    vars(pjit)["pjit"] = make_guarded_jit(pjit.pjit, ledger, zero_rounding)
    if reports is not None:
        atexit.register(_leave_report, ledger, reports)


def _leave_report(ledger: Any, reports: Path) -> None:
    path = reports / f"guard-{os.getpid()}.json"
    path.write_text(json.dumps(ledger.as_dict()), encoding="utf-8")


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
