"""Makes every Python process of a command act according to a plan.

The parent puts a folder on ``PYTHONPATH`` whose ``sitecustomize`` calls
:func:`perfkit.foreign.install.begin`. Every process writes a journal into the folder of the plan,
which the parent reads at the end. This module does not import JAX.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from perfkit.foreign.install import STARTED
from perfkit.foreign.plan import PLAN_VARIABLE, ForeignPlan
from perfkit.paths import CACHE_VARIABLE, cache_root

HOOK_FOLDER = "hook"
"""Folder, next to the journals, that is put on ``PYTHONPATH``."""

_FAILED = "failed-*.json"
_PACKAGE = Path(__file__).resolve().parents[1]

_SITECUSTOMIZE = '''\
"""Starts perfkit in this interpreter, then runs the sitecustomize that this one hides."""

import importlib.machinery
import importlib.util
import json
import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))
try:
    import perfkit.foreign.install

    perfkit.foreign.install.begin()
except Exception as error:
    # Nothing may change what the program prints. The parent reports the failure.
    _failure = {"pid": os.getpid(), "python": sys.version.split()[0], "error": str(error)}
    try:
        with open(os.path.join(_here, "failed-%d.json" % os.getpid()), "w") as _stream:
            json.dump(_failure, _stream)
    except OSError:
        pass
_others = [path for path in sys.path if os.path.abspath(path or os.curdir) != _here]
_spec = importlib.machinery.PathFinder.find_spec("sitecustomize", _others)
if _spec is not None and _spec.loader is not None:
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))
'''


def foreign_environment(environment: Mapping[str, str], plan: ForeignPlan) -> dict[str, str]:
    """Return an environment under which any Python program acts according to a plan.

    Parameters
    ----------
    environment
        The environment to extend.
    plan
        The plan. Its folder of journals exists, outlives the program, and takes the hook. The
        folder of the hook holds a link to the package ``perfkit``, so that nothing next to the
        package gets on the program's path.
    """
    hook = Path(plan.journals) / HOOK_FOLDER
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
    package = hook / _PACKAGE.name
    if not package.is_symlink():
        package.symlink_to(_PACKAGE, target_is_directory=True)
    paths = [str(hook), *filter(None, [environment.get("PYTHONPATH")])]
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join(paths),
        # The program may lack the package that finds the folder.
        CACHE_VARIABLE: str(cache_root().absolute()),
        PLAN_VARIABLE: plan.to_json(),
    }


def started_processes(journals: Path) -> int:
    """Number of Python processes of the command that followed the plan, forks not counted."""
    started = journals / STARTED
    return started.stat().st_size if started.exists() else 0


def hook_failures(journals: Path) -> list[str]:
    """One sentence for each Python process in which perfkit could not act."""
    sentences = []
    for path in sorted((journals / HOOK_FOLDER).glob(_FAILED)):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        sentences.append(
            f"perfkit cannot act in process {found['pid']} (Python {found['python']}): "
            f"{found['error']}"
        )
    return sentences
