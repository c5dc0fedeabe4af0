"""The places by name. A further one is a module, and a line here."""

from __future__ import annotations

from collections.abc import Callable

from perfkit.cluster.local_place import LocalPlace
from perfkit.cluster.place import Place
from perfkit.cluster.slurm_place import SLURM, SlurmPlace
from perfkit.errors import unknown_name

LOCAL = "local"

PLACES: dict[str, Callable[[], Place]] = {
    LOCAL: LocalPlace,
    SLURM: SlurmPlace,
}
"""What makes each place."""


def make_place(name: str) -> Place:
    """Make the place of a name.

    Raises
    ------
    UserError
        There is no such place.
    """
    if name not in PLACES:
        raise unknown_name("place", name, PLACES)
    return PLACES[name]()
