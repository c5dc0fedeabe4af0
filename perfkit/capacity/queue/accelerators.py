"""A queue on accelerators: published times, and the price at which they cost as much as a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from perfkit.models import get_model, model_names
from perfkit.models.costs import Job, PublishedTime


@dataclass(frozen=True)
class Comparison:
    """The jobs of one model on one accelerator, compared with the plan.

    Attributes
    ----------
    model
        Name of the model.
    device
        Name of the accelerator.
    jobs
        Number of jobs with a published time.
    left_out
        Number of jobs without one.
    hours
        Device hours of the jobs with a published time, without compilation.
    break_even
        Price of a device hour at which these jobs cost as much as in the plan, None where the
        plan has no price.
    source
        Where the times were published.
    """

    model: str
    device: str
    jobs: int
    left_out: int
    hours: float
    break_even: float | None
    source: str


def published_times() -> list[PublishedTime]:
    """Return the published times of all models."""
    return [time for name in model_names() for time in get_model(name).costs.published]


def compare(jobs: Sequence[tuple[Job, float | None]]) -> list[Comparison]:
    """Compare a plan with each accelerator that has a published time for any of its jobs.

    Parameters
    ----------
    jobs
        Jobs with their price in the plan, None where machines have no price.
    """
    found = []
    for model in model_names():
        own = [(job, price) for job, price in jobs if job.model == model]
        costs = get_model(model).costs
        for device, source in {time.device: time.source for time in costs.published}.items():
            known = [
                (seconds, price)
                for job, price in own
                if (seconds := costs.published_s(job, device)) is not None
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
    """Return the sum, None where a price is missing."""
    total = 0.0
    for price in prices:
        if price is None:
            return None
        total += price
    return total
