"""Other load on the machine during a trial, and when it makes the times untrustworthy."""

from __future__ import annotations

import os
from collections.abc import Callable

from perfkit.observers.process_tree import MachineTimes, machine_times
from perfkit.records.disturbances import Load
from perfkit.records.power import Throttling, on_battery, throttling
from perfkit.records.schema import Stage

BUSY_FRACTION = 0.05
STEAL_FRACTION = 0.02
QUOTA_FRACTION = 0.02
"""Fractions of the CPU time of all CPUs. Above these, other load, steal and waiting for a quota
cause a warning."""


class LoadMeter:
    """Adds up what slows a trial down during its stages, without the time between them.

    Parameters
    ----------
    read
        Reads the CPU seconds of the machine.
    cpus
        Number of CPUs of the machine; read from the kernel by default.
    read_throttling
        Reads what has held the CPUs back.
    on_battery
        Whether the machine runs on its battery now.
    """

    def __init__(
        self,
        read: Callable[[], MachineTimes] = machine_times,
        cpus: int | None = None,
        read_throttling: Callable[[], Throttling] = throttling,
        on_battery: Callable[[], bool] = on_battery,
    ) -> None:
        self._read, self._cpus = read, cpus or os.cpu_count() or 1
        self._read_throttling, self._reads_battery = read_throttling, on_battery
        self._load_average = os.getloadavg()[0]
        self._entered: tuple[MachineTimes, Throttling] | None = None
        self._steal_s = self._other_s = self._staged_s = 0.0
        self._throttled = Throttling()
        self._on_battery = False

    def enter(self) -> None:
        """Note the begin of a stage."""
        self._entered = self._read(), self._read_throttling()

    def leave(self, stage: Stage) -> None:
        """Add the load during the stage that has ended."""
        if self._entered is None:
            return
        now, (before, held) = self._read(), self._entered
        self._steal_s += now.steal_s - before.steal_s
        self._other_s += max(0.0, now.busy_s - before.busy_s - stage.cpu_s)
        self._staged_s += stage.wall_s
        self._throttled = self._throttled.plus(self._read_throttling().since(held))
        self._on_battery |= self._reads_battery()

    def load(self) -> Load | None:
        """Load as fractions of the CPU time of all stages; None if no stage has ended."""
        if not self._staged_s:
            return None
        cpu_time_s = self._staged_s * self._cpus
        return Load(
            load_average_before=self._load_average,
            steal_fraction=self._steal_s / cpu_time_s,
            other_cpu_fraction=self._other_s / cpu_time_s,
            hot=self._throttled.hot,
            quota_fraction=self._throttled.quota_s / cpu_time_s,
            on_battery=self._on_battery,
        )


def load_warnings(load: Load | None) -> list[str]:
    """One sentence for each kind of load that makes the times of a trial untrustworthy."""
    if load is None:
        return []
    warnings = []
    if load.other_cpu_fraction > BUSY_FRACTION:
        warnings.append(f"other programs used {load.other_cpu_fraction:.0%} of the CPUs")
    if load.steal_fraction > STEAL_FRACTION:
        warnings.append(f"the hypervisor took {load.steal_fraction:.0%} of the CPU time away")
    if load.quota_fraction > QUOTA_FRACTION:
        warnings.append(
            f"the CPU quota of the control group made the trial wait for {load.quota_fraction:.0%} "
            "of the CPU time"
        )
    if load.hot:
        warnings.append(f"CPUs were slowed down {load.hot} times because they were too hot")
    if load.on_battery:
        warnings.append("the machine ran on its battery, which slows CPUs down")
    return warnings
