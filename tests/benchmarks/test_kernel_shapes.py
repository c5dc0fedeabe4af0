"""Kernels timed by shape: which calls a program makes, and the table."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.scripts.kernel_shapes import (
    Comparison,
    Shape,
    calls_of,
    different,
    main,
    markdown,
    random_operands,
)
from perfkit.guard.analysis.structure import as_program
from perfkit.kernels.primitive import KERNEL


def twice(x: jax.Array, *more: jax.Array) -> jax.Array:
    """A call of a kernel that no library has; only its trace is used."""
    form = jax.make_jaxpr(lambda first, *_: [2 * first])(x, *more)
    attributes = (("factor", np.float64(2.0)),)
    target = "perfkit.Twice.0123"
    result: jax.Array
    (result,) = KERNEL.bind(x, *more, target=target, attributes=attributes, batched=(), jaxpr=form)
    return result


def test_calls_of_one_shape_are_one_and_loops_count() -> None:
    def function(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        looped, _ = jax.lax.scan(lambda carry, _: (twice(carry), None), x, length=3)
        return twice(looped), twice(y)

    traced = jax.make_jaxpr(function)(jnp.ones((4, 2)), jnp.ones((8, 2)))
    calls = different(list(calls_of(as_program(traced))))
    assert [(call.equation.invars[0].aval.shape, call.times) for call in calls] == [
        ((4, 2), 4),
        ((8, 2), 1),
    ]


def test_masks_are_full_and_integers_are_rows() -> None:
    traced = jax.make_jaxpr(twice)(
        jnp.ones((3, 2), jnp.bfloat16), jnp.zeros(2, bool), jnp.zeros((2, 2), jnp.int32)
    )
    (call,) = calls_of(as_program(traced))
    numbers, mask, rows = random_operands(call)
    assert numbers.shape == (3, 2)
    assert numbers.dtype == jnp.bfloat16
    assert mask.tolist() == [True, True]
    assert rows.tolist() == [[0, 1], [2, 0]]


def test_a_shape_at_which_the_kernel_loses_is_bold() -> None:
    shape = Shape(
        kernel="Twice",
        operands=["float32[4,2]", "float32[4,2]"],
        attributes={},
        times=4,
        native_s=0.002,
        form_s=0.001,
        ratios=[0.4, 0.5, 0.6],
    )
    found = Comparison(model="af3", size="64", settings={}, cpu="CPU", level="avx2", shapes=[shape])
    row = "| Twice | float32[4,2] | 4 | 2.00 ms | 1.00 ms | **0.50** | 0.40 to 0.60 |"
    assert row in markdown(found).splitlines()


def test_an_impossible_size_ends_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--size", "none", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
