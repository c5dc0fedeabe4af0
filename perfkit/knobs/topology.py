"""How the CPUs of a machine lie together: NUMA nodes and cores, and equal shares of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError
from perfkit.knobs.cpus import allowed_cpus

SYSTEM = Path("/sys/devices/system")
"""Folder in which Linux describes nodes and CPUs (sysfs-devices-node, sysfs-devices-system-cpu)."""


MOST_DIGITS = 6
"""Longest number of instances that is read."""


@dataclass(frozen=True, order=True)
class Place:
    """A logical CPU. The order of places keeps nodes together, and the threads of a core.

    Attributes
    ----------
    node
        Number of its NUMA node; memory of another node is slower.
    core
        Smallest number among the logical CPUs of its core.
    cpu
        Its own number.
    """

    node: int
    core: int
    cpu: int


def places(cpus: Sequence[int] | None = None, system: Path = SYSTEM) -> tuple[Place, ...]:
    """The places of CPUs, in order.

    A CPU that the kernel does not describe counts as a core of node 0.

    Parameters
    ----------
    cpus
        Numbers of the CPUs; by default those that this process may use.
    system
        Folder with the kernel's description.
    """
    nodes = {
        cpu: int(folder.name.removeprefix("node"))
        for folder in system.glob("node/node[0-9]*")
        for cpu in _listed(folder / "cpulist")
    }
    return tuple(
        sorted(
            Place(
                nodes.get(cpu, 0),
                min(_listed(system / f"cpu/cpu{cpu}/topology/thread_siblings_list"), default=cpu),
                cpu,
            )
            for cpu in (allowed_cpus() if cpus is None else cpus)
        )
    )


def shares(where: Sequence[Place], count: int) -> tuple[tuple[int, ...], ...]:
    """CPUs of each of ``count`` equal shares; CPUs that are left over belong to none.

    Parameters
    ----------
    where
        Places in order, see :func:`places`.
    count
        Number of shares.

    Raises
    ------
    UserError
        There are fewer CPUs than shares.
    """
    size = len(where) // count
    if size == 0:
        raise UserError(
            f"{count} instances need a CPU each, but only {len(where)} are allowed here; "
            f"use {len(where)} instances or fewer"
        )
    return pieces(where, size)[:count]


def pieces(where: Sequence[Place], size: int) -> tuple[tuple[int, ...], ...]:
    """CPUs of neighbouring places, ``size`` at a time; CPUs that are left over belong to none."""
    return tuple(
        tuple(sorted(place.cpu for place in where[first : first + size]))
        for first in range(0, len(where) - size + 1, size)
    )


def sensible_counts(where: Sequence[Place]) -> tuple[int, ...]:
    """Numbers of equal shares that use every CPU and divide no NUMA node unevenly, ascending.

    Each share then lies within one node, or consists of whole nodes.
    """
    return tuple(
        count
        for count in range(1, len(where) + 1)
        if len(where) % count == 0
        and all(_keeps_nodes(share, where) for share in shares(where, count))
    )


@dataclass(frozen=True)
class InstanceNumber:
    """One of several instances that run side by side.

    Attributes
    ----------
    number
        Number of the instance, from 1.
    count
        Number of all instances.
    """

    number: int
    count: int

    @property
    def cpus(self) -> tuple[int, ...]:
        """Its share of the CPUs that this process may use.

        Raises
        ------
        UserError
            There are fewer CPUs than instances.
        """
        return shares(places(), self.count)[self.number - 1]


def parse_instance(text: str) -> InstanceNumber:
    """Parse ``i/k``, the i-th of k instances.

    Raises
    ------
    UserError
        The text has another form, or ``i`` is not between 1 and ``k``.
    """
    found = re.fullmatch(rf"\s*(\d{{1,{MOST_DIGITS}}})/(\d{{1,{MOST_DIGITS}}})\s*", text, re.ASCII)
    if found is None:
        raise UserError(
            f"{text[:40]!r} is not an instance: write its number and the number of all, e.g. 1/2"
        )
    number, count = int(found[1]), int(found[2])
    if not 1 <= number <= count:
        raise UserError(f"there is no instance {number} of {count}: count from 1 to {count}")
    return InstanceNumber(number, count)


def _keeps_nodes(share: Sequence[int], where: Sequence[Place]) -> bool:
    nodes = {place.node for place in where if place.cpu in share}
    whole = {place.cpu for place in where if place.node in nodes}
    return len(nodes) == 1 or whole == set(share)


def _listed(path: Path) -> list[int]:
    """The numbers in a file such as ``0-3,8``; empty where it cannot be read."""
    try:
        text = path.read_text().strip()
    except OSError:
        return []
    numbers: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
