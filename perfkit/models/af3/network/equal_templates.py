"""Embeds equal templates once, in packages that embed each of them.

Upstream's features have four templates, empty ones last, and its network embeds one after the
other. :func:`perfkit.models.af3.padding.with_templates` leaves one of four equal ones. The network
then has to compute what it computes with four: their sum, rounded after each addition, divided by
four. It also has to take as many random keys from Haiku's sequence as four embeddings do, because
those of the diffusion come later.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from perfkit.models.af3.network.replacing import changed, subclass
from perfkit.models.af3.network.source import TEMPLATES
from perfkit.models.af3.padding import UPSTREAM_TEMPLATES

KEYS_OF_A_STACK = 2
"""Random keys that ``hk.experimental.layer_stack`` takes from Haiku's sequence in a call, whatever
its layers do."""


def equal_templates() -> contextlib.AbstractContextManager[None]:
    """Trace the network in this block so that a single template stands for four equal ones."""
    module = importlib.import_module(TEMPLATES)
    return changed(TEMPLATES, {"TemplateEmbedding": subclass(module.TemplateEmbedding, _embedding)})


def _embedding(base: Any) -> Callable[..., jax.Array]:
    def embed(self: Any, query_embedding: jax.Array, templates: Any, **others: Any) -> jax.Array:
        replaced: dict[str, Any] = {}
        if jax.tree.leaves(templates)[0].shape[0] == 1 and not hk.running_init():
            templates = jax.tree.map(_repeated, templates)
            keys = KEYS_OF_A_STACK if self.config.template_stack.num_layer else 0
            replaced = {"hk": EqualSteps(hk, keys)}
        with changed(TEMPLATES, replaced):
            embedded: jax.Array = base.__call__(self, query_embedding, templates, **others)
        return embedded

    return embed


def _repeated(feature: jax.Array) -> jax.Array:
    return jnp.broadcast_to(feature, (UPSTREAM_TEMPLATES, *feature.shape[1:]))


class EqualSteps:
    """Haiku, except that all steps of a scan are the same.

    Parameters
    ----------
    haiku
        The module.
    keys
        Random keys that a step takes from Haiku's sequence.
    """

    def __init__(self, haiku: Any, keys: int) -> None:
        self._haiku = haiku
        self._keys = keys

    def __getattr__(self, name: str) -> Any:
        return getattr(self._haiku, name)

    def scan(
        self, add: Callable[[jax.Array, Any], tuple[jax.Array, Any]], zero: jax.Array, xs: Any
    ) -> tuple[jax.Array, None]:
        """Compute the first step, and add it as often as there are steps."""
        steps = jax.tree.leaves(xs)[0].shape[0]
        step, _ = add(zero, jax.tree.map(lambda x: x[0], xs))
        total = step
        for _ in range(steps - 1):
            total = total + step
            for _ in range(self._keys):
                self._haiku.maybe_next_rng_key()
        return total, None
