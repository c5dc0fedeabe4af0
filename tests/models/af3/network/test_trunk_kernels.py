"""AlphaFold 3's own trunk with replaced modules, which use native kernels, and without them.

The modules are replaced here in whatever package is installed; of ColabFold's build, the places for
kernels stay empty.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from perfkit.answers.agreement import relative_distance
from perfkit.kernels.registry import KERNELS
from perfkit.models.af3.network.kernels import native_kernels, why_no_native_kernels
from perfkit.models.af3.package import import_model
from tests.kernels.levels import HIGHEST, loaded
from tests.kernels.networks import normal, parameters_of

FLOAT32_DISTANCE = 1e-5
"""Largest relative RMS distance in float32: about 100 roundings."""

type Network = Callable[..., Mapping[str, jax.Array]]


@pytest.fixture(scope="module")
def modules(component_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The network's module, with the kernels of the highest level of this CPU in use."""
    pytest.importorskip("alphafold3", reason="upstream's trunk")
    if why_no_native_kernels() is not None:
        pytest.skip(f"no native kernels here: {why_no_native_kernels()}")
    import_model()
    from alphafold3.model.network import modules

    with loaded("".join(HIGHEST), tmp_path_factory):
        yield modules


def global_config(rows: int | None = None, **options: object) -> Any:
    """Upstream's options, with the rows of the pair that attend together; None for all."""
    from alphafold3.model import model_config

    config = model_config.GlobalConfig()
    config.flash_attention_implementation = "xla"
    config.pair_attention_chunk_size = ((None, rows),)
    for name, value in options.items():
        setattr(config, name, value)
    return config


def pair_mask(dtype: str, tokens: int) -> jax.Array:
    """A mask of pairs without two tokens and some more pairs, so that whole rows are masked."""
    kept = np.random.default_rng(tokens).random((tokens, tokens)) < 0.9
    kept[3] = kept[:, 5] = kept[tokens - 1] = kept[:, tokens - 1] = False
    return jnp.asarray(kept, dtype)


def pair_updates(modules: ModuleType, config: Any) -> Network:
    """A network that applies each module of the pair to the same pair.

    The modules are those that ``modules`` has while the network is traced. The last result is drawn
    after them.
    """

    def updates(pair: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
        upstream: Any = modules
        attention, transition = upstream.GridSelfAttention, upstream.TransitionBlock
        multiplication = upstream.TriangleMultiplication

        def multiplied(equation: str, name: str) -> jax.Array:
            chosen = multiplication.Config(equation=equation)
            result: jax.Array = multiplication(chosen, config, name=name)(pair, mask)
            return result

        return {
            "rows": attention(attention.Config(), config, transpose=False, name="attention1")(
                pair, mask
            ),
            "columns": attention(attention.Config(), config, transpose=True, name="attention2")(
                pair, mask
            ),
            "outgoing": multiplied("ikc,jkc->ijc", "outgoing"),
            "incoming": multiplied("kjc,kic->ijc", "incoming"),
            "transition": transition(transition.Config(), config, name="transition")(pair),
            "drawn": jax.random.normal(hk.next_rng_key(), (4,)),
        }

    return updates


def shapes(parameters: Any) -> Any:
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), parameters)


def compiled(network: Any, *given: Any) -> tuple[str, dict[str, NDArray[Any]]]:
    """The program as text, and its results."""
    lowered = jax.jit(lambda *given: network.apply(given[0], jax.random.key(1), *given[1:])).lower(
        *given
    )
    results = lowered.compile()(*given)
    return lowered.as_text(), {
        name: np.asarray(value, np.float32) for name, value in results.items()
    }


def assert_same(function: Network, dtype: str, targets: set[str], *operands: Any) -> None:
    """Assert that a network computes and draws the same with replaced modules, and uses kernels.

    In bfloat16, rounding grows from module to module. The error with kernels, relative to the
    network in float32, must not be larger than without them.
    """
    network = hk.transform(function)
    parameters = parameters_of(network, *operands)
    stock_text, stock = compiled(network, parameters, *operands)
    assert "perfkit." not in stock_text
    with native_kernels(fills_places=False):
        assert shapes(parameters_of(network, *operands)) == shapes(parameters)
        text, native = compiled(network, parameters, *operands)
    assert {target for target in targets if f"perfkit.{target}" in text} == targets
    np.testing.assert_array_equal(native.pop("drawn"), stock["drawn"])
    wide = jax.tree.map(lambda leaf: leaf.astype("float32"), (parameters, *operands))
    exact = stock if dtype == "float32" else compiled(network, *wide)[1]
    for name, got in native.items():
        distance = relative_distance(got, exact[name])
        if dtype == "float32":
            assert distance < FLOAT32_DISTANCE, name
        else:
            assert distance < 1.05 * relative_distance(stock[name], exact[name]), name


@pytest.mark.parametrize(
    ("dtype", "tokens", "channels"),
    [
        ("float32", 37, 64),
        ("bfloat16", 20, 128),
        pytest.param("float32", 20, 128, marks=pytest.mark.slow),
        pytest.param("bfloat16", 37, 64, marks=pytest.mark.slow),
    ],
)
def test_each_module_of_the_pair_computes_the_same(
    modules: Any, dtype: str, tokens: int, channels: int
) -> None:
    targets = {
        "PairBias",
        "TriangleAttention",
        "TriangleContract",
        "TriangleEpilogue",
        "GluTransition",
    }
    pair, mask = normal(dtype, tokens, tokens, channels), pair_mask(dtype, tokens)
    assert_same(pair_updates(modules, global_config()), dtype, targets, pair, mask)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_a_stack_of_the_trunk_computes_and_draws_the_same(modules: Any, dtype: str) -> None:
    tokens, sequences = 20, 3
    config = modules.EvoformerIteration.Config()

    def stack(msa: Any, pair: Any, mask: Any) -> dict[str, jax.Array]:
        def iteration(activations: Any) -> Any:
            masks = {"msa": jnp.ones(msa.shape[:2], msa.dtype), "pair": mask}
            return modules.EvoformerIteration(config, global_config(), name="msa_stack")(
                activations=activations, masks=masks
            )

        result = hk.experimental.layer_stack(2)(iteration)({"msa": msa, "pair": pair})
        drawn = jax.random.normal(hk.next_rng_key(), (4,))
        return {"pair": result["pair"], "msa": result["msa"], "drawn": drawn}

    targets = {"TriangleAttention", "TriangleContract", "GluTransition"}
    operands = (
        normal(dtype, sequences, tokens, 32),
        normal(dtype, tokens, tokens, 64),
        pair_mask(dtype, tokens),
    )
    assert_same(stack, dtype, targets, *operands)


def targets_used(modules: Any, config: Any, dtype: str, tokens: int = 8) -> set[str]:
    """Kernels in the traced program of all modules of the pair."""
    network = hk.transform(pair_updates(modules, config))
    operands = (normal(dtype, tokens, tokens, 64), pair_mask(dtype, tokens))
    parameters = parameters_of(network, *operands)
    with native_kernels(fills_places=False):
        text = str(jax.make_jaxpr(network.apply)(parameters, jax.random.key(1), *operands))
    names = {handler for kernel in KERNELS for handler in kernel.handlers}
    return {name for name in names if f"perfkit.{name}" in text}


def test_what_no_kernel_serves_stays_with_the_network(modules: Any) -> None:
    assert targets_used(modules, global_config(), "float16") == set()
    assert targets_used(modules, global_config(model="boltz2"), "bfloat16") == set()
    # In parts of the rows, only attention has no kernel.
    assert targets_used(modules, global_config(rows=4), "bfloat16") == {
        "TriangleContract",
        "TriangleEpilogue",
        "GluTransition",
    }


def test_an_argument_that_only_some_packages_have_stays_with_the_network(modules: Any) -> None:
    """The modules of ColabFold's build can add the input of their caller to the result."""
    if "residual" not in inspect.signature(modules.TransitionBlock.__call__).parameters:
        pytest.skip("the transition of this alphafold3 adds nothing")

    def block(x: jax.Array) -> jax.Array:
        transition = modules.TransitionBlock
        module = transition(transition.Config(), global_config(), name="transition")
        result: jax.Array = module(x, residual=x)
        return result

    network, x = hk.transform(block), normal("float32", 5, 32)
    parameters = parameters_of(network, x)
    stock = network.apply(parameters, None, x)
    with native_kernels(fills_places=False):
        text = jax.jit(network.apply).lower(parameters, None, x).as_text()
        np.testing.assert_array_equal(network.apply(parameters, None, x), stock)
    assert "perfkit." not in text
