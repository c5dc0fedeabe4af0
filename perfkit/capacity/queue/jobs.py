"""The queue: what is to be predicted, from a CSV, a folder of inputs, or a size alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from perfkit.capacity.laws.terms import af3_features, gencast_features
from perfkit.capacity.tables import first_sentence, read_csv
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.models.gencast.inputs.sources import mesh_for
from perfkit.models.gencast.sphere.grid import regular_grid
from perfkit.models.gencast.task import STEP_HOURS
from perfkit.units import DAY_S, cut, parse_duration, parse_number

STEPS_A_DAY = 24 // STEP_HOURS

MOST_TOKENS = 100_000
"""Twenty times AlphaFold 3's largest bucket; what such a job takes is beyond every machine."""

MOST_SEEDS = 100_000

MOST_SAMPLES = 10_000

MOST_MEMBERS = 1_000_000

ROUNDING = 1e-6
"""Of a step, which days with a decimal point may be off."""

FINEST_GRID = 0.01
"""Degrees; the published models know a quarter of a degree."""

type _Count = Annotated[int, Field(ge=1, le=1_000_000)]


def _decimal(text: object) -> object:
    """A decimal comma as a point, as spreadsheets have it where semicolons separate."""
    if isinstance(text, str) and "," in text and parse_number(text) is not None:
        return text.replace(",", ".")
    return text


def _days(text: object) -> object:
    """Days of a duration, or of a number alone."""
    if not isinstance(text, str):
        return text
    try:
        return parse_duration(text, bare_s=DAY_S) / DAY_S
    except UserError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True)
class Job:
    """One prediction of the queue.

    Parameters
    ----------
    name
        Unique in the queue.
    model
        ``af3`` or ``gencast``.
    size
        Tokens before padding, or grid nodes.
    fidelity
        All axes of the model.
    options
        How ``perfkit run`` is told the input.
    mesh
        Refinements of GenCast's mesh, 0 for AlphaFold 3.
    origin
        Where it stands, for messages: file, or file and row.
    seeds_named
        By the input itself.
    notices
        What a reader must know.
    document
        The fold input as JSON, where the row holds the sequence; empty otherwise.
    """

    name: str
    model: str
    size: int
    fidelity: Mapping[str, int]
    options: Mapping[str, str]
    mesh: int
    origin: str
    seeds_named: int = 1
    notices: tuple[str, ...] = field(default=(), compare=False)
    document: str = ""

    @property
    def calls(self) -> int:
        """Calls of the compiled function: seeds, or steps of all members."""
        if self.model == "af3":
            return self.fidelity["seeds"]
        return self.fidelity["steps"] * self.fidelity["members"]

    def counts(self) -> dict[str, int]:
        """How often each part runs, and what belongs to none of them."""
        return {**get_model(self.model).part_counts(self.fidelity), "rest": self.calls}

    def features(self, settings: Mapping[str, str]) -> dict[str, float]:
        """What its cost depends on under the model's own knobs.

        Raises
        ------
        UserError
            No bucket holds its tokens.
        """
        if self.model == "af3":
            return af3_features(self.size, self.fidelity["samples"], settings)
        return gencast_features(self.size, self.mesh, settings)


@dataclass(frozen=True)
class Reject:
    """A job or row that cannot be planned, and why."""

    name: str
    origin: str
    reason: str

    @property
    def sentence(self) -> str:
        """Where, which and why."""
        return f"{self.origin}: {self.reason}"


class _Row(BaseModel):
    """One row of the CSV; numbers arrive as text."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=1000)]
    model: Literal["af3", "gencast"] | None = None
    tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    file: str | None = None
    sequence: Annotated[str, Field(max_length=2 * MOST_TOKENS)] | None = None
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] | None = None
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] | None = None
    recycles: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    steps: _Count | None = None
    grid: Annotated[float, BeforeValidator(_decimal), Field(ge=FINEST_GRID, le=180)] | None = None
    region: str | None = None
    mesh: Annotated[int, Field(ge=0, le=7)] | None = None
    members: Annotated[int, Field(ge=1, le=MOST_MEMBERS)] | None = None
    days: Annotated[float, BeforeValidator(_days), Field(gt=0, le=100_000)] | None = None
    levels: Annotated[int, Field(ge=2, le=100_000)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        protein = [key for key in _AF3_COLUMNS if getattr(self, key) is not None]
        weather = [key for key in _GENCAST_COLUMNS if getattr(self, key) is not None]
        if protein and weather:
            raise ValueError(f"{protein[0]} is AlphaFold 3's and {weather[0]} GenCast's: keep one")
        inputs = [key for key in _INPUT_COLUMNS if getattr(self, key) is not None]
        if not weather and self.model != "gencast" and len(inputs) != 1:
            found = f", but has {' and '.join(inputs)}" if inputs else ""
            raise ValueError(
                "it needs either tokens or file or sequence (AlphaFold 3), or a grid "
                f"(GenCast){found}"
            )
        if self.region not in (None, "global"):
            raise ValueError(
                f"the region is {self.region!r}, but GenCast predicts the whole globe: write "
                "global, or leave it away and give grid in degrees"
            )
        if self.days is not None and round(self.days * STEPS_A_DAY) < 1:
            raise ValueError(f"{self.days:g} days are less than a step of {STEP_HOURS} hours")
        return self


_INPUT_COLUMNS = ("tokens", "file", "sequence")
_AF3_COLUMNS = (*_INPUT_COLUMNS, "seeds", "samples", "recycles", "steps")
_GENCAST_COLUMNS = ("grid", "region", "mesh", "members", "days", "levels")
COLUMNS = tuple(_Row.model_fields)
"""The columns that a CSV of jobs may have."""

ALIASES = {"id": "name"}
"""ColabFold's CSV has the columns id and sequence, chains joined by a colon."""


@dataclass(frozen=True)
class WhatIf:
    """What every job of the queue that has it is changed to.

    Parameters
    ----------
    size
        Tokens of AlphaFold 3 jobs.
    """

    members: int | None = None
    seeds: int | None = None
    size: int | None = None

    def applied(self, job: Job) -> Job:
        """The job as it would be."""
        changed = dict(job.fidelity)
        for axis, value in (("members", self.members), ("seeds", self.seeds)):
            if value is not None and axis in changed:
                changed[axis] = value
        if self.size is not None and job.model == "af3":
            size, options = self.size, {"size": str(self.size)}
            return dataclasses.replace(
                job, fidelity=changed, size=size, options=options, document="", seeds_named=1
            )
        return dataclasses.replace(job, fidelity=changed)

    @property
    def text(self) -> str:
        """E.g. ``members 50``, empty where nothing is asked."""
        told = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return ", ".join(f"{name} {value}" for name, value in told if value is not None)


def production(model: str, **chosen: int | None) -> dict[str, int]:
    """The model's own fidelity, with what is ``chosen`` put in; one seed where the input tells."""
    fidelity = {axis.name: axis.production for axis in get_model(model).fidelity_axes}
    if model == "af3":
        fidelity["seeds"] = 1
    return fidelity | {name: value for name, value in chosen.items() if value is not None}


def read_jobs(path: Path) -> tuple[list[Job], list[Reject]]:
    """The jobs of a CSV, or of a folder of fold inputs and FASTA files.

    Returns
    -------
    jobs, rejects
        Rows that are impossible are rejects, in the order of the file.

    Raises
    ------
    UserError
        Nothing at all can be read: no file, an unknown column, no rows.
    """
    if path.is_dir():
        from perfkit.capacity.queue.inputs import read_folder

        return read_folder(path)
    jobs: list[Job] = []
    rejects: list[Reject] = []
    for row in read_csv(path, COLUMNS, ALIASES):
        origin = f"{path}, row {row.number}"
        name = row.values.get("name", f"row {row.number}")
        if row.problem is not None:
            rejects.append(Reject(name, origin, row.problem))
            continue
        try:
            jobs.append(_job(_Row.model_validate(row.values), path, origin))
        except ValidationError as error:
            rejects.append(Reject(name, origin, first_sentence(error)))
        except UserError as error:
            rejects.append(Reject(name, origin, str(error)))
    return without_repeats(jobs, rejects)


def without_repeats(
    jobs: Sequence[Job], rejects: Sequence[Reject]
) -> tuple[list[Job], list[Reject]]:
    """The jobs, of equal names only the first; the others are rejects.

    Half a surrogate pair, which JSON and file names may hold and no output takes, is escaped.
    """
    first: dict[str, Job] = {}
    further = [
        Reject(_encodable(each.name), _encodable(each.origin), _encodable(each.reason))
        for each in rejects
    ]
    for given in jobs:
        job = dataclasses.replace(
            given, name=_encodable(given.name), origin=_encodable(given.origin)
        )
        kept = first.setdefault(job.name, job)
        if kept is not job:
            reason = f"the name {job.name!r} is taken by {kept.origin}"
            further.append(Reject(job.name, job.origin, reason))
    return list(first.values()), further


def _encodable(text: str) -> str:
    """The text with halves of surrogate pairs, which no file takes, as their escapes."""
    return text.encode(errors="backslashreplace").decode()


def _job(row: _Row, path: Path, origin: str) -> Job:
    if row.model == "gencast" or any(getattr(row, key) is not None for key in _GENCAST_COLUMNS):
        return _forecast(row, origin)
    fidelity = production(
        "af3", seeds=row.seeds, samples=row.samples, recycles=row.recycles, steps=row.steps
    )
    if row.tokens is not None:
        options = {"size": str(row.tokens)}
        return Job(row.name, "af3", row.tokens, fidelity, options, 0, origin)
    from perfkit.capacity.queue.inputs import read_input
    from perfkit.capacity.queue.sequences import read_sequence

    if row.sequence is not None:
        document, given = read_sequence(row.name, row.sequence)
        return Job(
            name=row.name,
            model="af3",
            size=given.tokens,
            fidelity=fidelity,
            options={},
            mesh=0,
            origin=origin,
            notices=given.notices,
            document=document,
        )
    file = path.parent / str(row.file)
    try:
        given = read_input(file)
    except OSError as error:
        raise UserError(f"{cut(str(file))} cannot be read ({error.strerror})") from error
    if row.seeds is None:
        fidelity["seeds"] = given.seeds
    return Job(
        name=row.name,
        model="af3",
        size=given.tokens,
        fidelity=fidelity,
        options={"input": str(file.resolve())},
        mesh=0,
        origin=origin,
        seeds_named=given.seeds,
        notices=given.notices,
    )


def _forecast(row: _Row, origin: str) -> Job:
    degrees = 1.0 if row.grid is None else row.grid
    lat, lon = regular_grid(degrees)
    fidelity = production(
        "gencast",
        members=row.members,
        levels=row.levels,
        steps=None if row.days is None else round(row.days * STEPS_A_DAY),
    )
    notices: tuple[str, ...] = ()
    if row.days is not None and abs(row.days * STEPS_A_DAY - fidelity["steps"]) > ROUNDING:
        notices = (
            f"{row.days:g} days are no whole number of steps of {STEP_HOURS} hours: "
            f"{fidelity['steps']} steps are planned",
        )
    mesh = mesh_for(degrees) if row.mesh is None else row.mesh
    options = {"resolution": f"{degrees:g}", "mesh": str(mesh)}
    return Job(
        row.name, "gencast", len(lat) * len(lon), fidelity, options, mesh, origin, notices=notices
    )


def sized_jobs(model: str, sizes: str) -> list[Job]:
    """Jobs of the sizes alone: tokens, or degrees, with commas.

    Raises
    ------
    UserError
        A size is impossible.
    """
    column = {"af3": "tokens", "gencast": "grid"}[model]
    jobs = []
    for word in dict.fromkeys(each.strip() for each in sizes.split(",")):
        try:
            name = f"{model}-{cut(word)}"
            row = _Row.model_validate({"name": name, "model": model, column: word})
        except ValidationError as error:
            raise UserError(f"--size: {first_sentence(error)}") from error
        jobs.append(_job(row, Path(), "--size"))
    return jobs
