"""One template that stands for four equal ones gives their answer, and takes their random keys."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perfkit.models.af3.network.equal_templates import equal_templates
from perfkit.models.af3.network.source import TEMPLATES
from perfkit.models.af3.padding import UPSTREAM_TEMPLATES

TOKENS, CHANNELS = 6, 8


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Features:
    """Templates, each with one feature of shape ``(TOKENS, CHANNELS)``."""

    aatype: jax.Array


def embedding_module() -> ModuleType:
    """Make a module with an embedding of templates like that of DeepMind's package.

    Its parts that matter here: a scan over the templates, in which a stack of layers runs; and the
    mean over the templates.
    """
    module: Any = ModuleType(TEMPLATES)
    module.hk = hk

    class SingleTemplateEmbedding(hk.Module):
        def __init__(self, layers: int) -> None:
            super().__init__()
            self.layers = layers

        def __call__(self, act: jax.Array) -> jax.Array:
            def layer(x: jax.Array) -> jax.Array:
                return x + hk.Linear(CHANNELS)(jnp.tanh(x))

            found: jax.Array = hk.experimental.layer_stack(self.layers)(layer)(act)
            return found

    class TemplateEmbedding(hk.Module):
        def __init__(self, config: Any) -> None:
            super().__init__(name="template_embedding")
            self.config = config

        def __call__(
            self,
            query_embedding: jax.Array,
            templates: Features,
            padding_mask_2d: jax.Array,
            multichain_mask_2d: jax.Array,
            key: jax.Array,
        ) -> jax.Array:
            count = templates.aatype.shape[0]
            embed = SingleTemplateEmbedding(self.config.template_stack.num_layer)

            def add(total: jax.Array, step: tuple[Features, jax.Array]) -> tuple[jax.Array, None]:
                return total + embed(query_embedding + step[0].aatype), None

            keys = jax.random.split(key, count)
            total, _ = module.hk.scan(add, jnp.zeros_like(query_embedding), (templates, keys))
            mean: jax.Array = total / (1e-7 + count)
            return mean

    module.TemplateEmbedding = TemplateEmbedding
    return module  # type: ignore[no-any-return]  # typed as Any for its attributes


@pytest.fixture
def embeds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Embeds some templates and returns the embedding and the next random key."""
    module = embedding_module()
    monkeypatch.setitem(sys.modules, TEMPLATES, module)
    config = SimpleNamespace(template_stack=SimpleNamespace(num_layer=2))

    def embed(templates: np.ndarray, *, once: bool, dtype: Any = jnp.float32) -> Any:
        def forward(query: jax.Array, aatype: jax.Array) -> tuple[jax.Array, jax.Array]:
            with equal_templates() if once else contextlib.nullcontext():
                mask = jnp.ones((TOKENS, TOKENS))
                found = module.TemplateEmbedding(config)(
                    query_embedding=query,
                    templates=Features(aatype),
                    padding_mask_2d=mask,
                    multichain_mask_2d=mask,
                    key=jax.random.PRNGKey(3),
                )
            return found, hk.next_rng_key()

        transformed = hk.transform(forward)
        query = jnp.asarray(np.random.default_rng(0).normal(size=(TOKENS, CHANNELS)), dtype)
        key = jax.random.PRNGKey(1)
        # The parameters are those of four templates: perfkit does not create them anew.
        parameters = transformed.init(key, query, jnp.zeros((4, TOKENS, CHANNELS), dtype))
        parameters = jax.tree.map(lambda leaf: leaf.astype(dtype), parameters)
        apply = jax.jit(transformed.apply)
        found, following = apply(parameters, key, query, jnp.asarray(templates, dtype))
        return np.asarray(found, np.float32), np.asarray(following)

    return embed


def _equal(count: int) -> np.ndarray:
    one = np.random.default_rng(1).normal(size=(1, TOKENS, CHANNELS))
    return np.repeat(one, count, axis=0)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_one_template_has_the_answer_of_four_equal_ones(
    embeds: Callable[..., Any], dtype: Any
) -> None:
    four, key_after_four = embeds(_equal(UPSTREAM_TEMPLATES), once=False, dtype=dtype)
    one, key_after_one = embeds(_equal(1), once=True, dtype=dtype)
    assert np.array_equal(one, four)
    assert np.array_equal(key_after_one, key_after_four)


def test_without_it_one_template_changes_the_random_keys_that_follow(
    embeds: Callable[..., Any],
) -> None:
    _, key_after_four = embeds(_equal(UPSTREAM_TEMPLATES), once=False)
    _, key_after_one = embeds(_equal(1), once=False)
    assert not np.array_equal(key_after_one, key_after_four)


def test_templates_that_differ_are_all_embedded(embeds: Callable[..., Any]) -> None:
    templates = np.random.default_rng(2).normal(size=(4, TOKENS, CHANNELS))
    expected, found = embeds(templates, once=False), embeds(templates, once=True)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])


def test_the_module_is_as_it_was_afterwards(embeds: Callable[..., Any]) -> None:
    module: Any = sys.modules[TEMPLATES]
    before = module.TemplateEmbedding
    embeds(_equal(1), once=True)
    assert module.TemplateEmbedding is before
    assert module.hk is hk
