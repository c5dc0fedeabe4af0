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
    shared_processes
        Whether candidates are screened in processes that hold several programs. Observers need a
        process per trial.
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
    shared_processes: bool = True
    goal: Goal = field(default_factory=Goal)

    @cached_property
    def screened(self) -> Workload:
        """The workload that candidates are screened on: the shallow network if there is one."""
        return self.model.shallow(self.workload) or self.workload

    @cached_property
    def referenced(self) -> tuple[Workload, ...]:
        """The workloads whose answers are compared with one of the reference.

        The answer of a shallow network is compared with that of the reference at the same depth.
        """
        both = (self.workload, self.screened)
        return tuple({workload.digest: workload for workload in both}.values())

    @cached_property
    def study(self) -> str:
        """Digest of the study: the same workload on the same machine resumes it."""
        same = ["tune", self.workload.digest, setting_digest()]
        return short_digest(same)
