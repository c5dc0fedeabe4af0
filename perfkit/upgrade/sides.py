"""The two environments that are compared, and the trials that run in them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit.diagnose.child_process import last_line
from perfkit.environments.environment import environment_for, parse_versions
from perfkit.errors import UserError
from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload
from perfkit.records.interpreter import Interpreter
from perfkit.records.machine import PACKAGES, available_memory_bytes
from perfkit.records.schema import Observation, Record
from perfkit.trial.launcher import TrialProcess
from perfkit.trial.limits import SHARE_OF_AVAILABLE_MEMORY, Limits
from perfkit.trial.request import TrialFiles, TrialLabels, TrialRequest
from perfkit.upgrade.module_times import ModuleTimes
from perfkit.version import __version__

OLD, NEW = "old", "new"

OBSERVATION = "upgrade"
"""Observation of a record with its side and the times of its modules."""

PROBE = """
import json, platform, sys
from importlib import metadata
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
import jaxlib
import perfkit
found["jaxlib in use"] = jaxlib.__version__
found["perfkit in use"] = perfkit.__version__
try:
    from perfkit.builds import installed_build
    builds = {name: installed_build(name) for name in found if name in sys.argv[1:]}
except ImportError:
    # Another perfkit, which is refused by its version.
    builds = {}
print(json.dumps({"versions": found, "builds": builds}))
"""
"""Program that writes the versions and builds of an environment as JSON."""


@dataclass(frozen=True)
class Side:
    """One of the two environments.

    Attributes
    ----------
    name
        :data:`OLD` or :data:`NEW`.
    interpreter
        Its Python, and the packages that it finds.
    """

    name: str
    interpreter: Interpreter

    @property
    def python(self) -> Path:
        """The executable."""
        return self.interpreter.python

    @property
    def jaxlib(self) -> str:
        """Version of jaxlib."""
        return self.interpreter.jaxlib

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of Python and of the packages that a record lists."""
        return {"python": self.interpreter.python_version, **dict(self.interpreter.versions)}

    @property
    def label(self) -> str:
        """Name of the side for a reader."""
        return f"jaxlib {self.jaxlib}"

    def finished(self, record: Record) -> Record:
        """The record of a trial, marked as one of this side.

        The times of modules are kept under :data:`OBSERVATION`, next to the name of the side.
        """
        observations = dict(record.observations)
        traced = observations.pop(ModuleTimes.name, Observation())
        observations[OBSERVATION] = traced.model_copy(
            update={"data": {**traced.data, "side": self.name}}
        )
        return record.model_copy(update={"observations": observations})


def make_side(name: str, python: Path) -> Side:
    """Make a side of an interpreter.

    Raises
    ------
    UserError
        The interpreter does not run, or lacks JAX or this version of perfkit.
    """
    try:
        done = subprocess.run(
            [str(python), "-c", PROBE, *PACKAGES], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise UserError(f"{python} is no Python that runs here ({error.strerror})") from error
    if done.returncode or not done.stdout.startswith("{"):
        reason = last_line(done.stderr) or "it printed no message"
        raise UserError(f"perfkit and JAX cannot be imported by {python}: {reason}")
    probed = json.loads(done.stdout)
    found, builds = probed["versions"], probed["builds"]
    # Metadata may be those of a package that another one of the path hides.
    found["jaxlib"] = found.pop("jaxlib in use")
    if (other := found.pop("perfkit in use")) != __version__:
        raise UserError(f"{python} has perfkit {other}, not {__version__}: install the same one")
    python_version = found.pop("python")
    interpreter = Interpreter(python, python_version, _pairs(found), _pairs(builds))
    return Side(name, interpreter)


def _pairs(found: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(found.items()))


def interpreter_of(jaxlib: str, say: Callable[[str], object] = lambda sentence: None) -> Path:
    """The interpreter for a version of jaxlib, or for the path of a Python.

    Parameters
    ----------
    jaxlib
        The version, which is installed into an environment of its own unless there is one, or the
        path of the Python of another environment that has perfkit.
    say
        Called with a sentence before something is installed.

    Raises
    ------
    UserError
        The text is neither, or the version does not install.
    """
    if Path(jaxlib).is_file():
        return Path(jaxlib).absolute()
    if os.sep in jaxlib:
        raise UserError(f"{jaxlib} is no file: give a version of jaxlib, or the path of a Python")
    (version,) = parse_versions([jaxlib])
    return environment_for(version, say).python


class SideRunner:
    """Makes trials in the environment of a side; a :class:`perfkit.tuning.studies.runner.Runner`.

    Parameters
    ----------
    side
        The side.
    folder
        Folder of the store.
    limits
        Limits of each trial.
    on_stage
        Called with the name of each stage when a trial enters it.
    """

    def __init__(
        self, side: Side, folder: Path, limits: Limits, on_stage: Callable[[str], None]
    ) -> None:
        self._side = side
        self._folder = folder
        self._limits = limits
        self._on_stage = on_stage

    def trial(
        self,
        workload: Workload,
        configuration: Configuration,
        labels: TrialLabels,
        files: TrialFiles,
    ) -> TrialProcess:
        """A trial that has not been started."""
        request = TrialRequest(
            workload,
            configuration,
            self._folder,
            self._limits,
            labels,
            files,
            observers=(ModuleTimes(),),
            interpreter=self._side.interpreter,
        )
        trial = TrialProcess(request)
        trial.on_stage = lambda stage: self._on_stage(f"{self._side.label}: {stage}")
        return trial

    def available_bytes(self) -> float:
        """Free memory within every limit on this process."""
        return available_memory_bytes() * SHARE_OF_AVAILABLE_MEMORY

    def now_s(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()
