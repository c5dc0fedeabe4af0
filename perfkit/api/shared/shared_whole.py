"""Calls whose result is a file: fits, which one worker makes as a whole, and tunings.

The records of a fit are in the store of its folder as soon as they exist. A worker that takes the
call over, on a node of the same kind, resumes from them and repeats no finished trial. The search
of a tuning is shared by all workers, see :mod:`perfkit.api.shared.shared_tune`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit.api.progress import CallProgress
from perfkit.api.shared.elsewhere import Call, Elsewhere, as_json, share, unfinished_sentence
from perfkit.api.subject import make_subject
from perfkit.errors import UserError
from perfkit.files import short_digest
from perfkit.records.schema import Record
from perfkit.shared_study.plan import Unit
from perfkit.shared_study.study import Listing, SharedStudy
from perfkit.shared_study.worker import IsHeld
from perfkit.tuning.studies.nodes import node_sentences

CALLS = {
    "fit": ("perfkit.api.fitting", "fit_model", ("fit.json",)),
    "tune": ("perfkit.api.studies.tuning", "tune", ("preset.toml",)),
}
"""Module and function by kind, and what it leaves in its folder in addition to a page."""

TUNE = "tune"
"""The call whose workers find the steps of its search as they go."""

PAGE = "report.html"

SUBJECT = ("fidelity", "time_limit", "memory_limit")


@dataclass(frozen=True)
class WholeResult:
    """What a call left in its folder.

    Attributes
    ----------
    files
        The files that exist.
    unfinished
        What is missing and what to do; empty if the call has ended.
    """

    files: tuple[Path, ...]
    unfinished: str


def call_elsewhere(
    kind: str, arguments: Mapping[str, Any], where: Elsewhere, progress: CallProgress
) -> WholeResult:
    """Let workers make a call.

    Parameters
    ----------
    kind
        A key of :data:`CALLS`.
    arguments
        Arguments of the function, without its progress.
    where
        The place.
    progress
        Follows the study.

    Raises
    ------
    UserError
        An argument is impossible, or the worker cannot be started.
    """
    where.check()
    if arguments.get("out") is None:
        raise UserError(f"--on {where.on} needs --out FOLDER: a folder that all nodes see")
    folder = Path(arguments["out"])
    plain = {name: as_json(each) for name, each in arguments.items() if name != "out"}
    _check(kind, plain)
    units = [Unit(key=short_digest([kind, plain]), label=f"{kind} {arguments.get('model', '')}")]
    with progress.study(trials=1) as study:
        status = share(folder, Call(kind, plain, units, grows=kind == TUNE), where, study.say)
        if status is None:
            return WholeResult((), "")
        for sentence in node_sentences(SharedStudy(folder).records()):
            study.say(sentence)
    named = (folder / name for name in (*CALLS[kind][2], PAGE))
    unfinished = unfinished_sentence(status, folder) if where.follow else ""
    return WholeResult(tuple(path for path in named if path.exists()), unfinished)


class WholeExecutor:
    """Makes a call on this node.

    Parameters
    ----------
    study
        The shared study.
    """

    def __init__(self, study: SharedStudy) -> None:
        self._study = study

    def open_units(self, listing: Listing, is_held: IsHeld) -> Sequence[Unit]:
        """The open units of the plan."""
        return self._study.open_units(listing)

    def prerequisite(self, unit: Unit) -> Unit | None:
        """None: there is one unit."""

    def execute(self, unit: Unit) -> Sequence[Record]:
        """Make the call. It stores its own records, so that none is left to commit."""
        plan = self._study.plan
        result = _function(plan.kind)(**plan.arguments, out=self._study.folder, progress=print)
        if getattr(result, "interrupted", False):
            raise KeyboardInterrupt
        return ()


def make_executor(study: SharedStudy) -> WholeExecutor:
    """Make what runs the call of a study."""
    return WholeExecutor(study)


def _function(kind: str) -> Callable[..., Any]:
    module, name, _ = CALLS[kind]
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def _check(kind: str, arguments: Mapping[str, Any]) -> None:
    """Check model and input here; the worker checks what depends on its node."""
    parameters = inspect.signature(_function(kind)).parameters
    options = {name: each for name, each in arguments.items() if name not in parameters}
    given = {name: arguments[name] for name in SUBJECT if name in arguments}
    make_subject(arguments["model"], options, **given, plans=kind == "fit")
