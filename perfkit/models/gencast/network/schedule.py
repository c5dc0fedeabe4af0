"""The sampler's noise levels, and what each of its denoiser calls does with the state."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from perfkit.models.gencast.inputs.checkpoint import SamplerConfig

_LARGEST_CHURN_RATE = np.sqrt(2.0) - 1
"""Beyond this the noise added would exceed the noise present (Karras et al. 2022, alg. 2)."""


def noise_levels(config: SamplerConfig) -> NDArray[np.float64]:
    """Levels from the highest to the lowest, then 0: ``[num_noise_levels + 1]``.

    Equally spaced in ``sigma ** (1 / rho)`` (Karras et al. 2022, eq. 5).
    """
    count = config.num_noise_levels
    top, bottom = config.max_noise_level, config.min_noise_level
    fraction = np.arange(count) / (count - 1)
    root = top ** (1 / config.rho)
    levels = (root + fraction * (bottom ** (1 / config.rho) - root)) ** config.rho
    return np.append(levels, 0.0)


def churn_rates(config: SamplerConfig) -> NDArray[np.float64]:
    """By how much each level is raised with fresh noise, ``[num_noise_levels]``."""
    levels = noise_levels(config)[:-1]
    rate = min(config.stochastic_churn_rate / config.num_noise_levels, _LARGEST_CHURN_RATE)
    churned = (levels >= config.churn_min_noise_level) & (levels <= config.churn_max_noise_level)
    return np.where(churned, rate, 0.0)


class CallSchedule(NamedTuple):
    """One row a denoiser call: two a level, one at the last.

    After a call at ``noise_level`` on the state with estimate ``x0``, the next state is
    ``keep * base + (1 - keep) * x0``, where ``base`` is the state at the first call of the level.

    Attributes
    ----------
    noise_level, keep
        ``[calls]`` in the dtype of the sampler's state.
    fresh_noise
        Amplitude of the noise added before the call, ``[calls]``; exactly 0 at the second call
        of a level and where there is no churn.
    starts_level
        Whether the call is the first of its level, bool ``[calls]``.
    level_index
        Which level it belongs to, int32 ``[calls]``.
    """

    noise_level: NDArray[np.floating]
    keep: NDArray[np.floating]
    fresh_noise: NDArray[np.floating]
    starts_level: NDArray[np.bool_]
    level_index: NDArray[np.int32]


def call_schedule(config: SamplerConfig, dtype: DTypeLike) -> CallSchedule:
    """The ``2 * num_noise_levels - 1`` calls of one sampled step.

    Levels are rounded to ``dtype`` first, as the published sampler does; everything that follows
    from them is computed in float64 and rounded once.
    """
    levels = noise_levels(config).astype(dtype).astype(np.float64)
    rates = churn_rates(config).astype(dtype).astype(np.float64)
    rows: list[tuple[float, float, float, bool, int]] = []
    for index, rate in enumerate(rates):
        level, following = levels[index] * (1 + rate), levels[index + 1]
        # Factored, so that no rate gives no noise; a difference of squares leaves a residue
        # of either sign where the compiler contracts it.
        amplitude = levels[index] * np.sqrt(rate * (2 + rate))
        fresh = amplitude * config.noise_level_inflation_factor
        middle = np.sqrt(level * following)
        rows.append((level, middle / level, fresh, True, index))
        if following > 0:
            rows.append((middle, following / level, 0.0, False, index))
    level_of, keep, fresh_noise, starts, indices = zip(*rows, strict=True)
    return CallSchedule(
        np.array(level_of).astype(dtype),
        np.array(keep).astype(dtype),
        np.array(fresh_noise).astype(dtype),
        np.array(starts),
        np.array(indices, np.int32),
    )
