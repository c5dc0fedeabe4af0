"""Programs for the tests of the guard: sampler steps from published formulas, and faults."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

LEVELS = 20
CHURN_PER_LEVEL = 2.5 / LEVELS
CHURN_FROM, CHURN_TO = 0.75, 80.0


def karras_schedule(dtype: Any = np.float32) -> NDArray[Any]:
    """Noise levels of Karras et al. 2022, equation 5, with rho = 7, from 80 to 0.03."""
    steps = np.arange(LEVELS) / (LEVELS - 1)
    first, last = 80.0 ** (1 / 7), 0.03 ** (1 / 7)
    levels: NDArray[Any] = ((first + steps * (last - first)) ** 7).astype(dtype)
    return levels


def churn(x: Array, level: Array) -> tuple[Array, Array]:
    """Lines 5 and 6 of algorithm 2 of the same paper, with a noise sample of 1."""
    added = jnp.sqrt(raised_level(level) ** 2 - level**2)
    return x + added, added


def added_with_clamp(level: Array) -> Array:
    """What a level adds if the usual clamp is put around the difference."""
    return jnp.sqrt(jnp.maximum(raised_level(level) ** 2 - level**2, 0))


def raised_level(level: Array) -> Array:
    """The noise level after churn."""
    churned = (level >= CHURN_FROM) & (level <= CHURN_TO)
    gamma = jnp.where(churned, jnp.asarray(CHURN_PER_LEVEL, level.dtype), 0)
    return level * (gamma + 1)


def sampler(x: Array, levels: Array) -> tuple[Array, Array]:
    """Churn the sample at every level; return the sample and what each level added."""
    return lax.scan(churn, x, levels)


def exact_added(levels: NDArray[Any]) -> NDArray[np.float64]:
    """What each level adds, in float64 and without cancellation: level * sqrt(g * (2 + g))."""
    wide = levels.astype(np.float64)
    churned = (wide >= CHURN_FROM) & (wide <= CHURN_TO)
    gamma = np.where(churned, CHURN_PER_LEVEL, 0.0)
    added: NDArray[np.float64] = wide * np.sqrt(gamma * (2 + gamma))
    return added


def planted(x: Array) -> Array:
    """Add square roots in a scan inside vmap inside jit; the third square root is of -0.5."""

    def body(total: Array, step: Array) -> tuple[Array, None]:
        operand = jnp.where(step == 2, total * 0 - 0.5, jnp.abs(total) + 1)
        root = jnp.sqrt(operand)  # PLANTED
        return total + root, None

    def summed(element: Array) -> Array:
        return lax.scan(body, element, jnp.arange(5))[0]

    result: Array = jax.jit(jax.vmap(summed))(x)
    return result
