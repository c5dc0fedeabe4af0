"""The costs of GenCast: features and terms of its laws, its jobs, published times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from perfkit.errors import UserError
from perfkit.models.base import REST
from perfkit.models.costs import (
    CONSTANT,
    WARM_UP,
    CostModel,
    Feature,
    Features,
    Job,
    JobRow,
    Options,
    PublishedTime,
    Sizes,
    Terms,
)
from perfkit.models.gencast.inputs.sources import DEFAULT_RESOLUTION, OWN, mesh_for
from perfkit.models.gencast.knobs import settings_for
from perfkit.models.gencast.sphere.grid import regular_grid
from perfkit.models.gencast.task import STEP_HOURS
from perfkit.models.workload import FidelityAxis
from perfkit.records.stages import StageName
from perfkit.units import DAY_S, parse_duration, parse_number

NAME = "gencast"

STEPS_PER_DAY = 24 // STEP_HOURS

MOST_MEMBERS = 1_000_000
"""Largest number of members that a row or ``perfkit plan`` accepts."""

ROUNDING = 1e-6
"""How far a decimal number of days may be from a whole number of steps, in steps."""

FINEST_GRID = 0.01
"""Smallest grid spacing in degrees; that of the published models is 0.25."""

SOURCE = (
    "google-deepmind/graphcast, docs/cloud_vm_setup.md and README: minutes of one member, 30 steps "
    "of 12 hours, compilation left out"
)

_STEP_S = {
    "TPU v5p": {0.25: 8 * 60 / 30},
    "H100 80 GB": {0.25: 25 * 60 / 30},
    "TPU v5e": {1.0: 3 * 60 / 30},
}
"""Device -> grid spacing in degrees -> seconds of one step."""


def _decimal(text: object) -> object:
    """Turn a decimal comma, as spreadsheets write it between semicolons, into a point."""
    if isinstance(text, str) and "," in text and parse_number(text) is not None:
        return text.replace(",", ".")
    return text


def _days(text: object) -> object:
    """Turn a duration, or a plain number of days, into days."""
    if not isinstance(text, str):
        return text
    try:
        return parse_duration(text, bare_s=DAY_S) / DAY_S
    except UserError as error:
        raise ValueError(str(error)) from error


class _Row(JobRow):
    grid: Annotated[float, BeforeValidator(_decimal), Field(ge=FINEST_GRID, le=180)] | None = None
    region: str | None = None
    mesh: Annotated[int, Field(ge=0, le=7)] | None = None
    members: Annotated[int, Field(ge=1, le=MOST_MEMBERS)] | None = None
    days: Annotated[float, BeforeValidator(_days), Field(gt=0, le=100_000)] | None = None
    levels: Annotated[int, Field(ge=2, le=100_000)] | None = None

    @model_validator(mode="after")
    def _is_a_forecast(self) -> Self:
        if self.region not in (None, "global"):
            raise ValueError(
                f"the region is {self.region!r}, but GenCast predicts the whole globe: write "
                "global, or leave it empty and give grid in degrees"
            )
        if self.days is not None and round(self.days * STEPS_PER_DAY) < 1:
            raise ValueError(
                f"{self.days:g} days are less than a step of {STEP_HOURS} hours: give at least "
                f"{1 / STEPS_PER_DAY:g} days"
            )
        return self


class GenCastCosts(CostModel):
    """Costs of GenCast.

    Features are ``g``, the grid nodes; ``b``, the rows of a block, 0 where the grid is not cut;
    and ``m``, the mesh nodes.

    Parameters
    ----------
    axes
        Fidelity axes of the model.
    """

    features = (
        Feature("g", "the grids measured"),
        Feature("b", "the blocks measured"),
        Feature("m", "the mesh nodes measured"),
    )
    terms = Terms(
        time={
            # Encoder and decoder work on grid nodes and their edges, the transformer on mesh
            # nodes, its attention on pairs of them.
            "denoiser_call": (CONSTANT, "g", "m", "m^2"),
            # Spherical harmonics: a transform along longitudes, and one along latitudes per wave
            # number.
            "noise_set": (CONSTANT, "g", "g^1.5"),
            "step_setup": (CONSTANT, "g"),
            REST: (CONSTANT, "g"),
            StageName.PREPARE: (CONSTANT, "g", "m"),
            StageName.COMPILE: (CONSTANT, "g"),
            WARM_UP: (CONSTANT, "g"),
            StageName.CHECK: (CONSTANT, "g"),
        },
        other_time=(CONSTANT, "g"),
        # Activations of nodes, and the logits of attention.
        compiled_bytes=(CONSTANT, "g", "b", "m", "m^2"),
        overhead_bytes=(CONSTANT, "g"),
    )
    # Above 5 degrees the mesh has one split only, and the program needs 0.1 GB less outside its
    # buffers than at all other sizes.
    sizes = Sizes(
        fit="5,4,3,2.5,2,1.5,1",
        compiled="",
        calibration="4",
        feasibility=("10", "6", "4", "3", "2", "1.5", "1", "0.5", "0.25"),
        axis="grid spacing",
        mark="°",
        calibration_further="2",
        table=("1", "0.25"),
    )
    input_options = ("input", "resolution")
    # The steps of the rollout call one program.
    program_axes = ("levels",)
    what_if_axes: ClassVar[Mapping[str, int]] = {"members": MOST_MEMBERS}
    columns = tuple(name for name in _Row.model_fields if name not in JobRow.model_fields)
    input_columns = ("grid",)
    size_column = "grid"
    plan_columns: ClassVar[Mapping[str, str]] = {"members": "members", "forecast_steps": "steps"}
    published: ClassVar[Sequence[PublishedTime]] = tuple(
        PublishedTime(device, f"{degrees:g} degrees, one step", seconds, SOURCE)
        for device, table in _STEP_S.items()
        for degrees, seconds in table.items()
    )

    def __init__(self, axes: Sequence[FidelityAxis]) -> None:
        self.production = {axis.name: axis.production for axis in axes}

    def features_at(
        self, size: int, options: Options, fidelity: Mapping[str, int], settings: Mapping[str, str]
    ) -> dict[str, float]:
        """Return the nodes of grid and mesh, and the rows of a block of the grid."""
        resolution = float(options.get("resolution", DEFAULT_RESOLUTION))
        mesh = int(options.get("mesh", mesh_for(resolution)))
        return grid_features(size, mesh, settings)

    def resized(
        self, features: Features, size: float, settings: Mapping[str, str]
    ) -> dict[str, float]:
        """Return the features at ``size`` grid nodes on the same mesh."""
        mesh = round(math.log2((features["m"] - 2) / 10) / 2)
        return grid_features(round(size), mesh, settings)

    def refuse_unplanned(self, options: Options) -> None:
        """Refuse the published implementation, whose parts run a different number of times.

        Raises
        ------
        UserError
            The options ask for another engine than perfkit's own.
        """
        engine = options.get("engine", OWN)
        if engine != OWN:
            raise UserError(
                f"plans count the calls of perfkit's own implementation, not those of {engine!r}: "
                "measure without --engine"
            )

    def calls(self, fidelity: Mapping[str, int]) -> int:
        """Return the number of steps of all members."""
        return fidelity["steps"] * fidelity["members"]

    def job(self, row: Mapping[str, str], folder: Path, origin: str) -> Job:
        """Return the forecast of a row."""
        given = _Row.model_validate(row)
        degrees = DEFAULT_RESOLUTION if given.grid is None else given.grid
        lat, lon = regular_grid(degrees)
        steps = None if given.days is None else round(given.days * STEPS_PER_DAY)
        chosen = {"members": given.members, "levels": given.levels, "steps": steps}
        fidelity = {**self.production, **{axis: n for axis, n in chosen.items() if n is not None}}
        mesh = mesh_for(degrees) if given.mesh is None else given.mesh
        return Job(
            name=given.name,
            model=NAME,
            size=len(lat) * len(lon),
            fidelity=fidelity,
            options={"resolution": f"{degrees:g}", "mesh": str(mesh)},
            origin=origin,
            notices=_rounding_notices(given.days, fidelity["steps"]),
        )

    def published_s(self, job: Job, device: str) -> float | None:
        """Return the published seconds of all steps of a job's grid."""
        step_s = _STEP_S[device].get(float(job.options["resolution"]))
        return None if step_s is None else step_s * self.calls(job.fidelity)


def grid_features(grid_nodes: int, mesh: int, settings: Mapping[str, str]) -> dict[str, float]:
    """Return the features of a grid under the model's own knobs.

    Parameters
    ----------
    grid_nodes
        Nodes of the grid.
    mesh
        Refinements of the icosahedron; ``m`` is the number of nodes of the finest mesh.
    settings
        Settings of the configuration; ``grid_block`` cuts the grid into equal blocks.
    """
    most = settings_for(settings).grid_block
    block = math.ceil(grid_nodes / math.ceil(grid_nodes / most)) if most else 0
    mesh_nodes = 10 * 4**mesh + 2
    return {"g": float(grid_nodes), "b": float(block), "m": float(mesh_nodes)}


def _rounding_notices(days: float | None, steps: int) -> tuple[str, ...]:
    if days is None or abs(days * STEPS_PER_DAY - steps) <= ROUNDING:
        return ()
    return (
        f"{days:g} days are not a whole number of steps of {STEP_HOURS} hours: "
        f"{steps} steps are planned",
    )
