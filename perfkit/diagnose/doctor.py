"""Examines the installed jaxlib on this CPU: are its answers right, and which faults are known?

>>> from perfkit.diagnose.doctor import examine
>>> diagnosis = examine()
>>> diagnosis.healthy
True

JAX is imported only when an examination starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from perfkit.diagnose.child_process import environment_with_perfkit, last_line
from perfkit.diagnose.diagnosis import Diagnosis, diagnosis_from_dict
from perfkit.errors import MissingDependencyError, UserError
from perfkit.tuning.apply import preset_environment

if TYPE_CHECKING:
    from perfkit.knobs.configuration import Configuration

NEEDED_PACKAGES = ("jax", "jaxlib")
"""Packages without which no known-answer program can run."""


def examine() -> Diagnosis:
    """Run all known-answer programs in this process, under its environment and its CPUs.

    Raises
    ------
    MissingDependencyError
        JAX is not installed.
    """
    require_packages(NEEDED_PACKAGES)
    from perfkit.diagnose.examination import run_examination

    return run_examination()


def examine_under(configuration: Configuration) -> Diagnosis:
    """Run all known-answer programs under a configuration, in a process of its own.

    The process is needed because XLA reads its flags once, and because CPUs are bound before XLA
    starts its threads.

    Parameters
    ----------
    configuration
        Gives the environment and the CPUs of the process.

    Raises
    ------
    MissingDependencyError
        JAX is not installed.
    UserError
        The configuration is impossible on this machine, or XLA does not start under it.
    """
    require_packages(NEEDED_PACKAGES)
    cpus = configuration.ensure_possible()
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        # Standard error is left to the process: XLA explains there why it does not start.
        done = subprocess.run(
            [sys.executable, "-m", "perfkit.diagnose.examination"],
            env=environment_with_perfkit(preset_environment(configuration)),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.sched_setaffinity(0, allowed)
    if done.returncode:
        raise UserError(
            f"XLA does not start under {configuration.label} (code {done.returncode}): "
            "its message is printed above"
        )
    return diagnosis_from_dict(json.loads(last_line(done.stdout)))


def require_packages(names: Sequence[str]) -> None:
    """Raise :class:`MissingDependencyError` for the first package that is not installed.

    Parameters
    ----------
    names
        Import names, which must also be the names under which pip installs the packages.
    """
    for name in names:
        if find_spec(name) is None:
            raise MissingDependencyError(f"{name} is not installed: pip install {name}")
