"""The files that `asv run` keeps, as pydantic models: version 2 of asv's format.

asv's own reader takes whatever the file holds and fails later; here a damaged file is found when it
is read.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from perfkit.errors import UserError
from perfkit.records.bounded import Distance
from perfkit.records.reason import fault_of

RESULTS_VERSION = 2
"""asv's ``Results.api_version``; ``asv update`` turns older files into it."""

BENCHMARKS_FILE = "benchmarks.json"

MOST_COMBINATIONS = 100_000
"""Of the parameters of one benchmark; nobody waits for more."""

LAST_MOMENT_MS = 253_402_300_799_000
"""The end of the year 9999, after which there are no dates."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Described(_File):
    """What ``benchmarks.json`` says of a benchmark."""

    unit: str = ""


class Measured(_File):
    """The columns of one benchmark: an element for each combination of parameters.

    Attributes
    ----------
    result
        Values; None for a failure (of all, or of one), NaN for what was skipped.
    params
        Values of each parameter, as Python writes them.
    version
        Of the benchmark's code.
    samples
        Seconds of each repeat; None where none were kept.
    stats_ci_99_a, stats_ci_99_b
        Ends of asv's 99 % interval; infinite where there were too few samples.
    """

    result: list[float | None] | None
    params: list[list[str]]
    version: str | None = None
    samples: list[list[Distance] | None] | None = None
    stats_ci_99_a: list[float | None] | None = None
    stats_ci_99_b: list[float | None] | None = None

    @property
    def count(self) -> int:
        """Combinations of parameters."""
        return math.prod(map(len, self.params))

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if self.count > MOST_COMBINATIONS:
            raise ValueError(f"{self.count} combinations of parameters")
        columns = (self.result, self.samples, self.stats_ci_99_a, self.stats_ci_99_b)
        for column in columns:
            if column is not None and len(column) != self.count:
                raise ValueError(
                    f"{len(column)} values for {self.count} combinations of parameters"
                )
        return self


class ResultFile(_File):
    """One result file: a commit on a machine in an environment.

    Attributes
    ----------
    commit_hash, date
        The commit and its moment, milliseconds since 1970.
    env_name
        asv's name of the environment.
    params
        Facts of the machine and the environment.
    results
        By benchmark.
    """

    version: Annotated[int, Field(ge=RESULTS_VERSION, le=RESULTS_VERSION)]
    commit_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{6,64}$")]
    date: Annotated[int, Field(ge=0, le=LAST_MOMENT_MS)]
    env_name: str
    params: dict[str, str | float | None]
    results: dict[str, Measured]

    @model_validator(mode="before")
    @classmethod
    def _named_columns(cls, data: object) -> object:
        """Each benchmark's row, shortened by trailing nulls, under the names of its columns."""
        if not isinstance(data, dict):
            return data
        columns, rows = data.get("result_columns"), data.get("results")
        if not (isinstance(columns, list) and all(isinstance(one, str) for one in columns)):
            raise ValueError("result_columns is no list of names")
        if not isinstance(rows, dict) or not all(isinstance(row, list) for row in rows.values()):
            raise ValueError("results is no table of benchmarks")
        named = {name: dict(zip(columns, row, strict=False)) for name, row in rows.items()}
        return data | {"results": named}

    @model_validator(mode="after")
    def _has_machine(self) -> Self:
        if not isinstance(self.params.get("machine"), str):
            raise ValueError("params names no machine")
        return self


def read_file(path: Path) -> ResultFile:
    """The result file at ``path``.

    Raises
    ------
    UserError
        It cannot be read as one.
    """
    try:
        return ResultFile.model_validate(_json(path))
    except (OSError, ValueError, RecursionError) as error:
        reason = fault_of(error)
        raise UserError(f"{path} is no result of asv that can be read: {reason}") from error


def read_described(path: Path) -> tuple[dict[str, Described], list[str]]:
    """What a ``benchmarks.json`` says, and a warning for each benchmark that cannot be read.

    Raises
    ------
    UserError
        Nothing of it can be read.
    """
    try:
        data = _json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({fault_of(error)}): no unit is known") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} describes no benchmarks: no unit is known")
    described, warnings = {}, []
    for name, value in data.items():
        if name == "version":
            continue
        try:
            described[name] = Described.model_validate(value)
        except ValidationError as error:
            warnings.append(
                f"{path}, {name}: {fault_of(error)}; its unit is unknown and it is not judged"
            )
    return described, warnings


def _json(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))
