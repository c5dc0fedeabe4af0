"""AlphaFold 3's own transition block with the native kernel and without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perfkit.kernels.transition import glu_transition
from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets
from tests.kernels.agreement import assert_close
from tests.kernels.levels import HIGHEST, loaded


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The kernel of the highest level of this CPU is in use."""
    with loaded("".join(HIGHEST), tmp_path_factory):
        yield


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_network_computes_the_same_with_the_kernel(
    kernel: None, component_cache: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    provide_glycan_ion_sets()
    from alphafold3.model.network import modules

    if not hasattr(modules, "GLU_TRANSITION"):
        pytest.skip("this alphafold3 has no places for kernels")
    from alphafold3.model import model_config

    def block(x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        module = modules.TransitionBlock(
            modules.TransitionBlock.Config(), model_config.GlobalConfig(), name="transition"
        )
        return module(x), module(x, mask=mask, residual=x)

    network = hk.transform(block)
    random = np.random.default_rng(3)
    x = jnp.asarray(random.normal(size=(11, 13, 128)), dtype)
    mask = jnp.asarray(random.integers(0, 2, size=(11, 13)), dtype)
    shapes = jax.eval_shape(network.init, jax.random.key(0), x, mask)
    parameters = jax.tree.map(
        lambda leaf: jnp.asarray(
            random.normal(size=leaf.shape) * leaf.shape[0] ** -0.5, leaf.dtype
        ),
        shapes,
    )
    stock = jax.jit(lambda: network.apply(parameters, None, x, mask))()
    monkeypatch.setattr(modules, "GLU_TRANSITION", glu_transition)
    assert jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype),
        jax.eval_shape(network.init, jax.random.key(0), x, mask),
    ) == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes)
    program = jax.jit(lambda: network.apply(parameters, None, x, mask))
    assert "perfkit.GluTransition" in program.lower().as_text()
    for got, expected in zip(program(), stock, strict=True):
        assert_close(got, expected, dtype)
