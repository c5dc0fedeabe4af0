"""CPUs: how many a run may use, and which."""

from __future__ import annotations

import os
from collections.abc import Sequence

from perfkit.errors import UserError
from perfkit.knobs.knob import Host, Knob, Layer, Search
from perfkit.knobs.parsers import word_or_count

ALL_CPUS = "all"


def allowed_cpus() -> tuple[int, ...]:
    """The CPUs that this process may run on, in ascending order."""
    return tuple(sorted(os.sched_getaffinity(0)))


def affinity(value: str, allowed: Sequence[int] | None = None) -> tuple[int, ...]:
    """The CPUs that a value of the knob stands for: the first of those allowed.

    Parameters
    ----------
    value
        Value of the knob.
    allowed
        CPUs to choose from; by default those that this process may use.

    Raises
    ------
    UserError
        More CPUs are requested than this process may use.
    """
    chosen = allowed_cpus() if allowed is None else tuple(allowed)
    if value == ALL_CPUS:
        return chosen
    wanted = int(value)
    if wanted > len(chosen):
        raise UserError(
            f"{wanted} CPUs are asked for, but only {len(chosen)} are allowed here; set cpus to "
            f"{len(chosen)} or less"
        )
    return chosen[:wanted]


def environment(value: str) -> dict[str, str]:
    """Variables that size XLA's thread pool.

    The pool follows ``PJRT_NPROC``; ``OMP_NUM_THREADS`` and its like have no effect on it.
    """
    return {} if value == ALL_CPUS else {"PJRT_NPROC": value}


def _fewer_than_all(value: str, host: Host) -> bool:
    return int(value) < host.cpus


CPUS_KNOB = Knob(
    name="cpus",
    default=ALL_CPUS,
    layer=Layer.CPUS,
    exact=True,
    summary="CPUs of the run: affinity and XLA's thread pool together",
    parse=word_or_count(ALL_CPUS),
    search=Search(("1",), order=90, useful=_fewer_than_all),
)
