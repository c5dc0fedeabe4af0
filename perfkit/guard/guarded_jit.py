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
from perfkit.guard.journal import Journal
from perfkit.guard.planner import Site

REPORTS_KEPT_PENDING = 64
"""Reports are added up only after this many calls, because reading one waits for its call."""


class GuardFailureError(Exception):
    """The guard could not be put into a program that JAX itself can trace."""


class Ledger:
    """What the guard counted in this process, over all calls of all functions.

    Parameters
    ----------
    journal
        Where to write it down as it happens, or None for nowhere.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        """Start with nothing counted."""
        self.begin(journal)

    def begin(self, journal: Journal | None) -> None:
        """Forget everything and start with nothing counted, as a process does that was forked."""
        self._lock = threading.Lock()
        self._journal = journal
        self._waits = False
        self._pending: list[GuardReport] = []
        self._totals: dict[Site, np.ndarray[Any, np.dtype[np.int64]]] = {}
        self._rows: dict[Site, int] = {}
        self._unguarded: dict[str, str] = {}

    def wait_for_calls(self) -> None:
        """From now on wait for each call and count it at once.

        For workers, which a signal may end as soon as they have returned a result.
        """
        self._waits = True

    def add(self, report: GuardReport) -> None:
        """Keep the report of one call."""
        with self._lock:
            self._pending.append(report)
            if self._journal is not None:
                self._journal.called()
                self._note_sites(self._journal, report)
            if self._waits or len(self._pending) > REPORTS_KEPT_PENDING:
                self._settle()
            elif self._journal is not None:
                self._settle_ready()

    def note_unguarded(self, name: str, why: str) -> None:
        """Keep that a function runs without guard or uncounted, and why."""
        with self._lock:
            self._note_unguarded(name, why)

    def note_uncounted(self, name: str, purpose: str) -> None:
        """Keep that a function is guarded, but used where nothing can be counted."""
        if self._journal is not None:
            self._journal.uncounted(f"{name} was {purpose}: it is guarded there, but not counted")

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

    def end(self, *, waits: bool) -> None:
        """Write down that the process ends, and what is counted until then.

        Parameters
        ----------
        waits
            Whether to wait for calls that still run.
        """
        with self._lock:
            if waits:
                self._settle()
            else:
                self._settle_ready()
            if self._journal is not None:
                self._journal.end()

    def _note_unguarded(self, name: str, why: str) -> None:
        if self._journal is not None and name not in self._unguarded:
            self._journal.unguarded(name, why)
        self._unguarded[name] = why

    def _note_sites(self, journal: Journal, report: GuardReport) -> None:
        for site in report.sites:
            if site not in self._rows:
                self._rows[site] = journal.new_row(site.as_dict())
        self._note_closed(report)

    def _note_closed(self, report: GuardReport) -> None:
        for site in report.closed:
            name = f"{site.primitive} at {site.origin.file}:{site.origin.line}"
            self._note_unguarded(name, "the guard cannot enter it")

    def _settle_ready(self) -> None:
        """Count the calls that have ended, without waiting."""
        while self._pending and self._pending[0].is_ready():
            self._count(self._pending.pop(0))

    def _settle(self) -> None:
        pending, self._pending = self._pending, []
        for report in pending:
            self._count(report)

    def _count(self, report: GuardReport) -> None:
        self._note_closed(report)
        try:
            rows = report.rows()
        except jax.errors.JaxRuntimeError:
            # The call failed; the program learns it from the results.
            rows = ()
        for row in rows:
            counts = np.array([row.lifted, row.zeroed], np.int64)
            self._totals[row.site] = self._totals.get(row.site, 0) + counts
            if self._journal is not None and (row.lifted or row.zeroed):
                self._journal.add(self._rows[row.site], row.lifted, row.zeroed)
        if self._journal is not None:
            self._journal.counted()


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
    def jit(fun: Callable[..., Any] | None = None, **options: Any) -> Any:
        if fun is None:
            return functools.partial(jit, **options)
        return GuardedFunction(fun, plain_jit, options, ledger, zero_rounding)

    return jit


def make_guarded_pmap(
    plain_pmap: Callable[..., Any], ledger: Ledger, zero_rounding: bool
) -> Callable[..., Any]:
    """A replacement of ``jax.pmap``; parameters as in :func:`make_guarded_jit`."""

    @functools.wraps(plain_pmap)
    def pmap(fun: Callable[..., Any], axis_name: Any = None, **options: Any) -> Any:
        options = {"out_axes": 0, **options, "axis_name": axis_name}
        return GuardedFunction(fun, plain_pmap, options, ledger, zero_rounding)

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
        self._plain_jit = plain_jit
        self._options = dict(options)
        self._plain = plain_jit(function, **options)
        if options.get("out_shardings") is not None:
            options = {**options, "out_shardings": (options["out_shardings"], None)}
        if "out_axes" in options:
            options = {**options, "out_axes": (options["out_axes"], 0)}
        self._guarded: Any = plain_jit(self._with_report(), **options)

    def uncounted(self, purpose: str, use: Callable[[Any], Any]) -> Any:
        """Use the guarded function as JAX itself makes it, for what takes nothing else.

        It lifts, but what it lifts is not counted; the ledger says so.

        Parameters
        ----------
        purpose
            What is done with it, for the ledger: ``exported``.
        use
            What is done with it. Where the guard cannot be put in, with the plain function.
        """
        with_report = self._with_report()

        @functools.wraps(self._function)
        def without_report(*args: Any, **kwargs: Any) -> Any:
            return with_report(*args, **kwargs)[0]

        try:
            used = use(self._plain_jit(without_report, **self._options))
        except GuardFailureError as error:
            self._note_failure(error)
            return use(self._plain)
        self._ledger.note_uncounted(self._name(), purpose)
        return used

    def _name(self) -> str:
        return str(getattr(self, "__qualname__", repr(self._function)))

    def _note_failure(self, error: GuardFailureError) -> None:
        self._ledger.note_unguarded(self._name(), f"{type(error).__name__}: {error}")

    def __reduce__(self) -> str:
        """Pickle and copy by name, as JAX's own do."""
        return self._name()

    def clear_cache(self) -> None:
        """Forget what was compiled."""
        self._plain.clear_cache()
        if self._guarded is not None:
            self._guarded.clear_cache()

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
                self._note_failure(error)
        return use(self._plain), False

    def _attempt_stage(self, use: Callable[[Any], Any]) -> Any:
        stage, is_guarded = self._attempt(use)
        if not is_guarded:
            return stage
        return GuardedStage(stage, self._ledger, lambda why: self.uncounted(why, use))

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


class GuardedStage:
    """A traced, lowered or compiled guarded function that hides the auxiliary output.

    Parameters
    ----------
    stage
        JAX's own, with the auxiliary output.
    ledger
        Where the counts of each call go.
    uncounted
        Makes the same stage without the auxiliary output, for a purpose.
    """

    def __init__(self, stage: Any, ledger: Ledger, uncounted: Callable[[str], Any]) -> None:
        self._stage = stage
        self._ledger = ledger
        self.uncounted = uncounted

    @property  # type: ignore[misc]  # programs ask whether it is JAX's own
    def __class__(self) -> type:
        return type(self._stage)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run what was compiled."""
        return _keep(self._ledger, self._stage(*args, **kwargs))

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """Lower what was traced."""
        return self._next(lambda stage: stage.lower(*args, **kwargs))

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """Compile what was lowered."""
        return self._next(lambda stage: stage.compile(*args, **kwargs))

    def _next(self, step: Callable[[Any], Any]) -> Any:
        before = self.uncounted
        return GuardedStage(step(self._stage), self._ledger, lambda why: step(before(why)))

    @property
    def out_info(self) -> Any:
        """Shapes and types of what the function returns."""
        return self._stage.out_info[0]

    @property
    def out_tree(self) -> Any:
        """Structure of what the function returns."""
        return self._stage.out_tree.children()[0]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_stage" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._stage, name)


def _keep(ledger: Ledger, outcome: tuple[Any, GuardReport]) -> Any:
    """Put the report of a call into the ledger, and return what the function returned.

    Inside of another transformation the counts are tracers, which must not outlive it.
    """
    result, report = outcome
    if not isinstance(report.counts, jax.core.Tracer):
        ledger.add(report)
    return result
