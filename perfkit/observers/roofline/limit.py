"""The limit of a module, decided from measured quantities.

The time of all CPUs while a module runs is divided into four shares: CPUs that idle while another
works (single-threaded part), CPUs that idle while none works (waiting), work of the kernel (page
faults, as the kernel does little else for a program that computes), and work of the program. The
largest share decides the limit. The work of the program is limited by compute or by bandwidth,
whichever rate is closer to the ceiling of the machine (S. Williams, A. Waterman and D. Patterson,
"Roofline", CACM 52, 2009).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from perfkit.observers.roofline.ceilings import Ceilings
from perfkit.observers.trace.attribution import Tally


class Limit(StrEnum):
    """The resource that limits a module."""

    COMPUTE = "compute"
    BANDWIDTH = "bandwidth"
    SINGLE = "single-threaded part"
    FAULTS = "page faults"
    WAITING = "waiting"
    UNKNOWN = "unknown"


class ModuleResult(BaseModel):
    """One module of the model in one traced pass.

    Attributes
    ----------
    name
        Name of the module.
    seconds
        Wall seconds.
    share
        Share of the pass, between 0 and 1.
    flops, bytes
        Floating-point operations, and bytes that were read and written.
    faults
        Page faults.
    busy_cpus
        Mean number of busy CPUs.
    single, waiting, kernel, working
        Shares of the time of all CPUs while the module ran; they add up to 1.
    compute, bandwidth
        Achieved rates as fractions of the measured ceilings.
    dtype
        Element type of the operands in most FLOPs of matrix products.
    limit
        The limiting resource.
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
        """Achieved bytes/s, with each operand read once."""
        return self.bytes / self.seconds if self.seconds else 0.0


def judge(name: str, tally: Tally, pass_s: float, cpus: int, ceilings: Ceilings) -> ModuleResult:
    """Rates, shares and limit of one module.

    Parameters
    ----------
    name
        Name of the module.
    tally
        Time, work and samples of the module.
    pass_s
        Seconds of the whole pass.
    cpus
        Number of CPUs that the process may use.
    ceilings
        Highest rates of the machine.
    """
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
    return ModuleResult(
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
