"""Acts in this process according to a plan: hooks into imports, and keeps the journal.

:mod:`perfkit.foreign.hook` arranges that every Python process of a command calls :func:`begin` when
it starts. This module does not import JAX by itself, so a process that does not use JAX pays
nothing.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from perfkit.foreign.adapter import Adapter
from perfkit.foreign.imports import AfterImport
from perfkit.foreign.journal import Journal
from perfkit.foreign.plan import PLAN_VARIABLE, ForeignPlan
from perfkit.foreign.settings_report import JournalReport

STARTED = "started"
"""File in the folder of the journals that holds one byte per Python process that was reached."""

_OWN_WORKER = "perfkit.trial.worker"
"""Module of perfkit's own trials, whose settings nothing from outside may change."""

_begun = False


def begin(environment: Mapping[str, str] = os.environ) -> None:
    """Act according to the plan in the environment; do nothing without one, or a second time.

    A command under ``perfkit exec`` that itself starts ``perfkit exec`` has two hooks on its path.

    Raises
    ------
    ValueError, TypeError
        Another version of perfkit wrote the plan.
    """
    global _begun
    text = environment.get(PLAN_VARIABLE)
    if text is None or _begun or _OWN_WORKER in sys.orig_argv:
        return
    _begun = True
    ForeignProcess(ForeignPlan.from_json(text)).begin()


class ForeignProcess:
    """What perfkit does in this process.

    Parameters
    ----------
    plan
        What to do.

    Attributes
    ----------
    plan
        The same plan.
    report
        What became of the settings.
    journal
        The journal; None before the first entry, or where it cannot be written.
    """

    def __init__(self, plan: ForeignPlan) -> None:
        self.plan = plan
        self.report = JournalReport()
        self.journal: Journal | None = None
        self._opened = False
        self._in_children: list[Callable[[Journal | None], None]] = []

    def begin(self) -> None:
        """Wait for the imports of JAX, of the model's package, and of other models' packages."""
        _mark_started(Path(self.plan.journals))
        imports = AfterImport()
        sys.meta_path.insert(0, imports)
        imports.call("jax", self._prepare_jax)
        for package, model in self.plan.models.items():
            imports.call(package, functools.partial(self._note_model, model))
        if self.plan.adapter is not None:
            for name in self.plan.watched:
                imports.call(name, self._adapt)

    def open_journal(self) -> None:
        """Open the journal, unless it is open; a forked process gets a journal of its own."""
        if self._opened:
            return
        self._opened = True
        self.journal = self._new_journal()
        atexit.register(self._end)
        os.register_at_fork(after_in_child=self._begin_in_child)

    def in_children(self, begin: Callable[[Journal | None], None]) -> None:
        """Have every forked process call a function with its journal."""
        self._in_children.append(begin)

    def _prepare_jax(self, jax: ModuleType) -> None:
        """Prepare JAX and install the guard; an error in this must not end the program."""
        self.open_journal()
        try:
            from perfkit.foreign.jax_setup import prepare_jax

            prepare_jax(jax, self.plan, self.report)
            if self.plan.guard is not None:
                from perfkit.foreign.guard_setup import install_guard

                install_guard(self)
        except Exception as error:
            version = getattr(jax, "__version__", "")
            self.report.say(
                f"perfkit could not prepare jax {version} ({type(error).__name__}: {error})"
            )

    def _note_model(self, model: str, module: ModuleType) -> None:
        self.open_journal()
        self.report.note({"models": {model: module.__name__}})

    def _adapt(self, module: ModuleType) -> None:
        """Have the adapter apply the settings; an error in it must not end the program."""
        self.open_journal()
        plan = self.plan
        try:
            adapter: Adapter = importlib.import_module(str(plan.adapter))
            adapter.adapt(module, plan.settings, plan.options, self.report)
        except Exception as error:
            for setting in plan.settings:
                self.report.could_not(
                    setting,
                    f"perfkit's adapter failed on {module.__name__} "
                    f"({type(error).__name__}: {error})",
                )

    def _new_journal(self) -> Journal | None:
        try:
            journal = Journal(Path(self.plan.journals))
        except OSError:
            # The command has ended and its folder no longer exists, or the disk is full.
            journal = None
        self.report.begin(journal)
        return journal

    def _begin_in_child(self) -> None:
        self.journal = self._new_journal()
        for begin_in_child in self._in_children:
            begin_in_child(self.journal)

    def _end(self) -> None:
        if self.journal is not None:
            self.journal.end()


def _mark_started(folder: Path) -> None:
    try:
        descriptor = os.open(folder / STARTED, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        return
    try:
        os.write(descriptor, b".")
    finally:
        os.close(descriptor)
