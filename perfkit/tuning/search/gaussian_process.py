"""Single changes first, then expected improvement of a Gaussian process over the whole space."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from perfkit.knobs.configuration import Configuration
from perfkit.tuning.search.known import Known
from perfkit.tuning.search.packages import require_package
from perfkit.tuning.search.screen_tpe import PATIENCE
from perfkit.tuning.search.space_search import SpaceSearch

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

type Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

CANDIDATES_MOST = 4096
"""Most configurations that are drawn to compute their expected improvement for a decision, in
addition to the neighbours of the incumbent."""

LEAST_IMPROVEMENT = 0.001
"""Expected improvement of the logarithm of the gain below which the search ends: a tenth of a
percent. The incumbent withstands at least as many combinations as there are knobs before."""


@dataclass(frozen=True)
class GaussianProcess(SpaceSearch):
    """Screens each change on the incumbent, then what promises the largest expected improvement.

    The logarithm of the gain is modelled as a sum of effects of the single settings (a linear
    kernel) and of their interactions (a Matern kernel), plus the noise of a comparison. Knobs
    whose values are numbers are encoded by rank, all others one-hot. The candidates of one
    screening are chosen one after the other, each as if those before it had their predicted gain.

    Configurations that failed are entered with the gain of the slowest.

    Attributes
    ----------
    seed
        Seed of the draws from a space that is too large to be listed.
    patience
        Number of combinations that the incumbent has to withstand before the search ends.

    References
    ----------
    D. Jones, M. Schonlau and W. Welch, "Efficient Global Optimization of Expensive Black-Box
    Functions", Journal of Global Optimization 13 (1998), 455-492. Batches: D. Ginsbourger,
    R. Le Riche and L. Carraro, "Kriging Is Well-Suited to Parallelize Optimization", 2010 (the
    Kriging believer).
    """

    name = "gp"

    seed: int = 0
    patience: int = PATIENCE

    def __post_init__(self) -> None:
        require_package(self.name, "sklearn")

    def propose(self, known: Known, count: int) -> Sequence[Configuration]:
        """The new configurations with the largest expected improvement."""
        if known.challengers() >= self.patience:
            return []
        # A small space is taken as a whole. Draws from a large one miss what is next to the best.
        drawn = itertools.islice(known.shuffled(known.seed(self.seed)), CANDIDATES_MOST)
        pool = list(dict.fromkeys(itertools.chain(known.neighbours(), drawn)))
        if not pool:
            return []
        values = known.space.values
        settled = sorted(known.measured.keys() | known.failed)
        slowest = min(known.measured.values())
        inputs = encoded(settled, values)
        gains = np.array([known.measured.get(one, slowest) for one in settled])
        best = max(known.measured.get(one, 0.0) for one in known.path)
        # Single changes, of stock or of the incumbent, show nothing of each other's interactions.
        explored = known.challengers() >= len(values)
        places, chosen = encoded(pool, values), list[int]()
        model = _fitted(inputs, gains)
        for _ in range(min(count, len(pool))):
            mean, deviation = model.predict(places, return_std=True)
            improvement = expected_improvement(mean, deviation, best)
            improvement[chosen] = -np.inf
            index = int(np.argmax(improvement))
            if explored and improvement[index] < LEAST_IMPROVEMENT:
                break
            chosen.append(index)
            inputs = np.vstack([inputs, places[index]])
            gains = np.append(gains, mean[index])
            model = _fitted(inputs, gains, model)
        return [pool[index] for index in chosen]


def encoded(configurations: Sequence[Configuration], values: Mapping[str, Sequence[str]]) -> Array:
    """Configurations as points.

    Parameters
    ----------
    configurations
        Configurations of the space.
    values
        Values of each knob, the default first.

    Returns
    -------
    ndarray, shape (len(configurations), columns)
        A knob whose values are all numbers has one column, with ranks from 0 to 1. Any other knob
        has a column per value except the default, which holds 1 where the value is set.
    """
    columns: list[Array] = []
    for name, listed in values.items():
        own = [one.as_dict().get(name, listed[0]) for one in configurations]
        if len(listed) > 2 and all(_is_number(value) for value in listed):
            ranked = sorted(listed, key=float)
            columns.append(np.array([ranked.index(value) / (len(ranked) - 1) for value in own]))
        else:
            columns += [np.array([float(value == other) for value in own]) for other in listed[1:]]
    return np.column_stack(columns)


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Expected excess over ``best`` of normal quantities; shape (n,) as ``mean`` and ``deviation``.

    It is ``(m - b) Phi(z) + s phi(z)`` with ``z = (m - b) / s`` (Jones et al. 1998, equation 15).
    """
    spread = np.maximum(deviation, 1e-12)
    ratio = (mean - best) / spread
    density = np.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    found: Array = (mean - best) * ndtr(ratio) + spread * density
    return found


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _fitted(
    inputs: Array, gains: Array, like: GaussianProcessRegressor | None = None
) -> GaussianProcessRegressor:
    """The process given the points, with the kernel of ``like`` or with the likeliest kernel."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import (
        ConstantKernel,
        DotProduct,
        Matern,
        WhiteKernel,
    )

    if like is not None:
        kernel, optimizer = like.kernel_, None
    else:
        # Gains differ by factors of up to a few; their noise is between 0.1 and 20 percent.
        amplitude = (1e-4, 10.0)
        kernel = ConstantKernel(0.1, amplitude) * DotProduct(1.0, "fixed") + ConstantKernel(
            0.01, amplitude
        ) * Matern(2.0, (0.5, 20.0), nu=2.5)
        kernel += WhiteKernel(1e-4, (1e-6, 0.04))
        optimizer = "fmin_l_bfgs_b"
    model = GaussianProcessRegressor(kernel, optimizer=optimizer, random_state=0)
    with warnings.catch_warnings():
        # A parameter at its bound is as good as any beyond it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(inputs, gains)
