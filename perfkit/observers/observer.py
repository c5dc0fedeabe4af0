"""What an observer is: a name, where it looks from, a few hooks, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue

from perfkit.observers.process_tree import TreeSample
from perfkit.records.schema import Compilation, Stage

if TYPE_CHECKING:
    from perfkit.models.base import Workload


class Place(StrEnum):
    """Which child process an observer looks at."""

    TIMED = "timed pass"
    """The trial itself, from outside: costs the measured process nothing that can be seen."""
    BESIDE = "pass of its own"
    """A further child that all observers of this place share, because they hardly disturb one
    another; its times are never kept."""
    ALONE = "child of its own"
    """A further child each, because the observer changes what others would see."""


class ExtraPass(StrEnum):
    """What the child does between an observer's hooks for a pass."""

    NONE = "none"
    PLAIN = "plain"
    TRACED = "traced"
    """A pass under JAX's profiler, whose files stay in the child's folder."""


@dataclass(frozen=True)
class Child:
    """The process that is looked at.

    Parameters
    ----------
    pid
        Root of its tree.
    folder
        Where an observer may leave files; the child can write there too.
    begin_s
        Monotonic clock at the trial's start: times in results count from here.
    cpus
        CPUs that the child may use.
    workload
        What it computes.
    """

    pid: int
    folder: Path
    begin_s: float
    cpus: int
    workload: Workload


@dataclass(frozen=True)
class Seen:
    """What is known of the child once it has ended."""

    stages: Sequence[Stage]
    compilation: Compilation | None


@dataclass(frozen=True)
class Finding:
    """What an observer found: data for the record, files, and what is missing.

    Parameters
    ----------
    data
        Numbers and names, small enough for a line of JSON.
    files
        Name to file in the child's folder.
    missing
        One line on what could not be seen and why, empty if nothing.
    """

    data: Mapping[str, JsonValue] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    missing: str = ""


class Observer:
    """Base of all observers; every hook but :meth:`results` may be left as it is.

    The parent calls the hooks in the order in which they stand here. ``around`` alone is called
    in the child, on another instance: what it has to tell must go through files.
    """

    name: ClassVar[str]
    place: ClassVar[Place]
    summary: ClassVar[str]
    extra_pass: ClassVar[ExtraPass] = ExtraPass.NONE
    """The pass that the child goes through between :meth:`pass_begins` and :meth:`pass_ended`."""

    def unavailable(self) -> str | None:
        """One line why this observer sees nothing on this machine, None where it can look."""
        return None

    def around(self, folder: Path) -> AbstractContextManager[object]:
        """In the child: what all of its stages run inside of."""
        return nullcontext()

    def started(self, child: Child) -> None:
        """The child exists and waits for this call to return."""

    def sampled(self, sample: TreeSample) -> None:
        """A tenth of a second has passed; called on the sampling thread."""

    def pass_begins(self) -> None:
        """The extra pass is about to begin."""

    def pass_ended(self) -> None:
        """The extra pass has ended."""

    def ended(self) -> None:
        """The child has ended, in whatever way."""

    def results(self, seen: Seen) -> Finding:
        """What was found."""
        raise NotImplementedError
