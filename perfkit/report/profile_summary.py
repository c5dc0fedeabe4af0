"""The few sentences that a profile comes to: what costs most, and what limits it."""

from __future__ import annotations

from perfkit.observers.cpu import CpuSeen
from perfkit.observers.memory import MemorySeen
from perfkit.observers.memray_heap import HeapSeen
from perfkit.observers.reading import found
from perfkit.observers.roofline.limit import Limit, ModuleSeen
from perfkit.observers.trace.xla_trace import XlaSeen
from perfkit.records.schema import Record
from perfkit.records.stages import StageName
from perfkit.units import bytes_text, percent_text, seconds_text

COSTLIEST = 3
GIGA = 1e9


def profile_summary(record: Record) -> list[str]:
    """One sentence a thing that a reader should know, most important first."""
    return [*module_sentences(record), *_cpu_sentences(record), *_memory_sentences(record)]


def module_sentences(record: Record) -> list[str]:
    """The modules that cost most, each with its limit and the numbers that say so."""
    seen = found(record, "xla", XlaSeen)
    if seen is None:
        return []
    return [
        f"{number}. {module.name}: {percent_text(module.share)} of a pass "
        f"({seconds_text(module.seconds)}), limited by {limit_text(module, seen.cpus)}"
        for number, module in enumerate(seen.modules[:COSTLIEST], start=1)
    ]


def limit_text(module: ModuleSeen, cpus: int) -> str:
    """The limit with the measured quantities that decided it."""
    reached = (
        f"{module.flops_per_s / GIGA:.0f} GFLOP/s is {percent_text(module.compute)} of this "
        f"machine's {module.dtype} matrix product, {module.bytes_per_s / GIGA:.1f} GB/s "
        f"{percent_text(module.bandwidth)} of its copy"
    )
    busy = f"{module.busy_cpus:.1f} of {cpus} CPUs busy"
    if module.limit is Limit.SINGLE:
        return f"{module.limit} ({busy}; {reached})"
    if module.limit is Limit.WAITING:
        return f"{module.limit} (no CPU busy {percent_text(module.waiting)} of the time; {reached})"
    if module.limit is Limit.FAULTS:
        rate = module.faults / module.seconds if module.seconds else 0.0
        return (
            f"{module.limit} ({rate:,.0f} a second, the kernel has "
            f"{percent_text(module.kernel)} of the CPUs' time; {busy}; {reached})"
        )
    return f"{module.limit} ({reached}; {busy})"


def _cpu_sentences(record: Record) -> list[str]:
    seen = found(record, "cpu", CpuSeen)
    if seen is None or StageName.STEADY not in seen.busy:
        return []
    shares = ", ".join(
        f"{count} {percent_text(share)}" for count, share in enumerate(seen.busy[StageName.STEADY])
    )
    return [f"CPUs busy at once while predicting: {shares} of the time"]


def _memory_sentences(record: Record) -> list[str]:
    parts = [f"{name} {bytes_text(size)}" for name, size in memory_peaks(record).items()]
    return [f"memory: {', '.join(parts)}"] if parts else []


def memory_peaks(record: Record) -> dict[str, int]:
    """The same memory as different observers see it, in bytes; what was not seen is left out."""
    peaks: dict[str, int] = {}
    memory, heap = found(record, "memory", MemorySeen), found(record, "memray", HeapSeen)
    compilation = record.compilation
    if compilation is not None:
        peaks["XLA temporary"] = compilation.temporary_bytes
        peaks["XLA arguments and outputs"] = compilation.argument_bytes + compilation.output_bytes
    if heap is not None:
        peaks["heap peak (memray)"] = heap.peak_bytes
    if memory is not None:
        peaks["resident peak"] = memory.peak_rss
        if memory.pss:
            peaks["proportional peak"] = max(memory.pss)
    return peaks
