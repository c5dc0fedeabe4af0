"""Snapshots: named quantities measured at one time, from records or from asv results."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from perfkit.units import value_text


class Kind(enum.StrEnum):
    """The kind of quantity, which decides when it counts as changed. Most important kind first."""

    ANSWER = "answer"
    """A distance between outputs or a count of guard events: any change matters."""
    TIME = "time"
    MEMORY = "memory"
    OTHER = "other"
    """Shown, but never a regression: utilisation, versions, numbers of equations."""


@dataclass(frozen=True)
class Entry:
    """One measured quantity.

    Attributes
    ----------
    name
        Name of the quantity, unique in its snapshot.
    kind
        Kind of quantity.
    unit
        Unit of the value; ``seconds`` and ``bytes`` are shown with prefixes.
    value
        Median in ``unit``; None if the measurement failed, NaN or infinite if it gave no number.
    groups
        Raw samples in ``unit``, one group per process, because the passes of one process share
        whatever differs between processes. Empty if no samples were stored.
    low, high
        Interval stored in place of samples, in ``unit``; None if there is none.
    version
        Version of the measurement; entries of different versions are not comparable. Empty if the
        measurement has no version.
    reason
        Reason of a failure.
    subject
        Subject that the entry belongs to, for example a workload under a configuration; empty if
        the snapshot has a single subject.
    required
        Whether the entry counts as lost, and not merely as removed, if a later snapshot completed
        the subject without it.
    hardware
        Kind of machine. Times and memory on different hardware are not comparable.
    display
        Text shown in place of the value; empty for none.
    """

    name: str
    kind: Kind
    unit: str
    value: float | None
    groups: tuple[tuple[float, ...], ...] = ()
    low: float | None = None
    high: float | None = None
    version: str = ""
    reason: str = ""
    subject: str = ""
    required: bool = False
    hardware: str = ""
    display: str = ""

    @property
    def count(self) -> int:
        """Number of raw samples."""
        return sum(len(group) for group in self.groups)

    @property
    def measured(self) -> bool:
        """Whether the value is a finite number."""
        return self.value is not None and math.isfinite(self.value)

    @property
    def text(self) -> str:
        """The value with its unit, or why there is none."""
        if self.display:
            return self.display
        if self.value is None:
            return "failed"
        return value_text(self.value, self.unit) if self.measured else "no number"


@dataclass(frozen=True)
class Snapshot:
    """All entries measured at one time.

    Attributes
    ----------
    label
        Name for a reader: a folder or a commit.
    metadata
        What was measured with, by name: machine, CPU, version of jaxlib, ...
    entries
        Entries by name.
    completed
        Subjects that were measured successfully. A required entry that such a subject lacks is
        lost.
    """

    label: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    completed: frozenset[str] = frozenset()


def entry_of_samples(
    name: str,
    kind: Kind,
    unit: str,
    groups: Sequence[Sequence[float]],
    *,
    version: str = "",
    subject: str = "",
    required: bool = False,
    hardware: str = "",
) -> Entry:
    """Make an entry from raw samples; its value is the median of all samples.

    Parameters
    ----------
    name, kind, unit, version, subject, required, hardware
        Fields of the :class:`Entry`.
    groups
        Raw samples in ``unit``, one group per process, at least one sample in all. Empty groups
        are dropped.
    """
    filled = tuple(tuple(group) for group in groups if len(group))
    return Entry(
        name,
        kind,
        unit,
        float(np.median(np.concatenate(filled))),
        filled,
        version=version,
        subject=subject,
        required=required,
        hardware=hardware,
    )
