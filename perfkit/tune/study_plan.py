"""What a tuning is given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from perfkit.files import short_digest
from perfkit.knobs.configuration import Catalogue
from perfkit.models.base import Model, Workload
from perfkit.records.machine import setting_digest
from perfkit.records.store import Store


@dataclass(frozen=True)
class StudyPlan:
    """What a tuning is given.

    Parameters
    ----------
    model, catalogue
        The model and the knobs that may be set for it.
    workload
        At the fidelity that configurations are compared at.
    store
        Where records go; what it holds of the same study already is not measured again.
    budget_s
        Wall seconds from now.
    memory_bytes
        What trials that are alive side by side may hold together.
    extrapolate
        Whether to measure the parts for an extrapolation to production fidelity.
    """

    model: Model
    catalogue: Catalogue
    workload: Workload
    store: Store
    budget_s: float
    memory_bytes: float
    extrapolate: bool = True

    @cached_property
    def study(self) -> str:
        """Digest of the study: the same command on the same machine resumes it."""
        same = ["tune", self.workload.digest, setting_digest()]
        return short_digest(same)
