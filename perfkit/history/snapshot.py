"""What was measured at one moment, whoever kept it: the data that comparisons work on."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


class Kind(enum.StrEnum):
    """What an entry is about, which decides when it counts as changed; what matters most first."""

    ANSWER = "answer"
    """A distance between answers, or what the guard had to do: any change matters."""
    TIME = "time"
    MEMORY = "memory"
    OTHER = "other"
    """Shown, and never called a regression: utilisation, versions, counts of equations."""


@dataclass(frozen=True)
class Entry:
    """One measured quantity.

    Attributes
    ----------
    name
        What was measured, unique in its snapshot.
    kind, unit
        ``seconds`` and ``bytes`` are shown with prefixes.
    value
        Median; None where the measurement failed, NaN (or infinity) where there is no number.
    groups
        Raw samples, a group a process: passes of one process share what differs between
        processes. Empty where none were kept.
    low, high
        Interval that a summary kept instead of samples, else None.
    version
        Entries of different versions are not comparable; empty where there is none.
    reason
        Why it failed.
    subject
        What it belongs to, e.g. a workload under a configuration; empty where there is but one.
    essential
        Whether it is lost, rather than not measured, where a snapshot that answered for the
        subject lacks it.
    place
        Kind of machine. Times and memory of different places are not comparable.
    shown
        Text that is shown instead of the value.
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
    essential: bool = False
    place: str = ""
    shown: str = ""

    @property
    def count(self) -> int:
        """Raw samples."""
        return sum(len(group) for group in self.groups)

    @property
    def measured(self) -> bool:
        """Whether there is a number."""
        return self.value is not None and math.isfinite(self.value)


@dataclass(frozen=True)
class Snapshot:
    """All entries of one moment.

    Attributes
    ----------
    label
        What a person calls it: a folder, or a commit.
    setting
        What it was measured on and with, name to value: machine, CPU, jaxlib, ...
    entries
        By name.
    answered
        Subjects that were measured to a good end: what they lack although it is essential is lost.
    """

    label: str
    setting: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    answered: frozenset[str] = frozenset()


def entry_of_samples(
    name: str,
    kind: Kind,
    unit: str,
    groups: Sequence[Sequence[float]],
    *,
    version: str = "",
    subject: str = "",
    essential: bool = False,
    place: str = "",
) -> Entry:
    """The entry of raw samples, at least one; the rest as in :class:`Entry`."""
    kept = tuple(tuple(group) for group in groups if len(group))
    return Entry(
        name,
        kind,
        unit,
        float(np.median(np.concatenate(kept))),
        kept,
        version=version,
        subject=subject,
        essential=essential,
        place=place,
    )
