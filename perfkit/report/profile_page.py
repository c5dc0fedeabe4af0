"""The page of a profile: what limits each module, its figures, and links to every artifact."""

from __future__ import annotations

from pathlib import Path

from perfkit.observers.cpu import CpuSeen
from perfkit.observers.memray_heap import HeapSeen
from perfkit.observers.perf_events import PerfSeen
from perfkit.observers.py_spy import PythonSeen
from perfkit.observers.reading import found
from perfkit.observers.roofline.limit import ModuleSeen
from perfkit.observers.trace.xla_trace import XlaSeen
from perfkit.records.schema import Record
from perfkit.report import facts
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
from perfkit.report.page import PageContent, PageFigure, PageLink, PageSection, render_page
from perfkit.report.plain_table import PlainTable
from perfkit.report.profile_summary import profile_summary
from perfkit.units import bytes_text, percent_text, seconds_text

TABLE_MODULES = 25


def build_profile_page(record: Record, folder: Path) -> str:
    """One self-contained HTML document; only the artifacts are files beside it.

    Parameters
    ----------
    record
        Of a profiled trial.
    folder
        Where the page will lie, which the record's paths count from.
    """
    workload = record.workload
    missing = (f"{n}: {o.missing}" for n, o in record.observations.items() if o.missing)
    return render_page(
        PageContent(
            title=f"profile of {workload.name} ({workload.size}) with {workload.model}",
            subtitle=f"{record.created[:16].replace('T', ' ')} UTC, "
            f"configuration {record.configuration.label}, outcome {record.outcome.value}",
            production=tuple(profile_summary(record)),
            notices=facts.notices([record]),
            warnings=(*facts.warnings([record]), *missing),
            facts=(
                facts.workload_facts([record]),
                facts.machine_facts([record]),
                facts.version_facts([record]),
            ),
            sections=(
                _xla_section(record),
                _cpu_section(record),
                _memory_section(record),
                _python_section(record),
                _perf_section(record),
                _files_section(record, folder),
            ),
        )
    )


def _xla_section(record: Record) -> PageSection:
    seen = found(record, "xla", XlaSeen)
    if seen is None:
        return PageSection("Where a pass goes")
    figures = [
        PageFigure(
            "Time by module of the model",
            "Colours say what limits a module, by the rule above.",
            pass_figure(modules_info(seen)),
        ),
        PageFigure(
            "Time by kind of operation",
            "An operation with a matrix product in it counts as dot, whatever is fused to it.",
            pass_figure(kinds_info(seen)),
        ),
    ]
    roofline = roofline_info(seen)
    if roofline is not None:
        caption = (
            "Lines are this machine's measured ceilings, dots the modules, as large as their share "
            "of the pass."
        )
        figures.append(PageFigure("Roofline", caption, roofline_figure(roofline)))
    return PageSection(
        "Where a pass goes",
        lead="While a module runs, the CPUs' time goes to the program's own work, to the kernel, "
        "to idling while one thread is busy, or to waiting. The largest share names the limit; own "
        "work is limited by compute or bandwidth, whichever is closer to its ceiling.",
        figures=tuple(figures),
        plain=(_module_table(seen), _operation_table(seen)),
    )


MODULE_HEADERS = (
    "module",
    "time",
    "share",
    "limit",
    "own work",
    "one thread",
    "kernel",
    "waiting",
    "GFLOP/s",
    "of ceiling",
    "GB/s",
    "of ceiling",
)


def _module_table(seen: XlaSeen) -> PlainTable:
    return PlainTable(
        "Modules",
        MODULE_HEADERS,
        tuple(_module_row(module) for module in seen.modules[:TABLE_MODULES]),
    )


def _module_row(module: ModuleSeen) -> tuple[str, ...]:
    shares = (module.working, module.single, module.kernel, module.waiting)
    return (
        module.name,
        seconds_text(module.seconds),
        percent_text(module.share),
        module.limit.value,
        *(percent_text(share) for share in shares),
        f"{module.flops_per_s / 1e9:.1f}",
        percent_text(module.compute),
        f"{module.bytes_per_s / 1e9:.2f}",
        percent_text(module.bandwidth),
    )


def _operation_table(seen: XlaSeen) -> PlainTable:
    rows = (
        (
            one.name,
            one.module,
            seconds_text(one.seconds),
            percent_text(one.seconds / seen.pass_s),
            f"{one.runs:,}",
            f"{one.flops / one.seconds / 1e9:.1f}" if one.seconds else "-",
            f"{one.bytes / one.seconds / 1e9:.2f}" if one.seconds else "-",
        )
        for one in seen.operations
    )
    headers = ("operation", "module", "time", "share", "runs", "GFLOP/s", "GB/s")
    return PlainTable("HLO operations that took most", headers, tuple(rows))


def _cpu_section(record: Record) -> PageSection:
    figures = []
    use, busy = utilisation_info(record), busy_info(record)
    if use is not None:
        caption = "Sampled from outside; the dotted line is all CPUs of the machine."
        figures.append(PageFigure("CPUs in use over time", caption, utilisation_figure(use)))
    if busy is not None:
        caption = "Threads that run or are ready to, at each sample."
        figures.append(PageFigure("Busy CPUs by stage", caption, busy_figure(busy)))
    seen = found(record, "cpu", CpuSeen)
    tables: tuple[PlainTable, ...] = ()
    if seen is not None:
        rows = tuple((name, seconds_text(seconds)) for name, seconds in seen.threads.items())
        tables = (PlainTable("Threads by name", ("thread", "CPU time"), rows),)
    return PageSection("CPUs", figures=tuple(figures), plain=tables)


def _memory_section(record: Record) -> PageSection:
    figures = []
    peaks, kinds = peaks_info(record), memory_kinds_info(record)
    if peaks.peaks:
        caption = (
            "XLA plans its temporary buffer; the heap is what was allocated and not yet freed; "
            "the resident set also holds code, files, and what the allocator keeps."
        )
        figures.append(PageFigure("One memory, seen differently", caption, peaks_figure(peaks)))
    if kinds is not None:
        caption = "Resident memory of the timed trial by kind."
        figures.append(PageFigure("Memory over time", caption, memory_kinds_figure(kinds)))
    heap = found(record, "memray", HeapSeen)
    tables: tuple[PlainTable, ...] = ()
    if heap is not None:
        rows = tuple(
            (one.where, bytes_text(one.bytes), f"{one.allocations:,}") for one in heap.holders
        )
        headers = ("held by", "bytes", "allocations")
        tables = (PlainTable("Who held the heap at its peak", headers, rows),)
    return PageSection("Memory", figures=tuple(figures), plain=tables)


def _python_section(record: Record) -> PageSection:
    seen = found(record, "py-spy", PythonSeen)
    if seen is None:
        return PageSection("Python")
    rows = tuple((name, seconds_text(seconds)) for name, seconds in seen.innermost.items())
    table = PlainTable(
        f"Main thread, {seconds_text(seen.seconds)}, by innermost function",
        ("function", "time"),
        rows,
    )
    return PageSection("Python", plain=(table,))


def _perf_section(record: Record) -> PageSection:
    seen = found(record, "perf", PerfSeen)
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


def _files_section(record: Record, folder: Path) -> PageSection:
    links = tuple(
        PageLink(name, path, _size(folder / path)) for name, path in record.artifacts.items()
    )
    return PageSection("Files", links=links)


def _size(path: Path) -> str:
    try:
        return bytes_text(path.stat().st_size)
    except (OSError, ValueError):
        return "not there any more"
