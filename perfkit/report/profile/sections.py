"""The sections of a profile, by observer. A section without its observations is empty."""

from __future__ import annotations

from perfkit.observers.cpu import CpuResult
from perfkit.observers.memray_heap import HeapResult
from perfkit.observers.perf_events import PerfResult
from perfkit.observers.products.result import ProductsResult
from perfkit.observers.py_spy import PythonResult
from perfkit.observers.reading import found
from perfkit.observers.trace.xla_trace import XlaResult
from perfkit.records.schema import Record
from perfkit.report.figures.memory_kinds import (
    memory_kinds_figure,
    memory_kinds_info,
    peaks_figure,
    peaks_info,
)
from perfkit.report.figures.pass_time import kinds_info, modules_info, pass_figure
from perfkit.report.figures.roofline import roofline_figure, roofline_info
from perfkit.report.figures.utilisation import (
    busy_figure,
    busy_info,
    utilisation_figure,
    utilisation_info,
)
from perfkit.report.page import PageFigure, PageSection
from perfkit.report.plain_table import PlainTable
from perfkit.report.profile.summary import steady_s
from perfkit.report.profile.tables import (
    floor_table,
    module_table,
    operation_table,
    product_table,
)
from perfkit.units import bytes_text, percent_text, seconds_text

TABLE_MODULES = 25
"""Modules in the table, longest time first."""


def observed_sections(record: Record) -> tuple[PageSection, ...]:
    """All sections, those without observations included."""
    return tuple(
        make(record)
        for make in (
            xla_section,
            products_section,
            cpu_section,
            memory_section,
            python_section,
            perf_section,
        )
    )


def xla_section(record: Record) -> PageSection:
    """Time of one traced pass by module and by kind of operation, and the roofline."""
    seen = found(record, "xla", XlaResult)
    if seen is None:
        return PageSection("Time of one pass")
    figures = [
        PageFigure(
            "Time by module of the model",
            "Colours show what limits a module, by the rule above.",
            pass_figure(modules_info(seen)),
        ),
        PageFigure(
            "Time by kind of operation",
            "An operation with a matrix product counts as dot, even if others are fused into it.",
            pass_figure(kinds_info(seen)),
        ),
    ]
    roofline = roofline_info(seen)
    if roofline is not None:
        caption = (
            "Lines are the measured ceilings of this machine. Dots are modules; their size is the "
            "share of the pass."
        )
        figures.append(PageFigure("Roofline", caption, roofline_figure(roofline)))
    return PageSection(
        "Time of one pass",
        lead="While a module runs, the CPUs do the program's own work, run the kernel, idle while "
        "one thread is busy, or wait. The largest share is the limit. Own work is limited by "
        "compute or bandwidth, whichever is closer to its ceiling.",
        figures=tuple(figures),
        plain=(module_table(seen, TABLE_MODULES), operation_table(seen)),
    )


def products_section(record: Record) -> PageSection:
    """Matrix products by shape, against the ceilings of the machine."""
    seen = found(record, "products", ProductsResult)
    if seen is None:
        return PageSection("Matrix products")
    return PageSection(
        "Matrix products",
        lead="Time in the pass is that of the operations that compute a product, with everything "
        "that XLA fused into them. Time alone is the same number of products with nothing else "
        "running: the fastest call, and the median in brackets. Ceilings are the machine's largest "
        "product of the type and its copy. Letters are the roles of the axes: b batch, k "
        "contracted, m and n the rest. A number after a module is that of further modules.",
        plain=(product_table(seen), floor_table(seen, steady_s(record))),
    )


def cpu_section(record: Record) -> PageSection:
    """CPUs in use, and busy CPUs by stage."""
    figures = []
    use, busy = utilisation_info(record), busy_info(record)
    if use is not None:
        caption = "Sampled from outside the process. The dotted line is all CPUs of the machine."
        figures.append(PageFigure("CPUs in use over time", caption, utilisation_figure(use)))
    if busy is not None:
        caption = "Number of threads that are running or ready to run, per sample."
        figures.append(PageFigure("Busy CPUs by stage", caption, busy_figure(busy)))
    seen = found(record, "cpu", CpuResult)
    tables: tuple[PlainTable, ...] = ()
    if seen is not None:
        rows = tuple((name, seconds_text(seconds)) for name, seconds in seen.threads.items())
        tables = (PlainTable("Threads by name", ("thread", "CPU time"), rows),)
    return PageSection("CPUs", figures=tuple(figures), plain=tables)


def memory_section(record: Record) -> PageSection:
    """Peak memory by observer, and memory over time."""
    figures = []
    peaks, kinds = peaks_info(record), memory_kinds_info(record)
    if peaks.peaks:
        caption = (
            "XLA plans its temporary buffer. The heap is memory allocated and not yet freed. The "
            "resident set also includes code, files, and memory that the allocator retains."
        )
        figures.append(PageFigure("Peak memory by observer", caption, peaks_figure(peaks)))
    if kinds is not None:
        caption = "Resident memory of the timed trial by kind."
        figures.append(PageFigure("Memory over time", caption, memory_kinds_figure(kinds)))
    heap = found(record, "memray", HeapResult)
    tables: tuple[PlainTable, ...] = ()
    if heap is not None:
        rows = tuple(
            (holder.where, bytes_text(holder.bytes), f"{holder.allocations:,}")
            for holder in heap.holders
        )
        headers = ("allocated by", "bytes", "allocations")
        tables = (PlainTable("Heap at its peak", headers, rows),)
    return PageSection("Memory", figures=tuple(figures), plain=tables)


def python_section(record: Record) -> PageSection:
    """Python's functions by time."""
    seen = found(record, "py-spy", PythonResult)
    if seen is None:
        return PageSection("Python")
    rows = tuple((name, seconds_text(seconds)) for name, seconds in seen.innermost.items())
    table = PlainTable(
        f"Main thread, {seconds_text(seen.seconds)}, by innermost function",
        ("function", "time"),
        rows,
    )
    return PageSection("Python", plain=(table,))


def perf_section(record: Record) -> PageSection:
    """Hardware events and symbols of one pass."""
    seen = found(record, "perf", PerfResult)
    if seen is None:
        return PageSection("perf")
    counts = tuple((name, f"{value:,.0f}") for name, value in seen.counts.items())
    symbols = tuple((name, percent_text(share)) for name, share in seen.symbols.items())
    return PageSection(
        "perf",
        plain=(
            PlainTable("Events of one pass", ("event", "count"), counts),
            PlainTable("Symbols of one pass", ("symbol", "samples"), symbols),
        ),
    )
