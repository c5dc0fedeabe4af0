"""The files that `asv run` writes, as pydantic models: version 2 of asv's format.

asv's own reader accepts any content and fails later. These models refuse a damaged file as soon as
it is read.
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
"""asv's ``Results.api_version``. ``asv update`` converts older files."""

BENCHMARKS_FILE = "benchmarks.json"

MOST_COMBINATIONS = 100_000
"""Most combinations of parameters of one benchmark. A file that claims more is damaged."""

LAST_MOMENT_MS = 253_402_300_799_000
"""End of the year 9999 in milliseconds since 1970, the last date that Python can represent."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Described(_File):
    """Description of a benchmark in ``benchmarks.json``.

    Attributes
    ----------
    unit
        Unit of its values; empty if unknown.
    """

    unit: str = ""


class Measured(_File):
    """Results of one benchmark. Each column has one element per combination of parameters.

    Attributes
    ----------
    result
        Values in the benchmark's unit. None for a failure of all combinations or of one, NaN for
        a combination that was skipped.
    params
        For each parameter, the ``repr`` of its values.
    version
        Version of the benchmark's code.
    samples
        Seconds of every repeat; None if they were not stored.
    stats_ci_99_a, stats_ci_99_b
        Ends of asv's 99 % interval; infinite if there were too few samples.
    """

    result: list[float | None] | None
    params: list[list[str]]
    version: str | None = None
    samples: list[list[Distance] | None] | None = None
    stats_ci_99_a: list[float | None] | None = None
    stats_ci_99_b: list[float | None] | None = None

    @property
    def count(self) -> int:
        """Number of combinations of parameters."""
        return math.prod(map(len, self.params))

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if self.count > MOST_COMBINATIONS:
            raise ValueError(
                f"{self.count} combinations of parameters; at most {MOST_COMBINATIONS}"
            )
        columns = (self.result, self.samples, self.stats_ci_99_a, self.stats_ci_99_b)
        for column in columns:
            if column is not None and len(column) != self.count:
                raise ValueError(
                    f"{len(column)} values for {self.count} combinations of parameters"
                )
        return self


class ResultFile(_File):
    """One result file: the results of a commit on one machine in one environment.

    Attributes
    ----------
    version
        Version of the file format.
    commit_hash
        Hash of the commit.
    date
        Date of the commit, milliseconds since 1970.
    env_name
        asv's name of the environment.
    params
        Properties of the machine and of the environment.
    results
        Results by benchmark.
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
        """Turn rows, whose trailing nulls asv leaves out, into dictionaries by column name."""
        if not isinstance(data, dict):
            return data
        columns, rows = data.get("result_columns"), data.get("results")
        if not (isinstance(columns, list) and all(isinstance(name, str) for name in columns)):
            raise ValueError("result_columns is not a list of names")
        if not isinstance(rows, dict) or not all(isinstance(row, list) for row in rows.values()):
            raise ValueError("results is not a table of benchmarks")
        named = {name: dict(zip(columns, row, strict=False)) for name, row in rows.items()}
        return data | {"results": named}

    @model_validator(mode="after")
    def _has_machine(self) -> Self:
        if not isinstance(self.params.get("machine"), str):
            raise ValueError("params does not name a machine")
        return self


def read_file(path: Path) -> ResultFile:
    """Read the result file at ``path``.

    Raises
    ------
    UserError
        The file cannot be read, or it is not a result file of asv.
    """
    try:
        return ResultFile.model_validate(_json(path))
    except (OSError, ValueError, RecursionError) as error:
        reason = fault_of(error)
        raise UserError(f"{path} cannot be read as a result file of asv: {reason}") from error


def read_described(path: Path) -> tuple[dict[str, Described], list[str]]:
    """Read the descriptions of benchmarks from a ``benchmarks.json``.

    Returns
    -------
    described : dict of str to Described
        Descriptions by name of the benchmark.
    warnings : list of str
        One sentence per benchmark whose description cannot be read.

    Raises
    ------
    UserError
        The file cannot be read at all.
    """
    try:
        data = _json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read ({fault_of(error)}), so the units of all benchmarks are unknown"
        ) from error
    if not isinstance(data, dict):
        raise UserError(
            f"{path} does not describe benchmarks, so the units of all benchmarks are unknown"
        )
    described, warnings = {}, []
    for name, value in data.items():
        if name == "version":
            continue
        try:
            described[name] = Described.model_validate(value)
        except ValidationError as error:
            warnings.append(
                f"{path}, {name}: {fault_of(error)}; its unit is unknown, so it is not judged"
            )
    return described, warnings


def _json(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))
