"""Summary of a profile in a few sentences: the costliest modules and their limits."""

from __future__ import annotations

import statistics

from perfkit.observers.cpu import CpuResult
from perfkit.observers.memory import MemoryResult
from perfkit.observers.memray_heap import HeapResult
from perfkit.observers.products.result import ProductsResult
from perfkit.observers.reading import found
from perfkit.observers.roofline.limit import Limit, ModuleResult
from perfkit.observers.trace.xla_trace import XlaResult
from perfkit.records.schema import Record
from perfkit.records.stages import StageName
from perfkit.units import GIGA, bytes_text, count_text, percent_text, seconds_text

COSTLIEST = 3
"""Modules that the summary names."""


def profile_summary(record: Record) -> list[str]:
    """Sentences of the summary, most important first."""
    return [
        *module_sentences(record),
        *product_sentences(record),
        *_cpu_sentences(record),
        *_memory_sentences(record),
    ]


def module_sentences(record: Record) -> list[str]:
    """One sentence per costliest module, with its limit and the measurements behind it."""
    seen = found(record, "xla", XlaResult)
    if seen is None:
        return []
    return [
        f"{number}. {module.name}: {percent_text(module.share)} of a pass "
        f"({seconds_text(module.seconds)}), limited by {limit_text(module, seen.cpus)}"
        for number, module in enumerate(seen.modules[:COSTLIEST], start=1)
    ]


def limit_text(module: ModuleResult, cpus: int) -> str:
    """Describe the limit of a module with the measurements that decided it.

    Parameters
    ----------
    module
        The module.
    cpus
        Number of CPUs of the machine.
    """
    reached = (
        f"{module.flops_per_s / GIGA:.0f} GFLOP/s is {percent_text(module.compute)} of the "
        f"machine's {module.dtype} matrix product, {module.bytes_per_s / GIGA:.1f} GB/s is "
        f"{percent_text(module.bandwidth)} of its copy bandwidth"
    )
    busy = f"{module.busy_cpus:.1f} of {cpus} CPUs busy"
    if module.limit is Limit.SINGLE:
        return f"{module.limit} ({busy}; {reached})"
    if module.limit is Limit.WAITING:
        idle = f"no CPU is busy {percent_text(module.waiting)} of the time"
        return f"{module.limit} ({idle}; {reached})"
    if module.limit is Limit.FAULTS:
        rate = module.faults / module.seconds if module.seconds else 0.0
        return (
            f"{module.limit} ({rate:,.0f} per second, the kernel takes "
            f"{percent_text(module.kernel)} of the CPU time; {busy}; {reached})"
        )
    return f"{module.limit} ({reached}; {busy})"


def product_sentences(record: Record) -> list[str]:
    """The work of all matrix products, and the floor that they set for the pass."""
    seen = found(record, "products", ProductsResult)
    if seen is None or not seen.shapes:
        return []
    libraries = "the faster of XLA and oneDNN" if seen.has_onednn else "XLA"
    pass_s = steady_s(record)
    sentence = (
        f"floor: the matrix products of a pass ({seen.flops / GIGA:,.0f} GFLOP in "
        f"{count_text(seen.shapes, 'shape')}) take at least {seconds_text(seen.floor_s)} in "
        f"{libraries}, each shape by itself"
    )
    if pass_s is None or not seen.floor_s:
        return [sentence]
    return [
        f"{sentence}; a pass takes {seconds_text(pass_s)}, so that other kernels for them make it "
        f"at most {max(1.0, pass_s / seen.floor_s):.2f} times as fast, and only if all else "
        "took no time"
    ]


def steady_s(record: Record) -> float | None:
    """Median wall seconds of the timed passes; None without one."""
    times = [stage.wall_s for stage in record.steady]
    return statistics.median(times) if times else None


def _cpu_sentences(record: Record) -> list[str]:
    seen = found(record, "cpu", CpuResult)
    if seen is None or StageName.STEADY not in seen.busy:
        return []
    shares = ", ".join(
        f"{count_text(count, 'CPU')} {percent_text(share)}"
        for count, share in enumerate(seen.busy[StageName.STEADY])
    )
    return [f"busy during steady passes: {shares} of the time"]


def _memory_sentences(record: Record) -> list[str]:
    parts = [f"{name} {bytes_text(size)}" for name, size in memory_peaks(record).items()]
    return [f"memory: {', '.join(parts)}"] if parts else []


def memory_peaks(record: Record) -> dict[str, int]:
    """Peak memory in bytes, by what it measures. Quantities without a measurement are left out."""
    peaks: dict[str, int] = {}
    memory, heap = found(record, "memory", MemoryResult), found(record, "memray", HeapResult)
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
