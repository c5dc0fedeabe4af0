"""Tables of a profile: modules, operations and matrix products, for the terminal and the page."""

from __future__ import annotations

from perfkit.observers.products.result import ProductRow, ProductsResult
from perfkit.observers.products.timing import Timing
from perfkit.observers.reading import found
from perfkit.observers.roofline.limit import ModuleResult
from perfkit.observers.trace.xla_trace import XlaResult
from perfkit.records.schema import Record
from perfkit.report.plain_table import NOTHING, PlainTable
from perfkit.units import GIGA, percent_text, seconds_text

TERMINAL_MODULES = 12
"""Modules in the terminal, longest time first; the page shows more."""

RATE_HEADERS = ("GFLOP/s", "of ceiling", "GB/s", "of copy")


def terminal_tables(record: Record) -> list[PlainTable]:
    """The tables that the terminal shows; none for observers that did not run."""
    traced, products = found(record, "xla", XlaResult), found(record, "products", ProductsResult)
    tables = []
    if traced is not None:
        tables.append(_short_module_table(traced))
    if products is not None:
        tables.append(product_table(products))
    return tables


def module_table(seen: XlaResult, most: int) -> PlainTable:
    """Modules with their limits, shares of the CPUs' time and rates."""
    headers = ("module", "time", "share", "limit", "own work", "one thread", "kernel", "waiting")
    rows = tuple(
        (
            *_module_cells(module),
            *map(percent_text, (module.working, module.single, module.kernel, module.waiting)),
            *_module_rates(module),
        )
        for module in seen.modules[:most]
    )
    return PlainTable("Modules", (*headers, *RATE_HEADERS), rows)


def _short_module_table(seen: XlaResult) -> PlainTable:
    rows = tuple(
        (*_module_cells(module), *_module_rates(module))
        for module in seen.modules[:TERMINAL_MODULES]
    )
    return PlainTable("Modules", ("module", "time", "share", "limit", *RATE_HEADERS), rows)


def _module_cells(module: ModuleResult) -> tuple[str, ...]:
    share = percent_text(module.share)
    return (module.name, seconds_text(module.seconds), share, module.limit.value)


def _module_rates(module: ModuleResult) -> tuple[str, ...]:
    return (
        f"{module.flops_per_s / GIGA:.1f}",
        percent_text(module.compute),
        f"{module.bytes_per_s / GIGA:.2f}",
        percent_text(module.bandwidth),
    )


def operation_table(seen: XlaResult) -> PlainTable:
    """The HLO operations with the longest time."""
    rows = (
        (
            operation.name,
            operation.module,
            seconds_text(operation.seconds),
            percent_text(operation.seconds / seen.pass_s),
            f"{operation.runs:,}",
            _rate_text(operation.flops, operation.seconds, 1),
            _rate_text(operation.bytes, operation.seconds, 2),
        )
        for operation in seen.operations
    )
    headers = ("operation", "module", "time", "share", "runs", "GFLOP/s", "GB/s")
    return PlainTable("HLO operations with the longest time", headers, tuple(rows))


def _rate_text(count: float, seconds: float, digits: int) -> str:
    """Billions per second; nothing for an operation that took no time."""
    return f"{count / seconds / GIGA:.{digits}f}" if seconds else NOTHING


def product_table(seen: ProductsResult) -> PlainTable:
    """The largest products: rates in the pass, and time alone. Without oneDNN its column is out."""
    headers = ["product", "module", "runs", "in the pass", "share", *RATE_HEADERS, "XLA alone"]
    rows = [[*_product_cells(row), _alone_text(row.xla, row.times)] for row in seen.rows]
    if seen.has_onednn:
        headers.append("oneDNN alone")
        for cells, row in zip(rows, seen.rows, strict=True):
            cells.append(_alone_text(row.onednn, row.times))
    return PlainTable("Matrix products by shape", tuple(headers), tuple(map(tuple, rows)))


def _product_cells(row: ProductRow) -> tuple[str, ...]:
    more = row.more_modules + len(row.modules) - 1
    module = row.modules[0] + (f" +{more}" if more else "")
    if row.pass_s is None or row.share is None:
        return (row.label, module, f"{row.times:,}", *(NOTHING,) * (2 + len(RATE_HEADERS)))
    return (
        row.label,
        module,
        f"{row.times:,}",
        seconds_text(row.pass_s),
        percent_text(row.share),
        f"{(row.flops_per_s or 0.0) / GIGA:.1f}",
        percent_text(row.compute or 0.0),
        f"{(row.bytes_per_s or 0.0) / GIGA:.2f}",
        percent_text(row.bandwidth or 0.0),
    )


def _alone_text(alone: Timing | None, times: int) -> str:
    """Seconds of all such products of a pass: fastest, and the median in brackets."""
    if alone is None:
        return NOTHING
    best, median = seconds_text(times * alone.best_s), seconds_text(times * alone.median_s)
    (best_number, _, unit), (median_number, _, other) = best.partition(" "), median.partition(" ")
    return f"{best_number} ({median_number}) {unit}" if unit == other else f"{best} ({median})"


def floor_table(seen: ProductsResult, pass_s: float | None) -> PlainTable:
    """The floor of the pass next to other sums over all products.

    Parameters
    ----------
    seen
        The products.
    pass_s
        Median seconds of the timed passes; None without one.
    """
    timed = f"{seen.timed} of {seen.shapes} shapes measured alone"
    fastest = "the faster of XLA and oneDNN" if seen.has_onednn else "XLA"
    sums = [
        ("each at the ceiling of its type", seen.ceiling_s, ""),
        (f"floor: each shape alone in {fastest}", seen.floor_s, timed),
        ("each shape alone in XLA", seen.xla_s, timed),
        ("in the traced pass, with what is fused into them", seen.found_s, ""),
        ("traced pass", seen.traced_s, ""),
    ]
    if seen.unmeasured_s:
        note = "at the ceiling of their type, counted in the floor"
        sums.insert(2, ("of the floor: shapes not measured alone", seen.unmeasured_s, note))
    if pass_s is not None:
        sums.append(("timed pass, median", pass_s, ""))
    rows = tuple((name, seconds_text(seconds), note) for name, seconds, note in sums)
    heading = f"All products of a pass: {seen.flops / GIGA:,.0f} GFLOP"
    return PlainTable(heading, ("", "time", "note"), rows)
