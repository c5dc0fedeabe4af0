"""Traced programs as lists of steps that can be cut."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perfkit.guard.analysis.structure import as_program
from perfkit.upgrade.locate.flat_program import (
    FlatProgram,
    flatten,
    live_in,
    needed_for,
    run_steps,
)

X = np.linspace(0.1, 1.0, 5).astype(np.float32)


def flat(function: Any, *arguments: Any) -> FlatProgram:
    return flatten(as_program(jax.make_jaxpr(function)(*arguments)))


def sine(x: Any) -> Any:
    return jnp.sin(x)


def double_then_sine(x: Any) -> Any:
    called = jax.jit(sine)
    with jax.named_scope("outer"):
        return called(x * 2) + called(x)


def test_calls_are_replaced_by_what_they_call_and_keep_their_path() -> None:
    program = flat(double_then_sine, X)
    assert [step.primitive for step in program.steps] == ["mul", "sin", "sin", "add"]
    assert program.steps[1].op_name == "outer/jit(sine)/sin"
    first, second = program.steps[1:3]
    assert first.results != second.results


def test_all_steps_together_compute_the_function() -> None:
    program = flat(double_then_sine, X)
    run = run_steps(program.steps, program.inputs, program.results)
    (result,) = run(X)
    assert np.asarray(result) == pytest.approx(np.sin(2 * X) + np.sin(X), rel=1e-6)


def test_a_range_takes_what_was_made_before_it() -> None:
    program = flat(double_then_sine, X)
    product, sine, other, total = program.steps
    assert live_in([sine, total]) == [*product.results, *other.results]
    assert program.live_after(3) == [*sine.results, *other.results]


def test_only_steps_that_a_value_depends_on_are_needed() -> None:
    program = flat(double_then_sine, X)
    product, sine, other, _ = program.steps
    assert needed_for(program.steps, sine.results) == [product, sine]
    assert needed_for(program.steps, sine.results, known=product.results) == [sine]
    assert needed_for(program.steps, other.results) == [other]


def test_a_program_is_not_cut_where_a_random_key_passes() -> None:
    def noise(seed: Any) -> Any:
        return jax.random.uniform(jax.random.key(seed), (3,)) + 1

    program = flat(noise, np.uint32(7))
    made = next(n for n, step in enumerate(program.steps) if step.primitive == "random_seed")
    cuts = program.cuts()
    assert made in cuts
    assert made + 1 not in cuts
    assert cuts[-1] == len(program.steps)
