"""Whether a value of a knob can be set on a machine, and whether it is worth trying there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from perfkit.knobs.allocators import ALLOCATOR_KNOB, not_installed
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.knobs.knob import Host, Knob, Layer
from perfkit.records.machine import INSTRUCTION_SETS


def why_not_here(knob: Knob, value: str, host: Host) -> str | None:
    """Why a machine cannot use a value: a clause without a full stop; None where it can.

    Parameters
    ----------
    knob
        The knob.
    value
        Its canonical value.
    host
        The machine.
    """
    if value == knob.default:
        return None
    if knob.name == ALLOCATOR_KNOB.name:
        return None if value in host.allocators else not_installed(value)
    if knob.name == CPUS_KNOB.name:
        return _why_not_cpus(int(value), host)
    reason = knob.why_not(value, host)
    if reason is not None:
        return reason
    search = knob.search
    if search is None or value not in search.values or search.useful(value, host):
        return None
    enabling = [
        name
        for name in INSTRUCTION_SETS
        if search.useful(
            value, dataclasses.replace(host, instruction_sets=host.instruction_sets | {name})
        )
    ]
    needed = f" without {' or '.join(enabling)}" if enabling else ""
    return f"it makes no difference on this CPU{needed}"


def _why_not_cpus(wanted: int, host: Host) -> str | None:
    if wanted < host.cpus:
        return None
    count = f"this process may use {host.cpus} CPU{'' if host.cpus == 1 else 's'}"
    return f"{count}, as by default" if wanted == host.cpus else f"{count}, not {wanted}"


def is_tried(
    knob: Knob, value: str, host: Host, matters: Callable[[str, str], bool] | None = None
) -> bool:
    """Return whether a search tries a value of its own accord.

    Parameters
    ----------
    knob
        The knob.
    value
        Canonical value.
    host
        The machine.
    matters
        Whether a value of one of the model's own knobs can make a difference to the input, by name
        and value, see :meth:`perfkit.models.base.Model.worth_trying`; None if all can.
    """
    if knob.search is None or value not in knob.search.values:
        return False
    if why_not_here(knob, value, host) is not None:
        return False
    return knob.layer is not Layer.MODEL or matters is None or matters(knob.name, value)
