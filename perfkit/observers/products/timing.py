"""Times each shape of product by itself, in a process of its own.

Several products are computed in one call, which have one left operand and right operands of their
own. They are the only work of the process: nothing runs before them or after them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

from pydantic import TypeAdapter, ValidationError

from perfkit.errors import PerfkitError
from perfkit.lifeline import run_tied
from perfkit.observers.products.product import Product

CALLS = 12
LEAST_CALLS = 3
SHAPE_S = 0.15
"""Each shape is called at least ``LEAST_CALLS`` times, and then until ``SHAPE_S`` seconds are spent
or there were ``CALLS`` calls."""

TIMEOUT_S = 600.0
"""Largest duration of the process in seconds."""


@dataclass(frozen=True)
class Timing:
    """Wall seconds of one product, in calls after a warm-up.

    Attributes
    ----------
    best_s, median_s
        Fastest call and median.
    calls
        Number of calls.
    """

    best_s: float
    median_s: float
    calls: int


@dataclass(frozen=True)
class Task:
    """What the process measures.

    Attributes
    ----------
    products
        Shapes, in the order in which they are measured.
    always
        Number of the first shapes, which are measured even if the budget is spent.
    budget_s
        Seconds after which no other shape is begun.
    affinity
        CPUs that the process binds itself to; empty for all.
    """

    products: tuple[Product, ...]
    always: int
    budget_s: float
    affinity: tuple[int, ...] = ()


_TASK = TypeAdapter(Task)
_ANSWER = TypeAdapter(Timing | None)


def measure_alone(
    module: str, task: Task, environment: Mapping[str, str] | None
) -> list[Timing | None]:
    """Measure shapes in a process of its own.

    Parameters
    ----------
    module
        Module that measures with :func:`serve`.
    task
        The shapes.
    environment
        Environment variables of the process; None for those of this one.

    Returns
    -------
    list of Timing or None
        By shape; None where the budget was spent or the library has no such product.

    Raises
    ------
    PerfkitError
        The process measured nothing: it could not start, died, or took too long.
    """
    try:
        completed = run_tied(
            [sys.executable, "-m", module],
            input=json.dumps(asdict(task)),
            capture_output=True,
            text=True,
            env=None if environment is None else dict(environment),
            timeout=TIMEOUT_S,
        )
        printed, problem = completed.stdout, completed.stderr if completed.returncode else ""
    except subprocess.TimeoutExpired as error:
        # What was printed so far is kept; it is bytes even where text is asked for.
        printed = (error.stdout or b"").decode()
        problem = f"took longer than {TIMEOUT_S:g} s"
    timings = _answers(printed)
    if not timings and task.products:
        reason = (problem.strip().splitlines() or ["the process printed nothing"])[-1]
        raise PerfkitError(f"the products could not be measured alone: {reason}")
    return timings + [None] * (len(task.products) - len(timings))


def _answers(printed: str) -> list[Timing | None]:
    """The answers of a process that may have died in the middle of a line."""
    timings: list[Timing | None] = []
    for line in printed.splitlines():
        try:
            timings.append(_ANSWER.validate_json(line))
        except ValidationError:
            break
    return timings


def serve(begin: Callable[[], Callable[[Product], Callable[[], object] | None]]) -> int:
    """Measure the task on standard input and print one line of JSON for each shape.

    Parameters
    ----------
    begin
        Called once the process is bound to its CPUs; returns a function that prepares a shape and
        returns a call of :attr:`Product.together` such products, or None if it has no such product.
    """
    task = _TASK.validate_json(sys.stdin.read())
    if task.affinity:
        os.sched_setaffinity(0, task.affinity)
    prepare = begin()
    begin_s = time.perf_counter()
    for place, product in enumerate(task.products):
        timing = None
        if place < task.always or time.perf_counter() - begin_s < task.budget_s:
            call = prepare(product)
            timing = None if call is None else timed(call)
        if timing is not None:
            count = product.together
            timing = replace(timing, best_s=timing.best_s / count, median_s=timing.median_s / count)
        print(json.dumps(None if timing is None else asdict(timing)), flush=True)
    return 0


def timed(call: Callable[[], object]) -> Timing:
    """Time a call several times after a warm-up."""
    call()
    times: list[float] = []
    begin_s = time.perf_counter()
    while len(times) < LEAST_CALLS or (
        len(times) < CALLS and time.perf_counter() - begin_s < SHAPE_S
    ):
        before_s = time.perf_counter()
        call()
        times.append(time.perf_counter() - before_s)
    return Timing(min(times), statistics.median(times), len(times))
