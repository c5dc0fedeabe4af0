"""What an injection of the drill finds, and the small study that most of them disturb."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import MappingProxyType

from perfkit.records.schema import Outcome
from perfkit.records.store import read_folder
from tests.support.faults.study import KilledStudy, Run

WHOLE_S = 8.0
"""About the seconds of a whole study: faults are injected at any moment of it."""

CELLS = ("exact", "20", "24")


@dataclass(frozen=True)
class Injected:
    """What an injection found.

    Attributes
    ----------
    count
        Number of faults that were injected: a study that ended before its fault counts none.
    faults
        What did not hold, in sentences.
    """

    count: int
    faults: Sequence[str]


type Injection = Callable[[Path, Random], Injected]
"""Injects a fault in an empty folder, at drawn moments and places, and checks what holds."""


def small_study(
    folder: Path,
    *,
    variables: Mapping[str, str] = MappingProxyType({}),
    prefix: Sequence[str] = (),
) -> KilledStudy:
    """A study of three cells; see :class:`tests.support.faults.study.KilledStudy`."""
    return KilledStudy(folder, cells=CELLS, variables=variables, prefix=prefix)


def has_failed(study: KilledStudy) -> bool:
    """Whether a trial failed for good because of its disk: it is not repeated."""
    return any(
        record.outcome not in (Outcome.OK, Outcome.INTERRUPTED)
        for record in (read_folder(study.store).records if study.store.exists() else ())
    )


def check_refusal(study: KilledStudy, run: Run) -> None:
    """Note it as a fault of the study if perfkit ended neither in good order nor in a sentence."""
    if run.code not in (0, 1, 2):
        study.faults.append(f"perfkit ended with {run.code}: {run.errors[-300:]}")
    if run.code == 2 and len(run.errors.strip().splitlines()) > 2:
        study.faults.append(f"more than a sentence: {run.errors[-500:]}")
