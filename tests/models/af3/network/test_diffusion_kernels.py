"""AlphaFold 3's own diffusion transformer with native kernels and without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perfkit.kernels.packed_weights import are_packable
from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets
from perfkit.models.af3.network.kernels import native_kernels, why_no_native_kernels
from perfkit.models.af3.network.packed_parameters import STACK, with_packed_weights
from tests.kernels.agreement import assert_close
from tests.kernels.levels import HIGHEST, loaded
from tests.kernels.networks import normal, parameters_of

SAMPLES, TOKENS = 3, 11


@pytest.fixture(scope="module")
def upstream(component_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The network's module, with the kernels of the highest level of this CPU in use."""
    pytest.importorskip("alphafold3", reason="upstream's diffusion transformer")
    if why_no_native_kernels() is not None:
        pytest.skip(f"no native kernels here: {why_no_native_kernels()}")
    provide_glycan_ion_sets()
    from alphafold3.model.network import diffusion_transformer

    with loaded("".join(HIGHEST), tmp_path_factory):
        yield diffusion_transformer


def global_config() -> Any:
    from alphafold3.model import model_config

    return model_config.GlobalConfig()


def assert_same(
    function: Callable[..., Any], dtype: str, targets: set[str], act: jax.Array, *operands: Any
) -> None:
    """Assert that ``function`` of all samples of ``act`` is the same with kernels and uses them.

    What the network draws after it must be the same, too.

    In bfloat16, rounding grows from block to block. The error with kernels, relative to the network
    in float32, must not be larger than without them.
    """

    def drawing(act: Any, *operands: Any) -> Any:
        result = function(act, *operands)
        drawn = jax.random.normal(hk.next_rng_key(), result.shape, "float32")
        return result + drawn.astype(result.dtype)

    network = hk.transform(drawing)
    parameters = parameters_of(network, act[0], *operands)
    key = jax.random.key(1)

    def program(wide: bool = False) -> Any:
        given = (parameters, act, operands)
        if wide:
            given = jax.tree.map(lambda leaf: leaf.astype("float32"), given)

        def run(parameters: Any, act: Any, operands: Any) -> Any:
            return jax.vmap(lambda each: network.apply(parameters, key, each, *operands))(act)

        lowered = jax.jit(run).lower(*given)
        return lowered.as_text(), np.asarray(lowered.compile()(*given), np.float32)

    stock_text, stock = program()
    with native_kernels():
        assert jax.tree.map(jnp.shape, parameters_of(network, act[0], *operands)) == jax.tree.map(
            jnp.shape, parameters
        )
        text, native = program()
    assert {target for target in targets if f"perfkit.{target}" in text} == targets
    assert "perfkit." not in stock_text
    if dtype == "float32":
        assert_close(native, stock, dtype)
    else:
        _, exact = program(wide=True)
        assert np.std(native - exact) <= 1.05 * np.std(stock - exact) < 0.2 * np.std(exact)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_diffusion_transformer_computes_the_same(upstream: Any, dtype: str) -> None:
    config = upstream.Transformer.Config()
    config.num_blocks, config.super_block_size, config.attention.num_head = 4, 2, 4

    def transformer(act: Any, mask: Any, single: Any, pair: Any) -> Any:
        return upstream.Transformer(config, global_config())(act, mask, single, pair)

    operands = (
        jnp.asarray(np.arange(TOKENS) < 9, dtype),
        normal(dtype, TOKENS, 40),
        normal(dtype, TOKENS, TOKENS, 20),
    )
    targets = {"SelfAttention", "AdaptiveTransition", "PairBias"}
    assert_same(transformer, dtype, targets, normal(dtype, SAMPLES, TOKENS, 96), *operands)


def test_packed_weights_change_nothing(upstream: Any) -> None:
    if not are_packable("bfloat16", 96, 32):
        pytest.skip("this CPU has no products of bfloat16")
    config = upstream.Transformer.Config()
    config.num_blocks, config.super_block_size, config.attention.num_head = 4, 2, 2

    def transformer(*operands: Any) -> Any:
        with hk.experimental.name_scope("diffusion_head"):
            return upstream.Transformer(config, global_config(), name="transformer")(*operands)

    operands = [normal("bfloat16", *shape) for shape in ((TOKENS, 96), (TOKENS,), (TOKENS, 64))]
    operands.append(normal("bfloat16", TOKENS, TOKENS, 20))
    network: Any = hk.without_apply_rng(hk.transform(transformer))
    parameters = parameters_of(network, *operands)
    done: list[Any] = []
    laid_out, are_packed = with_packed_weights(parameters, done.append)
    assert are_packed
    assert jax.tree.map(jnp.shape, laid_out) == jax.tree.map(jnp.shape, parameters)
    # Attention has nine linear layers and the transition five; one more makes the logits of pairs.
    weights = [name for name, leaves in parameters.items() if "weights" in leaves]
    assert (len(done), len(weights)) == (13, 14)

    def program() -> Any:
        # JAX would take two traces of one function for the same.
        return jax.jit(lambda *given: network.apply(*given))

    with native_kernels():
        expected = program()(parameters, *operands)
    with native_kernels(packed_weights=True):
        got = program()(laid_out, *operands)
    np.testing.assert_array_equal(got, expected)
    with (
        native_kernels(packed_weights=True),
        pytest.raises(RuntimeError, match="packed for a transformer without kernels"),
    ):
        network.apply(laid_out, operands[0].astype("float16"), *operands[1:])


def test_weights_stay_as_they_are_if_one_cannot_be_packed() -> None:
    odd, even = np.zeros((2, 2, 24, 16), "bfloat16"), np.zeros((2, 2, 32, 16), "bfloat16")
    path = "diffusion_head/transformer/" + 2 * f"{STACK}/"
    parameters = {f"{path}a": {"weights": even}, f"{path}b": {"weights": odd}}
    assert with_packed_weights(parameters) == (parameters, False)
    wide = {f"{path}a": {"weights": even.astype("float32")}}
    assert with_packed_weights(wide) == (wide, False)
    assert with_packed_weights({"other": {"weights": even}})[1] is False


def test_the_transformer_of_atoms_computes_the_same(upstream: Any) -> None:
    from alphafold3.model.atom_layout import atom_layout

    config = upstream.CrossAttTransformer.Config(num_intermediate_factor=2, num_blocks=2)
    config.attention.num_head, config.attention.key_dim, config.attention.value_dim = 2, 64, 64
    subsets, queries, keys, atoms = 3, 32, 64, 90
    first = np.array([0, 16, atoms - keys])
    gather = atom_layout.GatherInfo(
        gather_idxs=jnp.asarray(first[:, None] + np.arange(keys)),
        # The first window misses two keys.
        gather_mask=jnp.ones((subsets, keys), bool).at[0, 7:9].set(False),
        input_shape=jnp.asarray((subsets, queries)),
    )
    mask = jnp.asarray((np.arange(subsets * queries) < atoms).reshape(subsets, queries), "float32")

    def transformer(act: Any, single: Any, pair: Any) -> Any:
        def of_keys(array: Any, axes: tuple[int, ...]) -> Any:
            return atom_layout.convert(gather, array, layout_axes=axes)

        module = upstream.CrossAttTransformer(config, global_config(), name="atoms")
        return module(
            queries_act=act,
            queries_mask=mask,
            queries_to_keys=gather,
            keys_mask=of_keys(mask, (-2, -1)),
            queries_single_cond=single,
            keys_single_cond=of_keys(single, (-3, -2)),
            pair_cond=pair,
        )

    operands = (
        normal("float32", subsets, queries, 24),
        normal("float32", subsets, queries, keys, 16),
    )
    act = normal("float32", SAMPLES, subsets, queries, 48)
    assert_same(transformer, "float32", {"AtomAttention", "AdaptiveTransition"}, act, *operands)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_attention_and_transitions_without_a_condition_compute_the_same(
    upstream: Any, dtype: str
) -> None:
    config = upstream.SelfAttentionConfig()
    config.num_head = 4

    def block(x: Any, mask: Any, pair: Any) -> Any:
        x += upstream.self_attention(x, mask, pair, config, global_config(), name="single_")
        return x + upstream.transition_block(x, 2, global_config(), name="pair_")

    operands = (jnp.asarray(np.arange(TOKENS) % 3 > 0, dtype), normal(dtype, 4, TOKENS, TOKENS))
    x = normal(dtype, SAMPLES, TOKENS, 96)
    assert_same(block, dtype, {"SelfAttention", "GluTransition"}, x, *operands)
