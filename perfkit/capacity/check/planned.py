"""The plan that is checked: ``plan.json`` as ``perfkit plan`` left it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perfkit.capacity.laws.prediction import Range
from perfkit.capacity.queue.plan_files import PLAN_FILE, PLAN_VERSION
from perfkit.capacity.tables import first_sentence
from perfkit.errors import UserError
from perfkit.files import short_digest
from perfkit.input_files import MOST_BYTES_OF_A_QUEUE, read_bytes

MANY = 10**6
"""Degrees of freedom where a plan does not state them: Student's t is then normal."""

type _Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
type _Number = Annotated[int, Field(ge=1)]


class _Data(BaseModel):
    """Part of a plan. Keys that a check does not need are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Fitted(_Data):
    """Predictions of the fit alone, without corrections.

    Attributes
    ----------
    time_s, time_low_s, time_high_s
        Seconds, with their interval.
    memory_bytes, memory_low_bytes, memory_high_bytes
        Peak resident bytes, with their interval.
    time_freedom, memory_freedom
        Degrees of freedom of the deviations.
    """

    time_s: _Amount
    time_low_s: _Amount
    time_high_s: _Amount
    memory_bytes: _Amount
    memory_low_bytes: _Amount
    memory_high_bytes: _Amount
    time_freedom: _Number = MANY
    memory_freedom: _Number = MANY

    @property
    def time(self) -> Range:
        """Seconds, with their interval."""
        return Range(value=self.time_s, low=self.time_low_s, high=self.time_high_s)

    @property
    def memory(self) -> Range:
        """Bytes, with their interval."""
        return Range(
            value=self.memory_bytes, low=self.memory_low_bytes, high=self.memory_high_bytes
        )


class PlannedRow(Fitted):
    """A job of a plan.

    Attributes
    ----------
    name, model, size, preset
        Job, and label of its configuration.
    fidelity
        Value of each axis of fidelity; empty in plans of version 1.
    machine, node, instances, slot, cpus
        Kind of machine, number of the machine, number of shares and index of the share, CPUs.
    begin_s, end_s
        Schedule, in seconds from the start of the plan.
    msa_end_s
        End of the genetic search, None without one.
    array, task
        Name of the Slurm array, and number in it; None in plans of version 1.
    array_time_s, array_memory_bytes
        Limits that the array requests, None in plans of version 1.
    folder
        Name of the folder of its results, None in plans of version 1.
    fitted
        Predictions of the fit; those of the row where it has none of its own.
    """

    name: str
    model: str
    size: int
    preset: str
    fidelity: dict[str, int] = {}
    machine: str
    node: _Number
    instances: _Number
    slot: Annotated[int, Field(ge=0)] = 0
    cpus: _Number
    begin_s: _Amount
    end_s: _Amount
    msa_end_s: _Amount | None = None
    array: str | None = None
    task: _Number | None = None
    array_time_s: _Amount | None = None
    array_memory_bytes: _Amount | None = None
    folder: str | None = None
    fitted: Fitted | None = None

    @property
    def own(self) -> Fitted:
        """Predictions of the fit alone."""
        return self.fitted or self


class PlanFile(_Data):
    """A plan.

    Attributes
    ----------
    version
        Version of the file's layout.
    digest
        Digits that tell the plan from others.
    deadline_s
        Seconds in which the queue should end, None for no deadline.
    jobs
        Jobs in the order of their start.
    """

    version: Annotated[int, Field(ge=1, le=PLAN_VERSION)] = 1
    digest: str = ""
    deadline_s: _Amount | None = None
    jobs: Annotated[tuple[PlannedRow, ...], Field(min_length=1)]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the plan of a folder, or a file ``plan.json``.

        Raises
        ------
        UserError
            There is no plan, or the file is not one.
        """
        file = path / PLAN_FILE if path.is_dir() else path
        data = read_bytes(file, "plan", MOST_BYTES_OF_A_QUEUE)
        try:
            plan = cls.model_validate_json(data)
            for job in plan.jobs:
                # An interval that is no interval is noticed here, not in the middle of a check.
                for each in (job, job.own):
                    _ = each.time, each.memory
        except ValidationError as error:
            raise UserError(
                f"{file} is not a plan of 'perfkit plan': {first_sentence(error)}"
            ) from error
        if plan.digest:
            return plan
        names = [job.name for job in plan.jobs]
        return plan.model_copy(update={"digest": short_digest(names)})
