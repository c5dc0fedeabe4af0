"""A ``jax.jit`` that guards what it compiles, for programs that perfkit does not call itself.

Looks and behaves like ``jax.jit``: as a decorator with or without options, on methods, with
static and donated arguments, ahead of time (``lower``, ``trace``, ``compile``), and inside of
other transformations. What it counted is kept in a :class:`Ledger`.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from perfkit.guard.domain import GuardReport, SiteCount, Traced, summary
from perfkit.guard.planner import Site

REPORTS_KEPT_PENDING = 64
"""Reports are added up only after this many calls, because reading one waits for its call."""


class GuardFailureError(Exception):
    """The guard could not be put into a program that JAX itself can trace."""


class Ledger:
    """What the guard counted in this process, over all calls of all functions."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._lock = threading.Lock()
        self._pending: list[GuardReport] = []
        self._totals: dict[Site, np.ndarray[Any, np.dtype[np.int64]]] = {}
        self._unguarded: dict[str, str] = {}

    def add(self, report: GuardReport) -> None:
        """Keep the report of one call."""
        with self._lock:
            self._pending.append(report)
            if len(self._pending) > REPORTS_KEPT_PENDING:
                self._settle()

    def note_unguarded(self, name: str, error: BaseException) -> None:
        """Keep that a function runs without guard, and why."""
        with self._lock:
            self._unguarded[name] = f"{type(error).__name__}: {error}"

    def rows(self) -> tuple[SiteCount, ...]:
        """The counts of every guarded equation so far."""
        with self._lock:
            self._settle()
            return tuple(
                SiteCount(site, int(lifted), int(zeroed))
                for site, (lifted, zeroed) in self._totals.items()
            )

    def as_dict(self) -> dict[str, object]:
        """The counts as plain data for JSON, and which functions run without guard."""
        plain = summary(self.rows())
        return {**plain, "unguarded_functions": dict(self._unguarded)}

    def _settle(self) -> None:
        pending, self._pending = self._pending, []
        for report in pending:
            for site in report.closed:
                name = f"{site.primitive} at {site.origin.file}:{site.origin.line}"
                self._unguarded[name] = "the guard cannot enter it"
            for row in report.rows():
                counts = np.array([row.lifted, row.zeroed], np.int64)
                self._totals[row.site] = self._totals.get(row.site, 0) + counts


class _Tracing(threading.local):
    """Whether this thread is tracing a function whose guard covers everything inside."""

    covered = False


_tracing = _Tracing()


@contextlib.contextmanager
def _covered() -> Iterator[None]:
    before, _tracing.covered = _tracing.covered, True
    try:
        yield
    finally:
        _tracing.covered = before


def make_guarded_jit(
    plain_jit: Callable[..., Any], ledger: Ledger, zero_rounding: bool
) -> Callable[..., Any]:
    """A replacement of ``jax.jit``.

    Parameters
    ----------
    plain_jit
        The original.
    ledger
        Where the counts of each call go.
    zero_rounding
        As in :func:`perfkit.guard.domain.guard`.
    """

    @functools.wraps(plain_jit)
    def jit(*function: Callable[..., Any], **options: Any) -> Any:
        if not function:
            return functools.partial(jit, **options)
        return GuardedFunction(function[0], plain_jit, options, ledger, zero_rounding)

    return jit


def make_guarded_pmap(
    plain_pmap: Callable[..., Any], ledger: Ledger, zero_rounding: bool
) -> Callable[..., Any]:
    """A replacement of ``jax.pmap``; parameters as in :func:`make_guarded_jit`."""

    @functools.wraps(plain_pmap)
    def pmap(function: Callable[..., Any], axis_name: Any = None, **options: Any) -> Any:
        options = {"out_axes": 0, **options, "axis_name": axis_name}
        return GuardedFunction(function, plain_pmap, options, ledger, zero_rounding)

    return pmap


class GuardedFunction:
    """What the replaced ``jax.jit`` returns."""

    def __init__(
        self,
        function: Callable[..., Any],
        plain_jit: Callable[..., Any],
        options: dict[str, Any],
        ledger: Ledger,
        zero_rounding: bool,
    ) -> None:
        """Compile nothing yet; the arguments are those of :func:`make_guarded_jit`."""
        functools.update_wrapper(self, function)
        self._ledger = ledger
        self._zero_rounding = zero_rounding
        self._function = function
        self._plain = plain_jit(function, **options)
        if options.get("out_shardings") is not None:
            options = {**options, "out_shardings": (options["out_shardings"], None)}
        if "out_axes" in options:
            options = {**options, "out_axes": (options["out_axes"], 0)}
        self._guarded: Any = plain_jit(self._with_report(), **options)

    def _with_report(self) -> Callable[..., tuple[Any, GuardReport]]:
        @functools.wraps(self._function)
        def with_report(*args: Any, **kwargs: Any) -> tuple[Any, GuardReport]:
            with _covered():
                traced = Traced.of(self._function, args, kwargs)
            try:
                return traced.evaluate_guarded(self._zero_rounding)
            except Exception as error:
                raise GuardFailureError(str(error)) from error

        return with_report

    def _attempt(self, use: Callable[[Any], Any]) -> tuple[Any, bool]:
        """Use the guarded function, or the plain one where a guard around it covers it.

        Where the guard cannot be put in, the function runs unguarded from then on, and the
        ledger says so. Returns what ``use`` returned and whether it is guarded.
        """
        if self._guarded is not None and not _tracing.covered:
            try:
                return use(self._guarded), True
            except GuardFailureError as error:
                self._guarded = None
                name = getattr(self, "__qualname__", repr(self._function))
                self._ledger.note_unguarded(name, error)
        return use(self._plain), False

    def _attempt_stage(self, use: Callable[[Any], Any]) -> Any:
        stage, is_guarded = self._attempt(use)
        return _GuardedStage(stage, self._ledger) if is_guarded else stage

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        outcome, is_guarded = self._attempt(lambda function: function(*args, **kwargs))
        return _keep(self._ledger, outcome) if is_guarded else outcome

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind as a method, as functions do."""
        return self if instance is None else types.MethodType(self, instance)

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """Lower for ahead-of-time compilation."""
        return self._attempt_stage(lambda function: function.lower(*args, **kwargs))

    def trace(self, *args: Any, **kwargs: Any) -> Any:
        """Trace for ahead-of-time compilation."""
        return self._attempt_stage(lambda function: function.trace(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        """Everything else is that of the unguarded function."""
        if name.startswith("__") or "_plain" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._plain, name)


class _GuardedStage:
    """A traced, lowered or compiled guarded function that hides the auxiliary output."""

    def __init__(self, stage: Any, ledger: Ledger) -> None:
        self._stage = stage
        self._ledger = ledger

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _keep(self._ledger, self._stage(*args, **kwargs))

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        return _GuardedStage(self._stage.lower(*args, **kwargs), self._ledger)

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        return _GuardedStage(self._stage.compile(*args, **kwargs), self._ledger)

    @property
    def out_info(self) -> Any:
        return self._stage.out_info[0]

    @property
    def out_tree(self) -> Any:
        return self._stage.out_tree.children()[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)


def _keep(ledger: Ledger, outcome: tuple[Any, GuardReport]) -> Any:
    """Put the report of a call into the ledger, and return what the function returned.

    Inside of another transformation the counts are tracers, which must not outlive it.
    """
    result, report = outcome
    if not isinstance(report.counts, jax.core.Tracer):
        ledger.add(report)
    return result
