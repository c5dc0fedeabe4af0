"""The request for a search, and its start in a process of the older jaxlib."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from perfkit.diagnose.child_process import search_in_child
from perfkit.upgrade.locate.finding import Located

MODULE = "perfkit.upgrade.locate.locate"


@dataclass(frozen=True)
class LocateRequest:
    """What to search for.

    Attributes
    ----------
    workload
        Plain data of the workload.
    overrides
        Values of the model's own knobs.
    affinity
        CPUs of the search.
    old, new
        Interpreters of the two sides.
    labels
        Names of the two sides, e.g. ``jaxlib 0.11.0``.
    answer
        Whether to search for a changed answer.
    slowed
        Modules to search for slowed operations.
    scratch
        Folder for files that pass between the processes.
    reproduce
        Folder for reproducers; None for none.
    """

    workload: dict[str, Any]
    overrides: dict[str, str]
    affinity: tuple[int, ...]
    old: Path
    new: Path
    labels: tuple[str, str]
    answer: bool
    slowed: tuple[str, ...]
    scratch: Path
    reproduce: Path | None

    @classmethod
    def read(cls, path: Path) -> LocateRequest:
        """Read the request in a file that :func:`locate` wrote."""
        plain = json.loads(path.read_text(encoding="utf-8"))
        for name in ("old", "new", "scratch"):
            plain[name] = Path(plain[name])
        for name in ("affinity", "labels", "slowed"):
            plain[name] = tuple(plain[name])
        if plain["reproduce"] is not None:
            plain["reproduce"] = Path(plain["reproduce"])
        return cls(**{each.name: plain[each.name] for each in fields(cls)})


def locate(request: LocateRequest, python: Path, environment: Mapping[str, str]) -> Located:
    """Search in a process of its own.

    Parameters
    ----------
    request
        What to search for.
    python
        Interpreter of the older jaxlib: a newer one reads programs that it has written.
    environment
        Environment variables of the process, and of both sides.

    Raises
    ------
    UserError
        The workload cannot be prepared.
    PerfkitError
        The process died; the message ends with the last line that it printed.
    """
    return Located.from_dict(search_in_child(MODULE, asdict(request), python, environment))
