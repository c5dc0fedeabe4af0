"""The plan of a shared study: the arguments of the call, and the units of work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from perfkit.errors import UserError
from perfkit.files import short_digest, write_whole
from perfkit.records.reason import fault_of

PLAN_NAME = "shared-study.json"

LEASE_S = 120.0
"""Default of :attr:`SharedPlan.lease_s`: twice as long as NFS clients cache attributes."""

MOST_LOST = 5
"""Default of :attr:`SharedPlan.most_lost`."""

BUDGET = "budget"
"""Argument of growing studies that may differ when they are continued."""

type Key = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
"""Digest of a unit, which is safe in file names."""


class PlanModel(BaseModel):
    """An immutable model that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Unit(PlanModel):
    """A unit of work: trials that one worker runs in turns.

    Attributes
    ----------
    key
        Digest of what is measured; equal on all nodes.
    label
        Short description.
    detail
        What a worker needs to know to run the unit; None where the plan says it. Units with a
        detail are not in the plan: workers find them as they go.
    """

    key: Key
    label: str
    detail: JsonValue = None


class SharedPlan(PlanModel):
    """What the workers of a shared study do.

    Attributes
    ----------
    version
        Version of the format.
    kind
        Name of the call, e.g. ``sweep``.
    arguments
        Arguments of the call. Each worker checks them again and makes its own objects of them.
    folder
        Folder that relative paths among the arguments start from.
    units
        The units, in the order in which they are begun.
    lease_s
        Seconds without a sign of life after which a unit is taken from its worker.
    most_lost
        Number of lost workers after which a unit is given up.
    grows
        Whether workers find further units as they go, and finish those of the plan last.
    workers
        Number of workers that were asked for. Those of a growing study look for as many units.
    """

    version: Annotated[int, Field(ge=1, le=1)] = 1
    kind: str
    arguments: dict[str, JsonValue]
    folder: str
    units: tuple[Unit, ...]
    lease_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = LEASE_S
    most_lost: Annotated[int, Field(ge=1)] = MOST_LOST
    grows: bool = False
    workers: Annotated[int, Field(ge=1)] = 1

    @property
    def study(self) -> str:
        """Digest of the study, which its records carry; equal on all nodes."""
        return short_digest([self.kind, self.arguments])

    @property
    def continued(self) -> str:
        """Digest of the study without its budget: a growing study continues with another one."""
        rest = {name: each for name, each in self.arguments.items() if name != BUDGET}
        return short_digest([self.kind, rest])


def write_plan(folder: Path, plan: SharedPlan) -> None:
    """Write the plan of a shared study, or keep the equal one that the folder holds.

    A growing study whose plan differs in its budget only is continued with the new budget.

    Raises
    ------
    UserError
        The folder holds the plan of another study, or cannot be written.
    """
    path = folder / PLAN_NAME
    if path.exists():
        known = read_plan(folder)
        if (known.study, known.units) == (plan.study, plan.units):
            return
        if not (plan.grows and known.continued == plan.continued):
            raise UserError(
                f"{folder} holds another shared study ({known.kind} of {len(known.units)} units): "
                "name another folder with --out"
            )
    write_whole(path, plan.model_dump_json(indent=1) + "\n", "plan of the study")


def read_plan(folder: Path) -> SharedPlan:
    """Read the plan of a shared study.

    Raises
    ------
    UserError
        There is no plan, or it cannot be read.
    """
    path = folder / PLAN_NAME
    try:
        return SharedPlan.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise UserError(
            f"{folder} is no shared study: it has no {PLAN_NAME}; name the folder that was given "
            "with --out"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError, ValidationError) as error:
        raise UserError(f"{path} is not the plan of a study ({fault_of(error)})") from error
