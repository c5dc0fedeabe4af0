"""A ``jax.jit`` that guards what it compiles, for programs that call ``jax.jit`` themselves.

It behaves like ``jax.jit``: as a decorator with or without options, on methods, with static and
donated arguments, ahead of time (``lower``, ``trace``, ``compile``), and inside other
transformations. The compiled function has the guard's report as an auxiliary output, which goes
to a :class:`perfkit.guard.injection.ledger.Ledger`; the caller gets the result alone.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import types
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import jax

from perfkit.guard.counts import GuardReport
from perfkit.guard.injection.ledger import Ledger
from perfkit.guard.transform import Traced, evaluate_guarded, is_array

_STATIC = ("static_argnums", "static_argnames", "static_broadcasted_argnums")

Evaluate = Callable[[Traced, bool], tuple[object, GuardReport]]
"""Evaluates a traced function under the guard, with or without ``zero_rounding``."""


class GuardFailureError(Exception):
    """The guard cannot be put into a function that JAX itself can trace."""


class NothingToLiftError(Exception):
    """The analysis shows that nothing in a function can need lifting.

    Parameters
    ----------
    report
        The report of the function, which has no guarded equation.
    """

    def __init__(self, report: GuardReport) -> None:
        super().__init__("nothing can need lifting")
        self.report = report


def make_guarded_jit(
    plain_jit: Callable[..., Any],
    ledger: Ledger,
    zero_rounding: bool,
    evaluate: Evaluate = evaluate_guarded,
) -> Callable[..., Any]:
    """Make a replacement of ``jax.jit``.

    Parameters
    ----------
    plain_jit
        The original ``jax.jit``.
    ledger
        Where the counts of each call go.
    zero_rounding
        As for :func:`perfkit.guard.transform.guard`.
    evaluate
        Evaluates a traced function under the guard.
    """

    def evaluate_traced(traced: Traced) -> tuple[object, GuardReport]:
        return evaluate(traced, zero_rounding)

    @functools.wraps(plain_jit)
    def jit(fun: Callable[..., Any] | None = None, **options: Any) -> Any:
        if fun is None:
            return functools.partial(jit, **options)
        return GuardedFunction(fun, plain_jit, options, ledger, evaluate_traced)

    return jit


def make_guarded_pmap(
    plain_pmap: Callable[..., Any], ledger: Ledger, zero_rounding: bool
) -> Callable[..., Any]:
    """Make a replacement of ``jax.pmap``; parameters as for :func:`make_guarded_jit`."""
    evaluate = functools.partial(evaluate_guarded, zero_rounding=zero_rounding)

    @functools.wraps(plain_pmap)
    def pmap(fun: Callable[..., Any], axis_name: Any = None, **options: Any) -> Any:
        options = {"out_axes": 0, **options, "axis_name": axis_name}
        return GuardedFunction(fun, plain_pmap, options, ledger, evaluate)

    return pmap


class GuardedFunction:
    """What the replaced ``jax.jit`` returns.

    Parameters
    ----------
    function
        The function to compile.
    plain_jit
        The original ``jax.jit`` or ``jax.pmap``.
    options
        Keyword arguments for ``plain_jit``.
    ledger
        Where the counts of each call go.
    evaluate
        Evaluates a traced function under the guard.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        plain_jit: Callable[..., Any],
        options: dict[str, Any],
        ledger: Ledger,
        evaluate: Callable[[Traced], tuple[object, GuardReport]],
    ) -> None:
        """Keep the function; it is compiled when it is first called."""
        functools.update_wrapper(self, function)
        self._ledger = ledger
        self._evaluate = evaluate
        self._function = function
        self._plain_jit = plain_jit
        self._options = dict(options)
        self._plain = plain_jit(function, **options)
        if options.get("out_shardings") is not None:
            options = {**options, "out_shardings": (options["out_shardings"], None)}
        if "out_axes" in options:
            options = {**options, "out_axes": (options["out_axes"], 0)}
        self._guarded: Any = plain_jit(self._with_report(), **options)
        self._left_alone: set[Hashable] = set()

    def uncounted(self, purpose: str, use: Callable[[Any], Any]) -> Any:
        """Use a guarded function of JAX's own type, for callers that accept nothing else.

        It lifts operands, but nothing is counted, and the ledger notes that. If the guard cannot
        be put in, the plain function is used.

        Parameters
        ----------
        purpose
            A past participle for the ledger, for example ``exported``.
        use
            Called with the function.
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
        except NothingToLiftError as found:
            self._ledger.note_left_alone(self._name(), found.report)
            return _covering(use, self._plain)
        self._ledger.note_uncounted(self._name(), purpose)
        return used

    def clear_cache(self) -> None:
        """Clear the caches of the compiled functions."""
        self._left_alone.clear()
        self._plain.clear_cache()
        if self._guarded is not None:
            self._guarded.clear_cache()

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """Lower for ahead-of-time compilation."""
        return self._attempt_stage(lambda function: function.lower(*args, **kwargs), args, kwargs)

    def trace(self, *args: Any, **kwargs: Any) -> Any:
        """Trace for ahead-of-time compilation."""
        return self._attempt_stage(lambda function: function.trace(*args, **kwargs), args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        outcome, is_guarded = self._attempt(
            lambda function: function(*args, **kwargs), args, kwargs
        )
        return _without_report(self._ledger, outcome) if is_guarded else outcome

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind as a method, as functions do."""
        return self if instance is None else types.MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        """Take every other attribute from the function without the guard."""
        if name.startswith("__") or "_plain" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._plain, name)

    def __reduce__(self) -> str:
        """Pickle and copy by name, as the functions of ``jax.jit`` do."""
        return self._name()

    def _name(self) -> str:
        return str(getattr(self, "__qualname__", repr(self._function)))

    def _note_failure(self, error: GuardFailureError) -> None:
        self._ledger.note_unguarded(self._name(), f"{type(error).__name__}: {error}")

    def _with_report(self) -> Callable[..., tuple[Any, GuardReport]]:
        @functools.wraps(self._function)
        def with_report(*args: Any, **kwargs: Any) -> tuple[Any, GuardReport]:
            with _covered():
                traced = Traced.of(self._function, args, kwargs)
            try:
                result, report = self._evaluate(traced)
            except Exception as error:
                raise GuardFailureError(str(error)) from error
            if not report.sites:
                raise NothingToLiftError(report)
            return result, report

        return with_report

    def _attempt(self, use: Callable[[Any], Any], args: Any, kwargs: Any) -> tuple[Any, bool]:
        """Use the guarded function, or the plain one if an outer guard covers it already.

        If the guard cannot be put in, the function runs without it from then on, and the ledger
        notes that. A function in which nothing can need lifting is used unchanged, for arguments
        of these shapes. Returns what ``use`` returned, and whether the function was guarded.
        """
        if self._guarded is None or _tracing.covered:
            return use(self._plain), False
        if not self._left_alone or self._signature(args, kwargs) not in self._left_alone:
            try:
                return use(self._guarded), True
            except GuardFailureError as error:
                self._guarded = None
                self._note_failure(error)
                return use(self._plain), False
            except NothingToLiftError as found:
                self._left_alone.add(self._signature(args, kwargs))
                self._ledger.note_left_alone(self._name(), found.report)
        return _covering(use, self._plain), False

    def _signature(self, args: Any, kwargs: Any) -> Hashable:
        """Return what the traced program depends on: shapes, dtypes and static arguments."""
        leaves, tree = jax.tree_util.tree_flatten((args, kwargs))
        has_static = any(self._options.get(name) is not None for name in _STATIC)
        x64: Any = jax.config
        return tree, tuple(_described(leaf, has_static) for leaf in leaves), x64.jax_enable_x64

    def _attempt_stage(self, use: Callable[[Any], Any], args: Any, kwargs: Any) -> Any:
        stage, is_guarded = self._attempt(use, args, kwargs)
        if not is_guarded:
            return stage
        return GuardedStage(stage, self._ledger, lambda purpose: self.uncounted(purpose, use))


class GuardedStage:
    """A traced, lowered or compiled guarded function that hides the auxiliary output.

    Parameters
    ----------
    stage
        The stage of JAX, with the auxiliary output.
    ledger
        Where the counts of each call go.
    uncounted
        Makes the same stage without the auxiliary output, for a purpose, see
        :meth:`GuardedFunction.uncounted`.
    """

    def __init__(self, stage: Any, ledger: Ledger, uncounted: Callable[[str], Any]) -> None:
        self._stage = stage
        self._ledger = ledger
        self.uncounted = uncounted

    @property  # type: ignore[misc]  # programs ask isinstance(stage, jax.stages.Compiled)
    def __class__(self) -> type:
        return type(self._stage)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the compiled function."""
        return _without_report(self._ledger, self._stage(*args, **kwargs))

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """Lower a traced function."""
        return self._next(lambda stage: stage.lower(*args, **kwargs))

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """Compile a lowered function."""
        return self._next(lambda stage: stage.compile(*args, **kwargs))

    @property
    def out_info(self) -> Any:
        """Shapes and dtypes of the function's result."""
        return self._stage.out_info[0]

    @property
    def out_tree(self) -> Any:
        """Tree structure of the function's result."""
        return self._stage.out_tree.children()[0]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_stage" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._stage, name)

    def _next(self, step: Callable[[Any], Any]) -> Any:
        before = self.uncounted
        return GuardedStage(step(self._stage), self._ledger, lambda purpose: step(before(purpose)))


class _Tracing(threading.local):
    """Whether this thread traces a function whose guard covers the functions that it calls."""

    covered = False


_tracing = _Tracing()


@contextlib.contextmanager
def _covered() -> Iterator[None]:
    before, _tracing.covered = _tracing.covered, True
    try:
        yield
    finally:
        _tracing.covered = before


def _described(leaf: Any, has_static: bool) -> Hashable:
    """Return what a traced program may depend on of one leaf of its arguments."""
    if is_array(leaf):
        return str(jax.typeof(leaf))
    if isinstance(leaf, (bool, int, float, complex)) and not has_static:
        return type(leaf).__name__
    # A new object each time if it cannot be hashed: such a function is analysed at every call.
    return leaf if isinstance(leaf, Hashable) else object()


def _covering(use: Callable[[Any], Any], plain: Any) -> Any:
    """Use a function that is left alone; the functions that it calls are left alone with it."""
    with _covered():
        return use(plain)


def _without_report(ledger: Ledger, outcome: tuple[Any, GuardReport]) -> Any:
    """Put the report of a call into the ledger, and return the result of the function.

    Inside another transformation the counts are tracers, which must not outlive it.
    """
    result, report = outcome
    if not isinstance(report.counts, jax.core.Tracer):
        ledger.add(report)
    return result
