"""Compares the usual fixes for NaN, and the guard, on a sampler step that rounding makes NaN.

The step is the stochastic churn of T. Karras et al., "Elucidating the Design Space of
Diffusion-Based Generative Models" (2022), algorithm 2, lines 5 and 6, over the schedule of their
equation 5. It adds noise of standard deviation ``sqrt(t_hat**2 - t**2)``, which is exactly zero at
levels outside the churned range.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from perfkit.guard.transform import guard

LEVELS = 20
"""Number of noise levels."""

FIRST_LEVEL, LAST_LEVEL, EXPONENT = 80.0, 0.03, 7
CHURN, CHURN_FROM = 2.5, 0.75
"""Published sampler settings of the weather model in which the fault was found."""

PLANTED = -0.5
"""A variance that is negative by far more than rounding: an error that no fix should hide."""


@dataclasses.dataclass(frozen=True)
class Remedy:
    """What one fix does to the step.

    Attributes
    ----------
    name
        Name of the fix.
    nan_levels
        Number of levels that give NaN.
    noisy_levels
        Number of levels at which noise is added although exact arithmetic adds none.
    hides_errors
        Whether a variance of -0.5 becomes a finite number.
    hides_nan
        Whether a variance of NaN becomes a finite number.
    """

    name: str
    nan_levels: int
    noisy_levels: int
    hides_errors: bool
    hides_nan: bool

    def as_dict(self) -> dict[str, str | int | bool]:
        """Return the effects as plain data for JSON."""
        return dataclasses.asdict(self)


def compare_remedies() -> tuple[Remedy, ...]:
    """Run the compiled step without a fix, with each usual fix, and under the guard.

    The step runs in float32 over the 20 levels, in a loop as in a sampler.
    """
    plain = _deviations(jnp.sqrt)
    return (
        _effects("none", plain, jnp.sqrt),
        _effects("jnp.maximum(x, 0)", _deviations(_maximum), _maximum),
        _effects("jnp.where(x > 0, x, 0)", _deviations(_where), _where),
        _effects("guard", _guarded(plain, False), _guarded(jnp.sqrt, False)),
        _effects("guard, rounding to zero", _guarded(plain, True), _guarded(jnp.sqrt, True)),
    )


def karras_levels() -> NDArray[np.float32]:
    """Return the noise levels, from the largest to the smallest."""
    steps = np.arange(LEVELS) / (LEVELS - 1)
    first, last = FIRST_LEVEL ** (1 / EXPONENT), LAST_LEVEL ** (1 / EXPONENT)
    levels: NDArray[np.float64] = (first + steps * (last - first)) ** EXPONENT
    return levels.astype(np.float32)


def _maximum(variance: Array) -> Array:
    return jnp.sqrt(jnp.maximum(variance, 0))


def _where(variance: Array) -> Array:
    return jnp.sqrt(jnp.where(variance > 0, variance, 0))


def _guarded(function: Callable[[Array], Array], zero_rounding: bool) -> Callable[[Array], Array]:
    return lambda x: guard(function, zero_rounding=zero_rounding)(x)[0]


def _deviations(root: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Return a function that maps levels to the deviations they add, with ``root`` as the sqrt."""

    def step(carry: Array, level: Array) -> tuple[Array, Array]:
        gamma = jnp.where(level >= CHURN_FROM, jnp.float32(CHURN / LEVELS), 0)
        raised = level * (gamma + 1)
        return carry, root(raised**2 - level**2)

    return lambda levels: lax.scan(step, jnp.float32(0), levels)[1]


def _effects(
    name: str, deviations: Callable[[Array], Array], root: Callable[[Array], Array]
) -> Remedy:
    levels = karras_levels()
    added = np.asarray(jax.jit(deviations)(jnp.asarray(levels)))
    exactly_zero = levels < CHURN_FROM
    planted = np.asarray(jax.jit(root)(jnp.asarray([PLANTED, np.nan], jnp.float32)))
    return Remedy(
        name,
        nan_levels=int(np.count_nonzero(np.isnan(added))),
        noisy_levels=int(np.count_nonzero(added[exactly_zero] > 0)),
        hides_errors=bool(np.isfinite(planted[0])),
        hides_nan=bool(np.isfinite(planted[1])),
    )
