"""Ceilings of this machine: FLOP/s of a matrix product and bytes/s of a copy, through XLA.

Achieved rates are compared with them. They are measured in a child process and cached in the
user's cache folder by machine, build of JAX and allowed CPUs.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from perfkit.builds import installed_build
from perfkit.cache import Entry, load_value, store_value
from perfkit.errors import PerfkitError
from perfkit.knobs.configuration import STOCK
from perfkit.knobs.cpus import allowed_cpus
from perfkit.knobs.environment import child_environment
from perfkit.lifeline import run_tied
from perfkit.observers.load import BUSY_FRACTION, STEAL_FRACTION
from perfkit.observers.process_tree import machine_times
from perfkit.records.machine import fingerprint

TIMEOUT_S = 300.0
"""Largest duration of the measurement in seconds."""

FORMAT_VERSION = 1
"""Version of the cached values; raised with each change of the measured programs."""


@dataclass(frozen=True)
class Ceilings:
    """Rates of the fastest repeat of each program, with stock settings on all allowed CPUs.

    Attributes
    ----------
    float32_flops_per_s, bfloat16_flops_per_s
        FLOP/s of a matrix product by type of the operands.
    copy_bytes_per_s
        Bytes read and written per second by a copy.
    """

    float32_flops_per_s: float
    bfloat16_flops_per_s: float
    copy_bytes_per_s: float

    def flops_per_s(self, dtype: str) -> float:
        """FLOP/s of a matrix product for operands of an XLA type such as ``f32`` or ``bf16``."""
        return self.bfloat16_flops_per_s if dtype in ("bf16", "f16") else self.float32_flops_per_s


@dataclass(frozen=True)
class Measurement:
    """A measurement of the ceilings.

    Attributes
    ----------
    ceilings
        The highest rates so far.
    quiet
        Whether no other program disturbed the measurement.
    """

    ceilings: Ceilings
    quiet: bool


@dataclass(frozen=True)
class Circumstances:
    """What the ceilings depend on, and the cache distinguishes.

    Attributes
    ----------
    machine
        Digest of the machine's fingerprint.
    jax, jaxlib
        Installed builds.
    cpus
        Allowed CPUs. Their number is not enough: two sockets, or performance and efficiency cores,
        differ.
    """

    machine: str | None
    jax: str | None
    jaxlib: str | None
    cpus: tuple[int, ...]

    @classmethod
    def here(cls) -> Circumstances:
        """The circumstances of this process."""
        return cls(
            fingerprint().digest,
            installed_build("jax"),
            installed_build("jaxlib"),
            allowed_cpus(),
        )

    def entry(self) -> Entry:
        """The entry of the cache."""
        content = {"format": FORMAT_VERSION, **asdict(self)}
        return Entry("ceilings", "measurement of this machine's ceilings", content)


def measured_ceilings(
    *,
    again: bool = False,
    circumstances: Circumstances | None = None,
    measure: Callable[[], Measurement] | None = None,
) -> Ceilings:
    """The ceilings of this machine, from the cache or measured now (ten seconds on all CPUs).

    Rates that are measured while other programs run are too low. They are measured again at the
    next call, and the highest rates are kept.

    Parameters
    ----------
    again
        Whether to measure even if the cache holds the ceilings.
    circumstances
        What the cache distinguishes; the circumstances of this process by default.
    measure
        Measures the ceilings; :func:`measure_in_child` by default.

    Raises
    ------
    PerfkitError
        The child process that measures died, or took longer than :data:`TIMEOUT_S`.
    UserError
        The cache cannot be written.
    """
    entry = (circumstances or Circumstances.here()).entry()
    before = _cached(entry)
    if before is not None and before.quiet and not again:
        return before.ceilings
    measured = (measure or measure_in_child)()
    if before is not None and not again:
        measured = Measurement(_best(before.ceilings, measured.ceilings), measured.quiet)
    store_value(entry, asdict(measured))
    return measured.ceilings


def _cached(entry: Entry) -> Measurement | None:
    """The cached measurement; None if there is no usable one."""
    cached = load_value(entry)
    try:
        return None if cached is None else TypeAdapter(Measurement).validate_python(cached)
    except ValidationError:
        return None


def _best(one: Ceilings, other: Ceilings) -> Ceilings:
    pairs = zip(asdict(one).values(), asdict(other).values(), strict=True)
    return Ceilings(*(max(pair) for pair in pairs))


def measure_in_child() -> Measurement:
    """Measure the ceilings in a child process.

    Raises
    ------
    PerfkitError
        The child process died, or took longer than :data:`TIMEOUT_S`.
    """
    machine, own, begin_s = machine_times(), _children_cpu_s(), time.monotonic()
    try:
        completed = run_tied(
            [sys.executable, "-m", "perfkit.observers.roofline.ceiling_programs"],
            capture_output=True,
            text=True,
            env=child_environment(STOCK),
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        reason = f"the child process took longer than {TIMEOUT_S:g} s"
        raise PerfkitError(f"the ceilings could not be measured: {reason}") from error
    if completed.returncode != 0:
        reason = (completed.stderr.strip().splitlines() or ["the child process died"])[-1]
        raise PerfkitError(f"the ceilings could not be measured: {reason}")
    after = machine_times()
    other_s = after.busy_s - machine.busy_s - (_children_cpu_s() - own)
    whole_s = (time.monotonic() - begin_s) * (os.cpu_count() or 1)
    stolen_s = after.steal_s - machine.steal_s
    quiet = other_s < BUSY_FRACTION * whole_s and stolen_s < STEAL_FRACTION * whole_s
    return Measurement(Ceilings(**json.loads(completed.stdout.splitlines()[-1])), quiet)


def _children_cpu_s() -> float:
    """CPU seconds of all children that this process has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
