"""Products of small programs, counted by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfkit.observers.products.counting import CountedProduct, plain_path

jax = pytest.importorskip("jax")
jnp, lax = jax.numpy, jax.lax

STEPS = 5
SQUARE = jnp.ones((4, 4))


def counted(function: Callable[..., Any], *arguments: Any, calls: int = 1) -> list[CountedProduct]:
    from perfkit.guard.analysis.structure import as_program
    from perfkit.observers.products.counting import products_of

    return products_of(as_program(jax.make_jaxpr(function)(*arguments)), calls)


def test_products_inside_calls_and_scans_count_once_per_iteration_and_call() -> None:
    gated = jax.jit(lambda x, weights: jnp.einsum("xk,kjn->xjn", x, weights).sum(1))

    def network(x: Any, weights: Any, pairs: Any) -> Any:
        x, _ = lax.scan(lambda carry, one: (gated(carry, one), None), x, weights)
        return jnp.einsum("bik,bjk->bij", pairs, pairs).sum() * x

    x, weights = jnp.ones((7, 4)), jnp.ones((STEPS, 4, 2, 4))
    found = counted(network, x, weights, jnp.ones((3, 6, 8), jnp.bfloat16), calls=2)
    assert [(one.product.label, one.times, one.certain) for one in found] == [
        ("f32 mk[7,4] x knn[4,2,4]", 2 * STEPS, True),
        ("bf16 bmk[3,6,8] x bnk[3,6,8]", 2, True),
    ]
    work = sum(one.times * one.product.flop for one in found)
    assert work == 2 * (STEPS * 2 * 7 * 4 * 8 + 2 * 3 * 6 * 6 * 8)
    # bfloat16: two operands of 3 x 6 x 8 and a result of 3 x 6 x 6, two bytes each.
    assert found[1].product.bytes == 2 * (2 * 144 + 108)


def test_nested_scans_multiply() -> None:
    def network(x: Any) -> Any:
        def inner(carry: Any, _: None) -> tuple[Any, None]:
            return carry @ SQUARE, None

        def outer(carry: Any, _: None) -> tuple[Any, None]:
            return lax.scan(inner, carry, None, length=3)[0], None

        return lax.scan(outer, x, None, length=STEPS)[0]

    (found,) = counted(network, SQUARE)
    assert (found.times, found.certain) == (3 * STEPS, True)
    assert found.path == "while/body/while/body/dot_general"


def test_of_a_branch_the_heaviest_is_assumed_and_of_a_while_loop_one_iteration() -> None:
    def network(x: Any, steps: Any) -> Any:
        x = lax.cond(x[0, 0] > 0, lambda x: x @ SQUARE, lambda x: x @ SQUARE @ SQUARE, x)
        return lax.while_loop(
            lambda pair: pair[1] < steps, lambda p: (p[0] @ SQUARE, p[1] + 1), (x, 0)
        )[0]

    found = counted(network, SQUARE, 7)
    # The branches by index: false is the first.
    assert [(one.path, one.times) for one in found] == [
        ("cond/branch_0/dot_general", 1),
        ("cond/branch_0/dot_general", 1),
        ("cond/branch_1/dot_general", 0),
        ("while/body/dot_general", 1),
    ]
    assert not any(one.certain for one in found)


def test_the_products_of_a_native_kernel_are_those_of_its_jax_form() -> None:
    from jax.extend.core import Primitive

    kernel = Primitive("perfkit_kernel")
    form = jax.make_jaxpr(lambda x: lax.scan(lambda c, _: (c @ SQUARE, None), x, None, length=3)[0])
    kernel.def_abstract_eval(lambda x, **_: x)

    def network(x: Any) -> Any:
        with jax.named_scope("attention"):
            return kernel.bind(x, jaxpr=form(x), target="perfkit.attention")

    (found,) = counted(network, SQUARE, calls=2)
    assert (found.times, found.repeats, found.certain) == (6, 3, True)
    assert found.kernel == "attention/perfkit_kernel"


def test_axes_of_size_one_make_no_other_shape() -> None:
    def network(wide: Any, narrow: Any) -> Any:
        weights = jnp.ones((8, 3))
        return jnp.einsum("abk,kn->abn", wide, weights), jnp.einsum("bak,kn->ban", narrow, weights)

    found = counted(network, jnp.ones((5, 1, 8)), jnp.ones((1, 5, 8)))
    assert Counter(one.product.label for one in found) == {"f32 mk[5,8] x kn[8,3]": 2}


@pytest.mark.parametrize(
    ("op_name", "path"),
    [
        (
            "jit(step)/setup/while/body/eval_jaxpr/mesh/dot_general",
            "setup/while/body/mesh/dot_general",
        ),
        (
            "jit(f)/cond/branch_1_fun/jit(_einsum)/bk,kn->bn/dot_general",
            "cond/branch_1/bk,kn->bn/dot_general",
        ),
        ("scan/body/closed_call/checkpoint/x/dot_general", "while/body/x/dot_general"),
    ],
)
def test_calls_leave_no_trace_in_paths(op_name: str, path: str) -> None:
    assert plain_path(op_name) == path


def test_counts_survive_their_file(tmp_path: Path) -> None:
    from perfkit.observers.products.counting import read_products, write_products

    file = tmp_path / "products.json"
    assert read_products(file) == []
    write_products(file, lambda x: x @ SQUARE, [SQUARE], 3)
    (found,) = read_products(file)
    assert (found.product.left, found.product.contracted, found.times) == ((4, 4), ((1,), (0,)), 3)
