"""CPUs: how many a run may use, and which."""

from __future__ import annotations

import os

from perfkit.errors import UserError
from perfkit.knobs.knob import Knob, Layer

ALL_CPUS = "all"


def allowed_cpus() -> tuple[int, ...]:
    """The CPUs that this process may run on, in ascending order."""
    return tuple(sorted(os.sched_getaffinity(0)))


def affinity(value: str) -> tuple[int, ...]:
    """The CPUs that the knob's ``value`` stands for: the first so many of those allowed.

    Raises
    ------
    UserError
        More CPUs are asked for than this process is allowed.
    """
    allowed = allowed_cpus()
    if value == ALL_CPUS:
        return allowed
    wanted = int(value)
    if wanted > len(allowed):
        raise UserError(f"{wanted} CPUs are asked for, but only {len(allowed)} are allowed here")
    return allowed[:wanted]


def environment(value: str) -> dict[str, str]:
    """XLA's thread pool follows ``PJRT_NPROC``; ``OMP_NUM_THREADS`` and its like do nothing."""
    return {} if value == ALL_CPUS else {"PJRT_NPROC": value}


def _parse(value: str) -> str:
    if value == ALL_CPUS:
        return value
    if not value.isdecimal() or int(value) < 1:
        raise ValueError("it takes 'all' or a whole number, 1 or more")
    return str(int(value))


CPUS_KNOB = Knob(
    name="cpus",
    default=ALL_CPUS,
    values=(ALL_CPUS, "1"),
    layer=Layer.CPUS,
    exact=True,
    summary="CPUs of the run: affinity and XLA's thread pool together",
    parse=_parse,
)
