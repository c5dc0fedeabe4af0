"""The depth of a network: its stacks of identical blocks, and a full pass from a shallow one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perfkit.errors import UserError
from perfkit.models.prepared import Prepared, PyTree
from perfkit.models.workload import Workload
from perfkit.records.depths import SHALLOW_DEPTH

SHALLOW_NOTICE = (
    "the shallow network: it has fewer of its identical blocks, so times are compared only with "
    "those of shallow networks, and the answer is no prediction"
)


@dataclass(frozen=True)
class Blocks:
    """Number of blocks of a stack at each depth.

    Attributes
    ----------
    shallow
        Blocks of the shallow network, at least 1.
    full
        Blocks of the full network.
    """

    shallow: int
    full: int


type Stacks = Mapping[str, Blocks]
"""Name of a stack -> its blocks."""


def full_pass_s(seconds: Mapping[str, float], stacks: Stacks) -> float:
    """Predict the time of a full pass from the parts of a shallow one.

    The time of a stack is proportional to its blocks; everything else runs as often as in the full
    network.

    Parameters
    ----------
    seconds
        Seconds of a shallow pass by stack, as :meth:`perfkit.models.base.Model.stack_of` attributes
        them. Names that are not in ``stacks`` are outside all stacks.
    stacks
        Blocks of each stack.

    Returns
    -------
    float
        Seconds of a full pass.
    """
    return sum(
        value * (stacks[name].full / stacks[name].shallow if name in stacks else 1.0)
        for name, value in seconds.items()
    )


def shallow_workload(workload: Workload) -> Workload:
    """Return the workload with the shallow network and a notice of it."""
    notices = tuple(notice for notice in workload.notices if notice != SHALLOW_NOTICE)
    return replace(workload, depth=SHALLOW_DEPTH, notices=(*notices, SHALLOW_NOTICE))


def without_files(prepared: Prepared) -> Prepared:
    """Return the prediction of a shallow network, which refuses to write files.

    A file would be taken for a prediction. ``write`` raises :class:`~perfkit.errors.UserError`.
    """

    def refuse(outputs: PyTree, folder: Path) -> Sequence[Path]:
        raise UserError(
            "the shallow network makes no prediction, so there are no files to write: run the "
            "workload at full depth"
        )

    return replace(prepared, write=refuse)
