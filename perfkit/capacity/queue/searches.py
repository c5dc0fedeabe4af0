"""The genetic search before a prediction: on which share of a machine it runs, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.capacity.queue.estimate import instance_counts
from perfkit.capacity.queue.machines import Machine
from perfkit.capacity.queue.pack import Placement, Share
from perfkit.errors import UserError
from perfkit.models.costs import Search
from perfkit.units import bytes_text, count_text, seconds_text


@dataclass(frozen=True)
class PlannedSearch:
    """A genetic search with its place in the plan.

    Attributes
    ----------
    search
        The search, as its job states it.
    machine
        Kind of machine.
    placement
        Machine, share and times.
    """

    search: Search
    machine: Machine
    placement: Placement

    @property
    def cpus(self) -> int:
        """Number of CPUs of its share, at least those that the job states."""
        return self.machine.cores // self.placement.instances


def search_shares(search: Search, machines: Sequence[Machine]) -> tuple[tuple[Share, ...], ...]:
    """Return for each kind of machine the smallest share that a search fits on.

    The stated hours are taken for every kind of machine.

    Parameters
    ----------
    search
        The search.
    machines
        Kinds of machines.

    Raises
    ------
    UserError
        It fits on no machine.
    """
    found = tuple(_shares(search, machine) for machine in machines)
    if any(found):
        return found
    memory = "" if search.memory_bytes is None else f" and {bytes_text(search.memory_bytes)}"
    raise UserError(
        f"its search of {seconds_text(search.seconds)} on {count_text(search.cpus, 'CPU')}{memory} "
        "fits on no machine: change msa_hours, msa_cpus or msa_memory"
    )


def _shares(search: Search, machine: Machine) -> tuple[Share, ...]:
    if machine.time_limit_s is not None and search.seconds > machine.time_limit_s:
        return ()
    needed = search.memory_bytes or 0
    counts = [
        count
        for count in instance_counts(machine)
        if machine.cores // count >= search.cpus and machine.memory_bytes / count >= needed
    ]
    return (Share(counts[-1], search.seconds),) if counts else ()
