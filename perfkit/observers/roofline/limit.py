"""Which one thing limits a module, decided from measured quantities.

The time of all CPUs while a module runs is divided into: CPUs that idle while another works
(single-threaded part), CPUs that idle while none works (waiting), the kernel's share (page faults,
as that is what the kernel does for a program that computes), and the program's own work. The
largest share names the limit; the program's own work is limited by compute or bandwidth, whichever
comes closer to the ceiling that was measured on the machine (S. Williams, A. Waterman and
D. Patterson, "Roofline", CACM 52, 2009).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from perfkit.observers.roofline.ceilings import Ceilings
from perfkit.observers.trace.attribution import Tally


class Limit(StrEnum):
    """What there is too little of."""

    COMPUTE = "compute"
    BANDWIDTH = "bandwidth"
    SINGLE = "single-threaded part"
    FAULTS = "page faults"
    WAITING = "waiting"
    UNKNOWN = "unknown"


class ModuleSeen(BaseModel):
    """One module of the model in one traced pass.

    Attributes
    ----------
    share
        Of the pass.
    single, waiting, kernel, working
        Shares of the CPUs' time while the module ran; they add up to 1.
    compute, bandwidth
        Achieved rates as shares of the measured ceilings.
    dtype
        Of the operands of most of its products.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    seconds: float
    share: float
    flops: float
    bytes: float
    faults: int
    busy_cpus: float
    single: float
    waiting: float
    kernel: float
    working: float
    compute: float
    bandwidth: float
    dtype: str
    limit: Limit

    @property
    def flops_per_s(self) -> float:
        """Achieved FLOP/s."""
        return self.flops / self.seconds if self.seconds else 0.0

    @property
    def bytes_per_s(self) -> float:
        """Achieved bytes/s, each operand counted once."""
        return self.bytes / self.seconds if self.seconds else 0.0


def judge(name: str, tally: Tally, pass_s: float, cpus: int, ceilings: Ceilings) -> ModuleSeen:
    """Rates, shares and the limit of one module."""
    whole = tally.sampled_s * cpus
    single = tally.lone_idle_cpu_s / whole if whole else 0.0
    waiting = tally.all_idle_cpu_s / whole if whole else 0.0
    spent = tally.user_s + tally.system_s
    busy = tally.busy_cpu_s / whole if whole else 0.0
    kernel = busy * tally.system_s / spent if spent else 0.0
    dtype = max(tally.product_flops, key=lambda each: tally.product_flops[each], default="f32")
    compute = tally.flops / tally.seconds / ceilings.flops_per_s(dtype) if tally.seconds else 0.0
    bandwidth = tally.bytes / tally.seconds / ceilings.copy_bytes_per_s if tally.seconds else 0.0
    shares = {"single": single, "waiting": waiting, "kernel": kernel, "working": busy - kernel}
    return ModuleSeen(
        name=name,
        seconds=tally.seconds,
        share=tally.seconds / pass_s if pass_s else 0.0,
        flops=tally.flops,
        bytes=tally.bytes,
        faults=tally.faults,
        busy_cpus=busy * cpus,
        compute=compute,
        bandwidth=bandwidth,
        dtype=dtype,
        limit=_limit(shares, compute, bandwidth),
        **shares,
    )


def _limit(shares: Mapping[str, float], compute: float, bandwidth: float) -> Limit:
    if not any(shares.values()):
        return Limit.UNKNOWN
    largest = max(shares, key=lambda name: shares[name])
    if largest == "working":
        return Limit.COMPUTE if compute >= bandwidth else Limit.BANDWIDTH
    return {"single": Limit.SINGLE, "waiting": Limit.WAITING, "kernel": Limit.FAULTS}[largest]
