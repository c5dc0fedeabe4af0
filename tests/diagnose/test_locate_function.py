"""The search names the line, the values and the iteration of the first bad value."""

from __future__ import annotations

import inspect
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from perfkit.answers.finite import DeclaredNan
from perfkit.diagnose.locate.function import locate_in_function
from perfkit.guard.transform import guard
from tests.support import guard_programs
from tests.support.guard_programs import karras_schedule, planted, sampler


def line_of(marker: str) -> int:
    lines = inspect.getsource(guard_programs).splitlines()
    return 1 + next(number for number, line in enumerate(lines) if marker in line)


@pytest.mark.parametrize("guarded", [False, True])
def test_a_planted_error_is_named_by_line_value_and_iteration(guarded: bool) -> None:
    program = (lambda x: guard(planted)(x)[0]) if guarded else planted
    finding = locate_in_function(program, jnp.ones(4))
    assert finding is not None
    assert (finding.kind, finding.certainty, finding.primitive) == ("nan", "found", "sqrt")
    assert finding.origin.file.endswith("guard_programs.py")
    assert finding.origin.line == line_of("# PLANTED")
    assert [number for _, number in finding.iterations] == [2]
    assert finding.operands[0].at_fault == -0.5
    assert "vmap" in finding.origin.module_path
    assert "sqrt of -0.5" in finding.sentence()
    assert "iteration 2 of" in finding.sentence()


def test_the_sampler_is_located_at_its_first_bad_level() -> None:
    levels = karras_schedule()
    _, added = jax.jit(sampler)(jnp.ones(3), levels)
    first = int(np.flatnonzero(np.isnan(added))[0])
    finding = locate_in_function(sampler, jnp.ones(3), levels)
    assert finding is not None
    assert finding.primitive == "sqrt"
    assert finding.iterations[-1][1] == first
    value = finding.operands[0].at_fault
    assert value is not None
    assert -1e-8 < value < 0


def test_a_finite_result_has_no_finding() -> None:
    assert locate_in_function(lambda x: x + 1, jnp.ones(2)) is None


def test_a_nan_that_the_program_masks_is_ignored() -> None:
    def masked(x: Array) -> Array:
        harmless = jnp.where(x > 0, x, jnp.sqrt(x - 5))
        return harmless + jnp.log(x - 3)

    finding = locate_in_function(masked, jnp.asarray([1.0]))
    assert finding is not None
    assert finding.primitive == "log"
    assert finding.operands[0].at_fault == -2


def test_the_search_enters_while_loops_and_branches() -> None:
    def root(x: Array) -> Array:
        return jnp.sqrt(2 - x)

    def program(x: Array) -> Array:
        def body(carry: tuple[Array, Array]) -> tuple[Array, Array]:
            step, total = carry
            return step + 1, total + lax.cond(step > 2, root, jnp.abs, step * 1.0)

        return lax.while_loop(lambda c: c[0] < x[1], body, (x[0], x[0]))[1]

    finding = locate_in_function(program, jnp.asarray([0.0, 6.0]))
    assert finding is not None
    assert (finding.primitive, finding.operands[0].at_fault) == ("sqrt", -1)
    assert finding.iterations[0][1] == 3
    assert "cond/branch_1" in finding.origin.module_path


def test_the_search_runs_a_reversed_scan_from_its_end() -> None:
    def body(total: Array, x: Array) -> tuple[Array, Array]:
        return total, jnp.log(x)

    finding = locate_in_function(
        lambda xs: lax.scan(body, jnp.float32(0), xs, reverse=True)[1],
        jnp.asarray([-1.0, 1, -2, 1]),
    )
    assert finding is not None
    assert finding.iterations[0][1] == 2
    assert finding.operands[0].at_fault == -2


def test_infinity_is_found_where_there_is_no_nan() -> None:
    finding = locate_in_function(lambda x: jnp.exp(x * 100) + 1, jnp.asarray([0.5, 2.0]))
    assert finding is not None
    assert (finding.kind, finding.primitive, finding.index) == ("inf", "exp", (1,))
    assert finding.operands[0].at_fault == pytest.approx(200)


def test_a_nan_argument_is_reported_as_an_argument() -> None:
    finding = locate_in_function(lambda x, y: x + y, jnp.ones(2), jnp.asarray([1.0, jnp.nan]))
    assert finding is not None
    assert finding.certainty == "argument"
    assert "argument 1" in finding.sentence()


def test_a_product_of_zero_and_infinity_is_found() -> None:
    finding = locate_in_function(
        lambda x, y: (x * y) + 1, jnp.asarray([0.0]), jnp.asarray([jnp.inf])
    )
    assert finding is not None
    assert finding.primitive == "mul"
    json.dumps(finding.as_dict(), allow_nan=False)


def test_a_product_that_overflows_by_less_than_a_factor_of_two_is_found() -> None:
    # 2e38 is finite in float32, whose largest number is 3.4e38; 4e38 is not.
    finding = locate_in_function(lambda x: 1 + 2 * x, jnp.asarray([1.0, 2e38], jnp.float32))
    assert finding is not None
    assert (finding.kind, finding.primitive, finding.index) == ("inf", "mul", (1,))


def test_a_large_finite_product_is_not_blamed_for_a_later_overflow() -> None:
    finding = locate_in_function(lambda x: jnp.exp(2 * x), jnp.asarray([1e38], jnp.float32))
    assert finding is not None
    assert (finding.kind, finding.primitive) == ("inf", "exp")


@pytest.mark.parametrize(
    ("program", "primitive"),
    [(lambda x: 1 + x**-1, "integer_pow"), (lambda x: 1 + 1 / x, "div")],
)
def test_an_infinite_reciprocal_is_found_where_it_arises(program: Any, primitive: str) -> None:
    finding = locate_in_function(program, jnp.asarray([0.0]))
    assert finding is not None
    assert (finding.kind, finding.primitive) == ("inf", primitive)
    assert finding.operands[-1].at_fault == 0


LAND = np.array([True, False, False, True])
"""Cells without a sea-surface temperature."""

OCEAN = jnp.asarray(np.where(LAND, np.nan, [0.0, 280.0, 290.0, 0.0]), jnp.float32)
SEA = DeclaredNan({"[0]": LAND}, {"": LAND})


def filled(ocean: Array) -> Array:
    return jnp.where(jnp.isnan(ocean), 0, ocean)


def in_scan(step: Any) -> Any:
    return lambda ocean: lax.scan(lambda c, _: (step(c), None), ocean, None, length=2)[0]


def in_while(step: Any) -> Any:
    return lambda ocean: lax.fori_loop(0, jnp.int32(2), lambda _, c: step(c), ocean)


def in_cond(step: Any) -> Any:
    return lambda ocean: lax.cond(ocean[1] > 0, step, lambda c: c, ocean)


@pytest.mark.parametrize("nesting", [jax.jit, in_scan, in_while, in_cond])
def test_declared_nan_is_followed_and_ignored(nesting: Any) -> None:
    program = nesting(lambda ocean: jnp.flip(jnp.flip(ocean) * 2 + 1) - 3)
    assert locate_in_function(program, OCEAN, declared=SEA) is None
    found = locate_in_function(program, OCEAN)
    assert found is not None
    assert found.certainty == "argument"


@pytest.mark.parametrize("nesting", [jax.jit, in_scan, in_while, in_cond])
def test_an_error_next_to_declared_nan_is_located(nesting: Any) -> None:
    program = nesting(lambda ocean: ocean + jnp.sqrt(filled(ocean) - 285))
    finding = locate_in_function(program, OCEAN, declared=SEA)
    assert finding is not None
    assert (finding.primitive, finding.index) == ("sqrt", (0,))
    inside_a_product = locate_in_function(lambda o: program(o) * 1, OCEAN, declared=SEA)
    assert inside_a_product is not None


def test_declared_nan_is_located_where_it_leaks() -> None:
    finding = locate_in_function(
        lambda ocean: ocean - jnp.sum(jnp.tanh(ocean)), OCEAN, declared=SEA
    )
    assert finding is not None
    assert (finding.certainty, finding.primitive) == ("found", "reduce_sum")


def test_a_literal_nan_of_the_program_is_declared() -> None:
    def program(ocean: Array) -> Array:
        return jnp.where(jnp.isnan(ocean), jnp.nan, jnp.log(filled(ocean) + 1))

    assert locate_in_function(program, OCEAN, declared=SEA) is None


def test_declared_nan_that_moves_to_other_cells_is_found() -> None:
    finding = locate_in_function(lambda ocean: jnp.roll(ocean, 1), OCEAN, declared=SEA)
    assert finding is not None
    assert finding.certainty == "argument"


def test_nan_declared_for_a_missing_array_is_refused() -> None:
    with pytest.raises(ValueError, match="snow"):
        locate_in_function(lambda x: x, OCEAN, declared=DeclaredNan({"['snow']": LAND}, {}))
