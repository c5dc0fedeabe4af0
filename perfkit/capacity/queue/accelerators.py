"""What accelerators are published to take, and the price at which they would cost as much."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from perfkit.capacity.queue.jobs import Job

AF3_SOURCE = (
    "google-deepmind/alphafold3, docs/performance.md: compile-free seconds of one seed, by tokens"
)
GENCAST_SOURCE = (
    "google-deepmind/graphcast, docs/cloud_vm_setup.md and README: minutes of one member, 30 steps "
    "of 12 hours, compilation left out"
)

_AF3_SECONDS = {
    "A100 80 GB": {1024: 62.0, 2048: 275.0, 3072: 703.0, 4096: 1434.0, 5120: 2547.0},
    "H100 80 GB": {1024: 34.0, 2048: 144.0, 3072: 367.0, 4096: 774.0, 5120: 1416.0},
}

_GENCAST_STEP_S = {
    "TPU v5p": {0.25: 8 * 60 / 30},
    "H100 80 GB": {0.25: 25 * 60 / 30},
    "TPU v5e": {1.0: 3 * 60 / 30},
}
"""Device to degrees to seconds of one step."""


@dataclass(frozen=True)
class Published:
    """One published figure, for the table."""

    model: str
    device: str
    size: str
    seconds: float
    source: str


@dataclass(frozen=True)
class Comparison:
    """A queue on one accelerator beside the plan.

    Parameters
    ----------
    jobs, left_out
        Jobs that a figure was published for (or lies between two), and those without.
    hours
        Device hours of the former, compilation left out.
    break_even
        Price of a device hour at which they cost as much as the plan; None without a price.
    """

    model: str
    device: str
    jobs: int
    left_out: int
    hours: float
    break_even: float | None
    source: str


def published() -> list[Published]:
    """All figures."""
    folds = [
        Published("af3", device, f"{tokens} tokens", seconds, AF3_SOURCE)
        for device, table in _AF3_SECONDS.items()
        for tokens, seconds in table.items()
    ]
    forecasts = [
        Published("gencast", device, f"{degrees:g} degrees, one step", seconds, GENCAST_SOURCE)
        for device, table in _GENCAST_STEP_S.items()
        for degrees, seconds in table.items()
    ]
    return [*folds, *forecasts]


def device_seconds(job: Job, device: str) -> float | None:
    """Published seconds of a job on ``device``, None where nothing near it was published.

    Between two published sizes a power law is drawn through them; a smaller input is counted as
    the smallest that was published, because no figure tells how much less it takes. Figures are
    for the model's own fidelity: recycles, steps and samples of a job that asks for fewer are
    counted as those.
    """
    if job.model == "af3":
        table = _AF3_SECONDS.get(device, {})
        one = _interpolated(table, job.size) if table else None
        return None if one is None else one * job.fidelity["seeds"]
    step_s = _GENCAST_STEP_S.get(device, {}).get(float(job.options["resolution"]))
    return None if step_s is None else step_s * job.calls


def _interpolated(table: dict[int, float], tokens: int) -> float | None:
    sizes = sorted(table)
    if tokens > sizes[-1]:
        return None
    if tokens <= sizes[0]:
        return table[sizes[0]]
    above = next(size for size in sizes if size >= tokens)
    below = sizes[sizes.index(above) - 1]
    power = math.log(table[above] / table[below]) / math.log(above / below)
    return float(table[below] * (tokens / below) ** power)


def compare(jobs: Sequence[tuple[Job, float | None]]) -> list[Comparison]:
    """The queue on every accelerator that any of its jobs has a figure for.

    Parameters
    ----------
    jobs
        Each with what it costs in the plan, None where machines have no price.
    """
    found = []
    for model, devices, source in (
        ("af3", _AF3_SECONDS, AF3_SOURCE),
        ("gencast", _GENCAST_STEP_S, GENCAST_SOURCE),
    ):
        own = [(job, price) for job, price in jobs if job.model == model]
        for device in devices:
            known = [
                (seconds, price)
                for job, price in own
                if (seconds := device_seconds(job, device)) is not None
            ]
            if known:
                hours = sum(seconds for seconds, _ in known) / 3600
                total = _sum(price for _, price in known)
                found.append(
                    Comparison(
                        model=model,
                        device=device,
                        jobs=len(known),
                        left_out=len(own) - len(known),
                        hours=hours,
                        break_even=None if total is None else total / hours,
                        source=source,
                    )
                )
    return found


def _sum(prices: Iterable[float | None]) -> float | None:
    found = list(prices)
    known = [price for price in found if price is not None]
    return sum(known) if len(known) == len(found) else None
