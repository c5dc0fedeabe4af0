"""What disturbed a trial: passes that were dropped, and other load on the machine."""

from __future__ import annotations

from perfkit.records.base import FrozenModel
from perfkit.records.bounded import Bounded, Count, Finite, Seconds


class DisturbedPass(FrozenModel):
    """A timed pass that was disturbed from outside, dropped and repeated.

    Attributes
    ----------
    round
        Round of the interleaving.
    wall_s
        Wall seconds.
    reason
        What disturbed the pass.
    """

    round: Bounded | None
    wall_s: Seconds
    reason: str


class Load(FrozenModel):
    """Other load on the machine during the stages of a trial.

    Attributes
    ----------
    load_average_before
        Load average over one minute at the start of the trial.
    steal_fraction
        CPU time that a hypervisor took away, as a fraction of the CPU time of all CPUs.
    other_cpu_fraction
        CPU time of all programs except the trial, as a fraction of the CPU time of all CPUs.
    hot
        How often the kernel counted that CPUs were slowed down because they were too hot.
    quota_fraction
        CPU time for which the CPU quota of a control group made the trial wait, as a fraction of
        the CPU time of all CPUs.
    on_battery
        Whether the machine ran on its battery at any time.
    """

    load_average_before: Finite
    steal_fraction: Finite
    other_cpu_fraction: Finite
    hot: Count = 0
    quota_fraction: Finite = 0.0
    on_battery: bool = False
