"""The plan of a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from perfkit.files import short_digest
from perfkit.knobs.configuration import Catalogue
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.machine import setting_digest
from perfkit.records.store import Store
from perfkit.tuning.goals.goal import Goal


@dataclass(frozen=True)
class StudyPlan:
    """The workload of a study and its limits.

    Attributes
    ----------
    model, catalogue
        The model, and the knobs that may be set for it.
    workload
        The workload, at the fidelity at which configurations are compared.
    store
        Store of the records. Configurations that it holds already are not measured again.
    budget_s
        Wall seconds from now.
    memory_bytes
        Memory for all trials that are alive side by side.
    extrapolate
        Whether to measure the parts of the model for an extrapolation to production fidelity.
    goal
        What is recommended.
    """

    model: Model
    catalogue: Catalogue
    workload: Workload
    store: Store
    budget_s: float
    memory_bytes: float
    extrapolate: bool = True
    goal: Goal = field(default_factory=Goal)

    @cached_property
    def study(self) -> str:
        """Digest of the study: the same workload on the same machine resumes it."""
        same = ["tune", self.workload.digest, setting_digest()]
        return short_digest(same)
