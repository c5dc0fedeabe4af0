"""What this machine can do at best: FLOP/s of a matrix product, bytes/s of a copy, through XLA.

Measured in a child process and kept in the user's cache folder by machine, build of JAX and
CPUs: they are the roof that achieved rates are held against.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from perfkit.builds import installed_build
from perfkit.cache import Entry, keep_value, kept_value
from perfkit.errors import PerfkitError
from perfkit.knobs.configuration import STOCK
from perfkit.knobs.cpus import allowed_cpus
from perfkit.knobs.environment import child_environment
from perfkit.observers.load import BUSY_FRACTION, STEAL_FRACTION
from perfkit.observers.process_tree import machine_times
from perfkit.records.machine import fingerprint

TIMEOUT_S = 300.0

FORMAT_VERSION = 1
"""Of what is kept; raised with each change of what the programs measure."""


@dataclass(frozen=True)
class Ceilings:
    """Rates of the best repeat of each program under stock settings on all allowed CPUs."""

    float32_flops_per_s: float
    bfloat16_flops_per_s: float
    copy_bytes_per_s: float
    """Bytes read plus bytes written, a second."""

    def flops_per_s(self, dtype: str) -> float:
        """The product's ceiling for operands of an XLA type such as ``f32`` or ``bf16``."""
        return self.bfloat16_flops_per_s if dtype in ("bf16", "f16") else self.float32_flops_per_s


@dataclass(frozen=True)
class _Kept:
    """What the cache holds: the best so far, and whether the machine was quiet for it."""

    ceilings: Ceilings
    quiet: bool


def measured_ceilings(*, again: bool = False) -> Ceilings:
    """This machine's ceilings, from the cache or measured now (about ten seconds of all CPUs).

    What was measured while other programs were at work is too low: it is measured again the next
    time, and the best of each figure is kept.

    Parameters
    ----------
    again
        Measure even where the cache holds them.

    Raises
    ------
    PerfkitError
        The child that measures died.
    UserError
        The cache cannot be written.
    """
    entry = _entry()
    before = _kept(entry)
    if before is not None and before.quiet and not again:
        return before.ceilings
    measured = _measure()
    if before is not None and not again:
        measured = _Kept(_best(before.ceilings, measured.ceilings), measured.quiet)
    keep_value(entry, asdict(measured))
    return measured.ceilings


def _entry() -> Entry:
    return Entry(
        "ceilings",
        "measurement of this machine's ceilings",
        {
            "format": FORMAT_VERSION,
            "machine": fingerprint().digest,
            "jax": installed_build("jax"),
            "jaxlib": installed_build("jaxlib"),
            # Two sockets, or performance and efficiency cores, differ at equal numbers of CPUs.
            "cpus": allowed_cpus(),
        },
    )


def _kept(entry: Entry) -> _Kept | None:
    """What is kept, None where there is nothing to use."""
    kept = kept_value(entry)
    try:
        return None if kept is None else TypeAdapter(_Kept).validate_python(kept)
    except ValidationError:
        return None


def _best(one: Ceilings, other: Ceilings) -> Ceilings:
    pairs = zip(asdict(one).values(), asdict(other).values(), strict=True)
    return Ceilings(*(max(pair) for pair in pairs))


def _measure() -> _Kept:
    machine, own, begin_s = machine_times(), _children_cpu_s(), time.monotonic()
    asked = subprocess.run(
        [sys.executable, "-m", "perfkit.observers.roofline.ceiling_programs"],
        capture_output=True,
        text=True,
        env=child_environment(STOCK),
        timeout=TIMEOUT_S,
        check=False,
    )
    if asked.returncode != 0:
        words = asked.stderr.strip().splitlines()
        raise PerfkitError(f"the ceilings could not be measured: {words[-1] if words else 'died'}")
    after = machine_times()
    other_s = after.busy_s - machine.busy_s - (_children_cpu_s() - own)
    whole_s = (time.monotonic() - begin_s) * (os.cpu_count() or 1)
    stolen_s = after.steal_s - machine.steal_s
    quiet = other_s < BUSY_FRACTION * whole_s and stolen_s < STEAL_FRACTION * whole_s
    return _Kept(Ceilings(**json.loads(asked.stdout.splitlines()[-1])), quiet)


def _children_cpu_s() -> float:
    """CPU seconds of all children that have been waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
