"""Numbers that files may hold: kinds and ranges that pydantic checks where they are read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MOST_CPUS = 16_384
"""Of one machine; the largest that are sold have some 2,000."""

MOST_MACHINES = 100_000
"""Of one kind."""

MOST_PASSES = 10_000
"""Timed passes, or trials, of one size."""

LARGEST = 1e18
"""Of coefficients and rates; products of several stay far below the largest double."""

type Real = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e60, le=1e60)]
"""A number, neither a truth value nor text, neither NaN nor infinite. A law's spread is in squares
of its unit: more than 1e18 for bytes."""

type NonNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=LARGEST)]

type Finite = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
"""What is computed from the others, without their upper bound."""

type Positive = Annotated[
    float, Field(strict=True, allow_inf_nan=False, ge=1 / LARGEST, le=LARGEST)
]

type Cpus = Annotated[int, Field(strict=True, ge=1, le=MOST_CPUS)]

type Count = Annotated[int, Field(strict=True, ge=0, le=10**9)]

type Bytes = Annotated[int, Field(strict=True, ge=0, le=10**18)]
