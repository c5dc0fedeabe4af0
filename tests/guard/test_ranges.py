"""Ranges from constants hold what JAX computes, and spare programs that need no guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from perfkit.guard.analysis.inference import TraitInference, trait_of
from perfkit.guard.analysis.interval import Range
from perfkit.guard.analysis.structure import as_program
from perfkit.guard.counts import GuardReport
from perfkit.guard.injection.guarded_jit import make_guarded_jit
from perfkit.guard.injection.ledger import Ledger
from perfkit.guard.transform import guard
from tests.support.guard_programs import karras_schedule, sampler

KEY = jax.random.PRNGKey(0)
SOME = np.array([0.25, 0.5, 1.0, 3.0, 7.5], np.float32)
MIXED = np.array([-2.0, -0.0, 0.0, 1.0, 3.5], np.float32)


def range_of(function: Callable[..., Any], *constants: Any) -> Range:
    """The range of a function's result whose arguments are constants of the program."""
    program = as_program(jax.make_jaxpr(lambda: function(*map(jnp.asarray, constants)))())
    known = TraitInference().traits(program, [])
    return trait_of(known, program.jaxpr.outvars[0]).within


OPERATIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "sum and difference": (lambda a, b: (a + b) - 3 * b, (SOME, MIXED)),
    "product": (jnp.multiply, (MIXED, -SOME)),
    "square of a variable": (lambda a: a * a, (MIXED,)),
    "quotient": (jnp.divide, (MIXED, SOME)),
    "even and odd powers": (lambda a: a**2 + a**3, (MIXED,)),
    "negative power": (lambda a: a**-3, (SOME,)),
    "power": (lambda a: a**0.7, (SOME,)),
    "functions of one operand": (
        lambda a: jnp.stack([jnp.exp(a), jnp.tanh(a), jax.nn.sigmoid(a), jnp.sin(a), -abs(a)]),
        (MIXED,),
    ),
    "roots and logarithms": (lambda a: jnp.sqrt(a) + lax.rsqrt(a) + jnp.log(a), (SOME,)),
    "clamps": (lambda a, b: jnp.clip(a, 0.5, 2.0) + jnp.minimum(a, b), (MIXED, SOME)),
    "choice": (lambda a, b: jnp.where(a > 0, a, b), (MIXED, SOME)),
    "sums": (lambda a: jnp.sum(a) + jnp.cumsum(a), (MIXED,)),
    "matrix product": (lambda a: jnp.outer(a, a) @ a, (MIXED,)),
    "bfloat16": (lambda a: a.astype(jnp.bfloat16) * jnp.bfloat16(1.01), (SOME,)),
    "integers": (lambda a: (jnp.arange(7) * 3 - 2).astype(jnp.float32) + a[0], (SOME,)),
    "truncation": (lambda a: (a * 1.7).astype(jnp.int32), (MIXED,)),
    "truncation of NaN": (lambda a: (a / 0 * 0 + 5.5).astype(jnp.int32), (SOME,)),
    "sorted pairs": (lambda a: lax.sort((a.astype(jnp.int8), a * 1e6), num_keys=1)[1], (SOME,)),
    "overflow of integers": (lambda a: a + np.int8(100), (np.array([1, 100], np.int8),)),
    "bits": (lambda a: (a >> np.uint32(1)) | (a & np.uint32(6)), (np.array([3, 12], np.uint32),)),
    "loop": (lambda a: lax.scan(lambda c, x: (0.5 * c + x, c), a[0], a)[1], (SOME,)),
    "a uniform draw": (lambda key: jax.random.uniform(key, (999,)), (KEY,)),
}


@pytest.mark.parametrize(("function", "constants"), OPERATIONS.values(), ids=OPERATIONS)
def test_a_range_holds_all_that_jax_computes(
    function: Callable[..., Any], constants: tuple[Any, ...]
) -> None:
    within = range_of(function, *constants)
    computed = np.asarray(jax.jit(function)(*constants)).astype(np.float64)
    assert within.low <= computed.min()
    assert computed.max() <= within.high


def test_ranges_are_narrow_where_arithmetic_is_exact() -> None:
    assert range_of(lambda a: a + 1, SOME) == (1.25, 8.5)
    assert range_of(lambda a: -a * 2, SOME) == (-15.0, -0.5)
    # The bits of a uniform draw hold 23 random bits: the largest number is 1 - 2**-23.
    assert range_of(lambda key: jax.random.uniform(key, (3,)), KEY) == (0.0, 1 - 2.0**-23)


def test_a_range_that_is_not_exact_is_rounded_outward() -> None:
    third = np.float32(1) / np.float32(3)
    low, high = range_of(lambda a: a / 3, np.array([1.0], np.float32))
    assert low < third < high
    # The sum of 1 and 2**-30 is no float32: either neighbour may be the result.
    assert range_of(lambda a: a + 2.0**-30, np.array([1.0], np.float32)) == (1.0, 1 + 2.0**-23)


def normal(key: Array) -> Array:
    return jax.random.normal(key, (4,))


def noise_features(key: Array) -> Array:
    """Levels and their logarithm as AlphaFold 3 computes them, from 2,560 down to 0.0064."""
    levels = (
        16.0 * (160 ** (1 / 7) + jnp.linspace(0, 1, 9) * (4e-4 ** (1 / 7) - 160 ** (1 / 7))) ** 7
    )

    def step(previous: Array, level: Array) -> tuple[Array, Array]:
        raised = previous * (1 + 0.8 * (level > 1.0))
        return level, jnp.log(raised / 16.0) * jax.random.normal(key)

    return lax.scan(step, levels[0], levels[1:])[1]


def countdown(steps: Array) -> Array:
    """Ten minus a counter of unknown reach."""
    return jnp.sqrt(10.0 - lax.fori_loop(0, steps, lambda _, total: total + 1.0, 0.0))


SITES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], int]] = {
    "a normal draw": (normal, (KEY,), 0),
    "a function of an argument": (lax.erf_inv, (SOME / 8,), 1),
    "constants inside the domain": (lambda x: jnp.sqrt(jnp.asarray(SOME) - 0.25) * x, (1.0,), 0),
    "constants outside the domain": (lambda x: jnp.sqrt(jnp.asarray(SOME) - 0.3) * x, (1.0,), 1),
    "a draw inside the domain": (lambda key: jnp.sqrt(1 - jax.random.uniform(key)), (KEY,), 0),
    "a draw outside the domain": (lambda key: jnp.log(jax.random.uniform(key) - 0.5), (KEY,), 1),
    "a noise schedule": (noise_features, (KEY,), 0),
    "churn, which rounding can make negative": (
        lambda x: sampler(x, jnp.asarray(karras_schedule())),
        (1.0,),
        1,
    ),
    "a loop of unknown length": (countdown, (3,), 1),
}


@pytest.mark.parametrize(("function", "arguments", "sites"), SITES.values(), ids=SITES)
def test_only_equations_that_can_leave_their_domain_are_guarded(
    function: Callable[..., Any], arguments: tuple[Any, ...], sites: int
) -> None:
    arrays = [jnp.asarray(argument) for argument in arguments]
    report: GuardReport = jax.eval_shape(guard(function), *arrays)[1]
    assert len(report.sites) == sites


def test_a_program_in_which_nothing_can_need_lifting_is_compiled_unchanged() -> None:
    ledger = Ledger()
    left, plain = (
        jit(noise_features).lower(KEY)
        for jit in (make_guarded_jit(jax.jit, ledger, False), jax.jit)
    )
    assert left.as_text() == plain.as_text()
    assert left.compile().as_text() == plain.compile().as_text()
    assert ledger.rows() == ()
    assert ledger.as_dict()["left_alone"] == 1


def test_a_function_that_is_left_alone_is_analysed_once_for_each_shape() -> None:
    traced: list[tuple[int, ...]] = []

    def draw(key: Array, offset: Array) -> Array:
        traced.append(offset.shape)
        return jax.random.normal(key, offset.shape) + offset

    function = make_guarded_jit(jax.jit, Ledger(), False)(draw)
    for shape in [(2,), (3,)]:
        for _ in range(3):
            function(KEY, jnp.ones(shape))
        # Once to analyse it and once to compile it.
        assert traced.count(shape) == 2


def test_functions_inside_one_that_is_left_alone_are_left_alone() -> None:
    ledger = Ledger()
    jit = make_guarded_jit(jax.jit, ledger, False)

    @jit
    def root(x: Array) -> Array:
        return jnp.sqrt(x - 1)

    @jit
    def whole(key: Array) -> Any:
        return root(2 + jax.random.uniform(key, (3,)))

    np.testing.assert_array_equal(whole(KEY), jnp.sqrt(1 + jax.random.uniform(KEY, (3,))))
    assert (ledger.rows(), ledger.as_dict()["left_alone"]) == ((), 1)
    # On its own, its argument may be anything.
    root(jnp.ones(1))
    assert len(ledger.rows()) == 1


def test_a_program_with_an_open_shape_is_analysed() -> None:
    (size,) = jax.export.symbolic_shape("n")
    open_shape = jax.ShapeDtypeStruct((size,), jnp.float32)
    report: GuardReport = jax.eval_shape(guard(lambda x: jnp.sqrt(jnp.max(x) - 1)), open_shape)[1]
    assert len(report.sites) == 1


def test_what_the_guard_cannot_enter_is_not_said_to_need_nothing() -> None:
    ledger = Ledger()

    def search(x: Array) -> Array:
        return lax.while_loop(lambda y: jnp.sqrt(y - 1) > 1, lambda y: y / 2, x)

    make_guarded_jit(jax.jit, ledger, False)(search)(jnp.float32(9))
    counts = ledger.as_dict()
    assert counts["left_alone"] == 0
    assert counts["unguarded_functions"]
