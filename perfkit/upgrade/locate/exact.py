"""The exact value of a range: its operations one at a time, in float64.

An operation that is compiled alone is fused with nothing. If both sides agree on this value, the
side whose compiled range differs from it is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn

from perfkit.errors import PerfkitError
from perfkit.guard.analysis.structure import control_flow
from perfkit.upgrade.locate.bench import Bench, Runner
from perfkit.upgrade.locate.flat_program import live_in, run_steps
from perfkit.upgrade.locate.pieces import write_piece
from perfkit.upgrade.locate.reproduce import distance, read_array
from perfkit.upgrade.locate.search import Found

type Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Judgement:
    """Which side computes a range rightly.

    Attributes
    ----------
    expected
        The value that the result should have.
    exact
        Whether it is the exact value, on which both sides agree; else that of the old side.
    old_right, new_right
        Whether each side is within rounding of the expected value.
    """

    expected: Array
    exact: bool
    old_right: bool
    new_right: bool


def judge(bench: Bench, found: Found) -> Judgement:
    """Judge the two sides of a found range by its exact value.

    Parameters
    ----------
    bench
        Both sides.
    found
        The range; both sides have a result for it.
    """
    answers = bench.run(found.piece, found.inputs, (bench.old, bench.new))
    number = found.difference.output
    dtype = found.piece.outputs[number]["dtype"]
    old, new = (
        None if answer.error else read_array(answer.files[number], dtype) for answer in answers
    )
    allowed = found.difference.tolerance
    try:
        exact = [_exact_value(bench, found, side) for side in (bench.old, bench.new)]
        agreed = distance(exact[1], exact[0]) <= allowed
    except PerfkitError:
        agreed = False
    if agreed:
        right = [each is not None and distance(each, exact[0]) <= allowed for each in (old, new)]
        if right != [True, True]:
            return Judgement(exact[0], True, *right)
    expected = old if old is not None else new
    if expected is None:
        raise PerfkitError("neither side runs the range that was found")
    return Judgement(expected, False, old is not None, old is None)


def _exact_value(bench: Bench, found: Found, side: Runner) -> Array:
    """The value of the found result by one side.

    Raises
    ------
    PerfkitError
        An operation cannot be run alone in float64.
    """
    program, steps = found.subject.program, found.steps
    if any(control_flow(step.equation) is not None for step in steps):
        raise PerfkitError("a loop or branch is not a single operation")
    files: dict[int, Path] = {}
    for number in live_in(steps, [found.output]):
        array = read_array(found.subject.values[number], str(program.avals[number].dtype))
        files[number] = bench.save(_widened(array))
    with _float64():
        for step in steps:
            inputs = live_in([step])
            function = run_steps([step], inputs, step.results, bind=_bind_in_float64)
            avals = [np.load(files[number], mmap_mode="r", allow_pickle=False) for number in inputs]
            piece = write_piece(bench.new_path("exact"), function, avals)
            (answer,) = bench.run(piece, [files[number] for number in inputs], [side])
            answer.raise_if_failed()
            files.update(zip(step.results, answer.files, strict=True))
    return np.asarray(np.load(files[found.output], allow_pickle=False))


def _bind_in_float64(equation: JaxprEqn, values: Sequence[Any]) -> list[Any]:
    """Bind an equation's primitive with float64 in place of every floating type."""
    parameters = {name: _wide_dtype(value) for name, value in equation.params.items()}
    primitive: Any = equation.primitive
    wide = [_widened(value) for value in values]
    results = primitive.bind(*wide, **primitive.get_bind_params(parameters))
    return list(results) if primitive.multiple_results else [results]


def _widened(value: Any) -> Any:
    return value.astype(np.float64) if jnp.issubdtype(value.dtype, jnp.floating) else value


def _wide_dtype(value: Any) -> Any:
    is_floating = isinstance(value, np.dtype) and jnp.issubdtype(value, jnp.floating)
    return np.dtype(np.float64) if is_floating else value


@contextmanager
def _float64() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
