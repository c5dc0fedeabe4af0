"""The interface of observers: a name, the process to observe, a few hooks, and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.observers.process_tree import TreeSample
from perfkit.records.schema import Compilation, Stage

if TYPE_CHECKING:
    from perfkit.models.workload import Workload


class Process(StrEnum):
    """The child process that an observer looks at."""

    TIMED = "timed pass"
    """The trial itself, observed from outside at no measurable cost to it."""
    SHARED = "pass of its own"
    """A further child, which all such observers share as they hardly disturb each other. Its times
    are not used."""
    OWN = "child of its own"
    """A further child for this observer alone, as it would disturb the others."""


class ExtraPass(StrEnum):
    """The pass that the child runs for an observer."""

    NONE = "none"
    PLAIN = "plain"
    TRACED = "traced"
    """A pass under JAX's profiler, whose files stay in the folder of the child."""


@dataclass(frozen=True)
class Child:
    """The observed process.

    Attributes
    ----------
    pid
        Process id of the child, the root of its process tree.
    folder
        Folder for files of observers; the child writes there too.
    begin_s
        Start of the trial on the monotonic clock; times in results are relative to it.
    cpus
        Number of CPUs that the child may use.
    workload
        Workload of the trial.
    configuration
        Configuration of the trial.
    """

    pid: int
    folder: Path
    begin_s: float
    cpus: int
    workload: Workload
    configuration: Configuration = STOCK


@dataclass(frozen=True)
class ObservedRun:
    """The measured stages of a child that has ended.

    Attributes
    ----------
    stages
        Stages in order.
    compilation
        Properties of the compiled program; None where the child did not compile.
    """

    stages: Sequence[Stage]
    compilation: Compilation | None


@dataclass(frozen=True)
class Finding:
    """Results of an observer.

    Attributes
    ----------
    data
        Data for the record, small enough for a line of JSON.
    files
        Files in the folder of the child, by name for the reader.
    missing
        What could not be observed and why, in one line; empty if nothing is missing.
    """

    data: Mapping[str, JsonValue] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    missing: str = ""


class Observer:
    """Base class of observers; only :meth:`results` must be overridden.

    The parent calls the hooks in the order of this class. Only :meth:`around` is called in the
    child, on another instance, which passes its results on through files.

    Attributes
    ----------
    name
        Name on the command line and in records.
    process
        The process to observe.
    summary
        What the observer shows, for the help.
    extra_pass
        The pass that the child runs between :meth:`pass_begins` and :meth:`pass_ended`.
    """

    name: ClassVar[str]
    process: ClassVar[Process]
    summary: ClassVar[str]
    extra_pass: ClassVar[ExtraPass] = ExtraPass.NONE

    def unavailable(self) -> str | None:
        """Why the observer cannot work on this machine, in one line; None if it can."""
        return None

    def around(self, folder: Path) -> AbstractContextManager[object]:
        """Context manager in which the child runs all of its stages.

        Parameters
        ----------
        folder
            Folder for files of observers.
        """
        return nullcontext()

    def started(self, child: Child) -> None:
        """Called when the child exists; the child waits until this returns."""

    def sampled(self, sample: TreeSample) -> None:
        """Called about every 0.1 s on the sampling thread, with a sample of the process tree."""

    def pass_begins(self) -> None:
        """Called before the extra pass begins."""

    def pass_ended(self) -> None:
        """Called when the extra pass has ended."""

    def ended(self) -> None:
        """Called when the child has ended, in whatever way."""

    def results(self, run: ObservedRun) -> Finding:
        """The results for the record."""
        raise NotImplementedError
