"""Types and ranges of data in files, which pydantic checks when it reads them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOST_CPUS = 16_384
"""CPUs of a machine; the largest that are sold have about 2,000."""

MOST_MACHINES = 100_000
"""Machines of one kind."""

MOST_PASSES = 10_000
"""Timed passes, or trials, per size."""

LARGEST = 1e18
"""Coefficients and rates; products of several stay far below the largest double."""


class FileData(BaseModel):
    """Base class of data in a file: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


type Real = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e60, le=1e60)]
"""A finite number, not a Boolean or text. The spread of a law is in squares of its unit, which
exceeds 1e18 for bytes."""

type NonNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=LARGEST)]

type Finite = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
"""A number computed from others, without their upper bound."""

type Positive = Annotated[
    float, Field(strict=True, allow_inf_nan=False, ge=1 / LARGEST, le=LARGEST)
]

type Cpus = Annotated[int, Field(strict=True, ge=1, le=MOST_CPUS)]

type Count = Annotated[int, Field(strict=True, ge=0, le=10**9)]

type Bytes = Annotated[int, Field(strict=True, ge=0, le=10**18)]
