"""Why a value of a knob cannot be set, or makes no difference, on a machine."""

from __future__ import annotations

import dataclasses

from perfkit.knobs.allocators import ALLOCATOR_KNOB, not_installed
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.knobs.knob import Host, Knob
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
