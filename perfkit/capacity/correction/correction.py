"""The correction of a plan: scores of finished jobs, as ``perfkit plan check`` saves them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError

from perfkit.capacity.bounds import FileData, Real
from perfkit.capacity.tables import first_sentence
from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.input_files import MOST_BYTES_OF_A_QUEUE, read_bytes

CORRECTION_VERSION = 1

BEYOND_LIMIT = 1.0
"""Half-widths that are added to the score of a job that a limit ended: it needed more than the
limit, by an unknown amount."""


class FinishedJob(FileData):
    """Scores of a job; see :func:`perfkit.capacity.correction.predictive.score`.

    Attributes
    ----------
    job
        Identity: digest of the plan, and name of the job.
    model, preset, machine
        Model, label of the preset, and kind of machine.
    time, memory
        Scores of time and memory, None where unknown.
    time_is_limit, memory_is_limit
        Whether a limit of time or memory ended the job, so that it needed more.
    """

    job: str
    model: str
    preset: str
    machine: str
    time: Real | None = None
    memory: Real | None = None
    time_is_limit: bool = False
    memory_is_limit: bool = False


class Correction(FileData):
    """Scores of finished jobs, by which ``perfkit plan --correction`` corrects predictions.

    Attributes
    ----------
    version
        Version of the file's layout.
    created
        Time of the last check, ISO 8601.
    jobs
        Finished jobs of all checks.
    """

    version: Annotated[int, Field(strict=True, ge=1, le=CORRECTION_VERSION)] = CORRECTION_VERSION
    created: str = ""
    jobs: tuple[FinishedJob, ...] = ()

    def time_scores(self, model: str, preset: str, machine: str) -> tuple[float, ...]:
        """Return the scores of the times of a preset on a kind of machine, ascending."""
        own = (job for job in self.jobs if (job.model, job.preset) == (model, preset))
        return _scores((job.time, job.time_is_limit) for job in own if job.machine == machine)

    def memory_scores(self, model: str, preset: str) -> tuple[float, ...]:
        """Return the scores of the memory of a preset, ascending. It is the same on all kinds of
        machines."""
        own = (job for job in self.jobs if (job.model, job.preset) == (model, preset))
        return _scores((job.memory, job.memory_is_limit) for job in own)

    def joined(self, later: Sequence[FinishedJob]) -> Self:
        """Return the correction with further jobs; a job that it holds already is replaced."""
        jobs = {job.job: job for job in (*self.jobs, *later)}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return self.model_copy(update={"created": now, "jobs": tuple(jobs.values())})

    def save(self, path: Path) -> None:
        """Write the correction to a JSON file, which is replaced if it exists.

        Raises
        ------
        UserError
            The file cannot be written.
        """
        write_whole(path, self.model_dump_json(indent=1) + "\n", "correction")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a correction from a JSON file.

        Raises
        ------
        UserError
            The file cannot be read, or is not a correction.
        """
        content = read_bytes(path, "correction", MOST_BYTES_OF_A_QUEUE)
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise UserError(
                f"{path} is not a correction of 'perfkit plan check': {first_sentence(error)}"
            ) from error


def _scores(found: Iterable[tuple[float | None, bool]]) -> tuple[float, ...]:
    return tuple(
        sorted(
            value + (BEYOND_LIMIT if is_limit else 0.0)
            for value, is_limit in found
            if value is not None
        )
    )
