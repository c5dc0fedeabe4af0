"""What a page of a tuning needs and its records do not hold: the goal, and what was not tried."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError

from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.records.base import FrozenModel
from perfkit.records.bounded import Count
from perfkit.records.reason import fault_of
from perfkit.tuning.goals.constraints import AGREEMENTS, Constraints
from perfkit.tuning.goals.goal import MOST_SHARE, Goal
from perfkit.tuning.goals.objectives import (
    Cost,
    Latency,
    Memory,
    ObjectiveOptions,
    make_objective,
)
from perfkit.tuning.goals.prices import Prices

FILE_NAME = "study-{study}.json"
"""File name in the folder of the records, with the digest of the study."""

type Share = Annotated[float, Field(ge=0, le=MOST_SHARE)]
type Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class StoredPrices(FrozenModel):
    """Prices of an hour, see :class:`perfkit.tuning.goals.prices.Prices`.

    Attributes
    ----------
    node, cpu, gigabyte
        In any one currency.
    """

    node: Price = 0.0
    cpu: Price = 0.0
    gigabyte: Price = 0.0


class StoredGoal(FrozenModel):
    """A goal as JSON.

    Attributes
    ----------
    objective
        Name of the objective.
    slack, memory_exchange
        Shares of time, where the objective has them.
    prices
        Prices of an hour, where the objective has them.
    memory_bytes, agreement, preload
        Constraints, see :class:`perfkit.tuning.goals.constraints.Constraints`.
    pareto
        Whether the front of time and memory is kept.
    """

    objective: str
    slack: Share | None = None
    memory_exchange: Share | None = None
    prices: StoredPrices | None = None
    memory_bytes: Count | None = None
    agreement: Literal["float32", "bfloat16"] = "bfloat16"
    preload: bool = True
    pareto: bool = False

    @classmethod
    def of(cls, goal: Goal) -> Self:
        """The stored form of a goal."""
        objective, kept = goal.objective, goal.constraints
        prices = objective.prices if isinstance(objective, Cost) else None
        return cls.model_validate(
            {
                "objective": objective.name,
                "slack": objective.slack if isinstance(objective, Memory) else None,
                "memory_exchange": (
                    objective.memory_exchange if isinstance(objective, Latency) else None
                ),
                "prices": None if prices is None else vars(prices),
                "memory_bytes": kept.memory_bytes,
                "agreement": kept.agreement.label,
                "preload": kept.preload,
                "pareto": goal.pareto,
            }
        )

    def goal(self) -> Goal:
        """The goal.

        Raises
        ------
        UserError
            There is no such objective, or it lacks its prices.
        """
        prices = None if self.prices is None else Prices(**self.prices.model_dump())
        options = ObjectiveOptions(self.slack, self.memory_exchange, prices)
        constraints = Constraints(self.memory_bytes, AGREEMENTS[self.agreement], self.preload)
        return Goal(make_objective(self.objective, options), constraints, self.pareto)


class StudyNotes(FrozenModel):
    """Notes on a tuning.

    Attributes
    ----------
    format, version
        Identify the file.
    goal
        What is recommended.
    not_tried
        One sentence for each step that was left undone, with the reason.
    not_installed
        One sentence for each allocator that the machine lacks, with what to install.
    """

    format: Literal["perfkit-study-notes"] = "perfkit-study-notes"
    version: Literal[1] = 1
    goal: StoredGoal
    not_tried: tuple[str, ...] = ()
    not_installed: tuple[str, ...] = ()


def write_notes(folder: Path, study: str, notes: StudyNotes) -> None:
    """Write the notes of a study next to its records; earlier ones are replaced.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    path = folder / FILE_NAME.format(study=study)
    write_whole(path, notes.model_dump_json(indent=1) + "\n", "notes of the study")


def read_notes(folder: Path, study: str) -> StudyNotes | None:
    """The notes of a study; None where there are none, as after a sweep.

    Raises
    ------
    UserError
        The file cannot be read, or is damaged.
    """
    path = folder / FILE_NAME.format(study=study)
    try:
        return StudyNotes.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise UserError(
            f"{path} holds no notes of a study ({fault_of(error)}); without the file, the page "
            "ranks by latency"
        ) from error
