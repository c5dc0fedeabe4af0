"""The schedule of the sampler: its noise levels and the state updates of its denoiser calls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from perfkit.models.gencast.inputs.checkpoint import SamplerConfig

_LARGEST_CHURN_RATE = np.sqrt(2.0) - 1
"""Above this rate, the added noise would exceed the noise in the state (Karras et al. 2022,
alg. 2)."""


def noise_levels(config: SamplerConfig) -> NDArray[np.float64]:
    """Return the noise levels from the highest to the lowest, then 0.

    They are equally spaced in ``sigma ** (1 / rho)`` (Karras et al. 2022, eq. 5).

    Returns
    -------
    ndarray
        float64 ``[num_noise_levels + 1]``.
    """
    count = config.num_noise_levels
    top, bottom = config.max_noise_level, config.min_noise_level
    fraction = np.arange(count) / (count - 1)
    root = top ** (1 / config.rho)
    levels = (root + fraction * (bottom ** (1 / config.rho) - root)) ** config.rho
    return np.append(levels, 0.0)


def churn_rates(config: SamplerConfig) -> NDArray[np.float64]:
    """Return the relative increase of each level by fresh noise, float64 ``[num_noise_levels]``."""
    levels = noise_levels(config)[:-1]
    rate = min(config.stochastic_churn_rate / config.num_noise_levels, _LARGEST_CHURN_RATE)
    churned = (levels >= config.churn_min_noise_level) & (levels <= config.churn_max_noise_level)
    return np.where(churned, rate, 0.0)


class CallSchedule(NamedTuple):
    """The denoiser calls of one sampled step: one at the last level, two at every other level.

    A call at ``noise_level`` on the state gives an estimate ``x0``. The next state is
    ``keep * base + (1 - keep) * x0``, where ``base`` is the state at the first call of the level.

    Attributes
    ----------
    noise_level
        Noise level of each call, ``[calls]`` in the dtype of the sampler's state.
    keep
        Weight of ``base`` in the next state, ``[calls]`` in the same dtype.
    fresh_noise
        Amplitude of the noise added before each call, ``[calls]`` in the same dtype; exactly 0
        for the second call of a level and for levels without churn.
    starts_level
        Whether the call is the first of its level, bool ``[calls]``.
    level_index
        Number of the level of each call, int32 ``[calls]``.
    """

    noise_level: NDArray[np.floating]
    keep: NDArray[np.floating]
    fresh_noise: NDArray[np.floating]
    starts_level: NDArray[np.bool_]
    level_index: NDArray[np.int32]


def call_schedule(config: SamplerConfig, dtype: DTypeLike) -> CallSchedule:
    """Compute the ``2 * num_noise_levels - 1`` calls of one sampled step.

    Levels are rounded to ``dtype`` first, as in the published sampler. Everything derived from
    them is computed in float64 and rounded once.
    """
    levels = noise_levels(config).astype(dtype).astype(np.float64)
    rates = churn_rates(config).astype(dtype).astype(np.float64)
    rows: list[tuple[float, float, float, bool, int]] = []
    for index, rate in enumerate(rates):
        level, following = levels[index] * (1 + rate), levels[index + 1]
        # Factored, so that a rate of 0 gives exactly no noise. A difference of squares leaves a
        # residue of either sign if the compiler contracts it.
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
