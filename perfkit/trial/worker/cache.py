"""What a worker keeps from trial to trial: models, prepared predictions, compiled programs."""

from __future__ import annotations

import json
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.trial.messages import GUARD_OFF, TrialSpec

if TYPE_CHECKING:
    from perfkit.models.base import Model
    from perfkit.models.prepared import Prepared

MAX_PROGRAMS = 64
"""Most compiled programs that are kept without a trial that uses them: two blocks of candidates."""

MAX_PREDICTIONS = 4
"""Most prepared predictions, and lowerings, that are kept without a trial that uses them. Each
prediction holds its own weights."""

SHARE_OF_LIMIT = 0.6
"""Share of the memory limit above which unused programs are dropped before a trial is opened. The
rest is left for the trial's own arrays."""

SHARE_OF_MAPPINGS = 0.5
"""Share of the mappings that the kernel allows a process above which unused programs are dropped
before a trial is opened. A program of AlphaFold 3 has 1,100 mappings of its code, so that fifty of
them reach the usual limit of 65,530, and the next compilation fails for want of memory."""

_MOST_MAPPINGS = Path("/proc/sys/vm/max_map_count")

type FindModel = Callable[[str], Model]
"""Returns the model of a name; called in the import stage."""


def registered_model(name: str) -> Model:
    """The model of this name in perfkit's registry."""
    from perfkit.models import get_model

    return get_model(name)


def resident_bytes() -> int:
    """Resident set of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def mappings() -> int:
    """Number of memory mappings of this process."""
    return Path("/proc/self/maps").read_bytes().count(b"\n")


def most_mappings() -> float:
    """Most memory mappings that the kernel allows a process; infinite if it does not say."""
    try:
        return float(_MOST_MAPPINGS.read_text())
    except (OSError, ValueError):
        return math.inf


class Kept[Key: Hashable, Value]:
    """Values by key, of which only a number is kept once no trial uses them.

    Parameters
    ----------
    most
        Most values that are kept unused. The least recently used are dropped first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[Key, Value] = {}
        self._users: dict[Key, int] = {}
        self._unused: OrderedDict[Key, None] = OrderedDict()

    def __contains__(self, key: Key | None) -> bool:
        return key in self._values

    @contextmanager
    def using(self, key: Key | None, make: Callable[[], Value]) -> Iterator[Value]:
        """The value of a key, which is not dropped before the end of the block.

        Parameters
        ----------
        key
            Key of the value. Without a key, the value is neither looked up nor kept.
        make
            Makes the value if it is not there.
        """
        if key is None:
            yield make()
            return
        if key not in self._values:
            self._values[key] = make()
        self._users[key] = self._users.get(key, 0) + 1
        self._unused.pop(key, None)
        try:
            yield self._values[key]
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                self._unused[key] = None
            while len(self._unused) > self._most:
                self.drop()

    def drop(self) -> bool:
        """Drop the least recently used value; False if all are in use."""
        if not self._unused:
            return False
        key, _ = self._unused.popitem(last=False)
        del self._values[key], self._users[key]
        return True


@dataclass(frozen=True)
class Program:
    """A compiled program.

    Attributes
    ----------
    compiled
        The program, as JAX's ``compile`` returns it.
    cache
        Whether it came from JAX's persistent cache: ``hit``, ``miss``, or ``off`` without one.
    """

    compiled: Any
    cache: str


@dataclass(frozen=True)
class Keys:
    """Keys under which the parts of a trial are kept; None for a part that is not kept.

    Attributes
    ----------
    prediction
        Key of the prepared prediction: workload, and values of the model's own knobs.
    lowering
        Key of what JAX's ``lower`` returns for it.
    program
        Key of the compiled program: the same with the options of the compilation.
    """

    prediction: str
    lowering: str | None
    program: str | None

    @classmethod
    def of(cls, spec: TrialSpec) -> Keys:
        """The keys of a trial.

        A guarded program counts what it lifts in the ledger of its trial, so no other trial can
        use it.
        """
        prediction = _text(spec.workload, spec.overrides)
        if spec.guard != GUARD_OFF:
            return cls(prediction, None, None)
        return cls(prediction, prediction, _text(prediction, spec.compiler_options))


def _text(*data: object) -> str:
    return json.dumps(data, sort_keys=True)


class WorkerCache:
    """What the trials of one worker share.

    Parameters
    ----------
    find_model
        Returns the model of a name.
    keeps
        Whether anything is kept once no trial uses it. A worker of one trial keeps nothing, so
        that its memory is that of the trial.

    Attributes
    ----------
    predictions, lowerings, programs
        Prepared predictions, what JAX's ``lower`` returned, and compiled programs, each by its
        key of :class:`Keys`.
    """

    def __init__(self, find_model: FindModel, *, keeps: bool) -> None:
        self.predictions: Kept[str, Prepared] = Kept(MAX_PREDICTIONS if keeps else 0)
        self.lowerings: Kept[str, Any] = Kept(MAX_PREDICTIONS if keeps else 0)
        self.programs: Kept[str, Program] = Kept(MAX_PROGRAMS if keeps else 0)
        self._find_model = find_model
        self._models: dict[str, Model] = {}

    def model(self, name: str) -> Model:
        """The model of a name, with its packages imported."""
        if name not in self._models:
            model = self._find_model(name)
            model.load()
            self._models[name] = model
        return self._models[name]

    def make_room(self, limit_bytes: float) -> None:
        """Drop what no trial uses until the resident set is within a limit, as far as possible."""
        for kept in (self.programs, self.lowerings, self.predictions):
            while resident_bytes() > limit_bytes and kept.drop():
                continue

    def limit_mappings(self, most: float | None = None) -> None:
        """Drop programs that no trial uses until the mappings are within their share of a limit.

        Parameters
        ----------
        most
            Most mappings of a process; by default those that the kernel allows.
        """
        most = most_mappings() if most is None else most
        while mappings() > SHARE_OF_MAPPINGS * most and self.programs.drop():
            continue
