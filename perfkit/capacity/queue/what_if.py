"""Changes to a whole queue: another fidelity or size of every job that has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from perfkit.capacity.queue.jobs import sized_job
from perfkit.errors import UserError, unknown_name
from perfkit.models import get_model, model_names
from perfkit.models.costs import Job
from perfkit.units import cut


@dataclass(frozen=True)
class WhatIf:
    """A change to every job of a queue that it applies to.

    Attributes
    ----------
    fidelity
        Fidelity axis to its new value, for the jobs of models that let it be changed
        (:attr:`perfkit.models.costs.CostModel.what_if_axes`).
    size
        New size of the jobs of :attr:`model`, as a user writes it; None for no change.
    model
        Name of the model whose jobs get another size.
    """

    fidelity: Mapping[str, int] = field(default_factory=dict)
    size: str | None = None
    model: str = ""

    def applied(self, job: Job) -> Job:
        """Return the changed job.

        Raises
        ------
        UserError
            The size is impossible.
        """
        own = get_model(job.model).costs.what_if_axes
        changed = {axis: value for axis, value in self.fidelity.items() if axis in own}
        job = dataclasses.replace(job, fidelity={**job.fidelity, **changed})
        if self.size is None or job.model != self.model:
            return job
        sized = sized_job(job.model, self.size, job.name)
        return dataclasses.replace(
            job, size=sized.size, options=sized.options, details=sized.details
        )

    @property
    def text(self) -> str:
        """Description such as ``members 50``, empty without a change."""
        changes = [*self.fidelity.items(), *([("size", self.size)] if self.size else [])]
        return ", ".join(f"{name} {value}" for name, value in changes)


@dataclass(frozen=True)
class ChangeableAxis:
    """A fidelity axis that can be changed for a whole queue.

    Attributes
    ----------
    models
        Names of the models that have it.
    largest
        Largest value.
    """

    models: tuple[str, ...]
    largest: int


def changeable_axes() -> dict[str, ChangeableAxis]:
    """Return the fidelity axes that can be changed for a whole queue, by name."""
    found: dict[str, ChangeableAxis] = {}
    for model in model_names():
        for axis, largest in get_model(model).costs.what_if_axes.items():
            known = found.get(axis, ChangeableAxis((), largest))
            models = (*known.models, model)
            found[axis] = ChangeableAxis(models, min(largest, known.largest))
    return found


def what_if(fidelity: Mapping[str, int | None], size: str | None, model: str) -> WhatIf:
    """Check a change to a queue.

    Parameters
    ----------
    fidelity
        Fidelity axis to its new value, None for no change.
    size
        New size of the jobs of ``model``, None for no change.
    model
        Name of the model whose jobs get another size.

    Raises
    ------
    UserError
        An axis is unknown, or a value or size is impossible.
    """
    axes = changeable_axes()
    for axis, value in fidelity.items():
        if axis not in axes:
            raise unknown_name("axis", axis, axes)
        if value is not None and not 1 <= value <= axes[axis].largest:
            raise UserError(f"--{axis} takes 1 or more, up to {axes[axis].largest}, not {value}")
    if size is not None:
        if "," in size:
            raise UserError(f"--size takes one size with --jobs, not {cut(size)!r}")
        # An impossible size is reported before the queue is read.
        sized_job(model, size, "what-if")
    chosen = {axis: value for axis, value in fidelity.items() if value is not None}
    return WhatIf(chosen, size, model)
