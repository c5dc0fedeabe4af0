"""All that the pages of profiles, fits and asv histories show, as data frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from perfkit.capacity.laws.assemble import MEMORY, TIME
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.observation import observations
from perfkit.history.asv_results import AsvResult
from perfkit.history.series import series_of_results
from perfkit.observers.cpu import CpuResult
from perfkit.observers.memray_heap import HeapResult
from perfkit.observers.perf_events import PerfResult
from perfkit.observers.products.result import ProductsResult
from perfkit.observers.products.timing import Timing
from perfkit.observers.py_spy import PythonResult
from perfkit.observers.reading import found
from perfkit.observers.trace.xla_trace import XlaResult
from perfkit.records.frame import frame_of
from perfkit.records.schema import Record
from perfkit.report.export.frames import Cells, Tables, cells, frame, plain_frame
from perfkit.report.figures.capacity.held_out import held_out_info
from perfkit.report.figures.capacity.laws import laws_info
from perfkit.report.figures.memory_kinds import memory_kinds_info, peaks_info
from perfkit.report.figures.roofline import roofline_info
from perfkit.report.figures.utilisation import busy_info, utilisation_info
from perfkit.report.fit_tables import accuracy_table, law_table


def profile_tables(record: Record) -> Tables:
    """The data behind the page of a profile.

    Parameters
    ----------
    record
        Record of a profiled trial.

    Returns
    -------
    dict of str to DataFrame
        Tables of the observers that ran, by name. Columns are the fields of the observers' results
        and of the ``*_info`` of the figures.
    """
    rows: dict[str, list[Cells]] = {
        "stages": [cells(stage.model_dump()) for stage in record.stages]
    }
    rows |= _trace_rows(record) | _cpu_rows(record) | _memory_rows(record)
    python, perf = found(record, "py-spy", PythonResult), found(record, "perf", PerfResult)
    if python is not None:
        rows["python"] = _pairs(python.innermost, "function", "wall_s")
    if perf is not None:
        rows["perf-events"] = _pairs(perf.counts, "event", "count")
        rows["perf-symbols"] = _pairs(perf.symbols, "symbol", "share")
    return _with_rows({"trial": frame_of([record])} | _frames(rows))


def fit_tables(fit: ModelFit, records: Sequence[Record]) -> Tables:
    """The data behind the page of a fit.

    Parameters
    ----------
    fit
        The fitted laws of one model.
    records
        Records that the laws were fitted to.

    Returns
    -------
    dict of str to DataFrame
        Tables by name. ``size`` is in the unit of the model.
    """
    ordered = sorted(records, key=lambda record: record.created)
    info = laws_info(fit, observations(ordered))
    curves: list[Cells] = [
        {"part": curve.name, "kind": kind, "size": size, "run_s": seconds}
        for curve in info.curves
        for kind, sizes, times in (
            ("law", curve.sizes, curve.seconds),
            ("measured", curve.measured_sizes, curve.measured_s),
        )
        for size, seconds in zip(sizes, times, strict=True)
    ]
    held_out: list[Cells] = [
        {"quantity": quantity, **cells(point)}
        for quantity in (TIME, MEMORY)
        for point in held_out_info(fit, quantity).points
    ]
    tables = {"trials": frame_of(ordered), "laws": plain_frame(law_table(fit))}
    tables |= _frames({"curves": curves, "held-out": held_out})
    return _with_rows(tables | {"accuracy": plain_frame(accuracy_table(fit))})


def history_tables(results: Sequence[AsvResult]) -> Tables:
    """The data behind the page of asv results: points, levels and jumps of every series.

    Parameters
    ----------
    results
        Results by date of their commits.

    Returns
    -------
    dict of str to DataFrame
        Tables by name. The column ``unit`` states that of the values.
    """
    rows: dict[str, list[Cells]] = {"points": [], "levels": [], "jumps": []}
    for series in series_of_results(results):
        of: dict[str, str | int | float | bool | None] = {
            "benchmark": series.benchmark,
            "parameters": series.parameters,
            "machine": series.machine,
            "unit": series.unit,
        }
        rows["points"] += [of | cells(vars(point)) for point in series.points]
        rows["levels"] += [
            of
            | {
                "first": series.points[step.first].commit,
                "last": series.points[step.last].commit,
                "value": step.value,
            }
            for step in series.steps
        ]
        rows["jumps"] += [of | cells(vars(jump)) for jump in series.jumps]
    return _with_rows(_frames(rows))


def _trace_rows(record: Record) -> dict[str, list[Cells]]:
    rows: dict[str, list[Cells]] = {}
    traced = found(record, "xla", XlaResult)
    if traced is not None:
        rows["kinds"] = _pairs(traced.kinds, "kind", "wall_s")
        rows["modules"] = [
            cells(one.model_dump()) | {"flops_per_s": one.flops_per_s} for one in traced.modules
        ]
        rows["operations"] = [cells(one.model_dump()) for one in traced.operations]
        roofline = roofline_info(traced)
        if roofline is not None:
            rows["roofline"] = [cells(point) for point in roofline.points]
            rows["ceilings"] = _pairs(traced.ceilings, "ceiling", "rate")
    products = found(record, "products", ProductsResult)
    if products is not None:
        rows["products"] = [
            cells(row.model_dump(), ("modules", "more_modules", "xla", "onednn"))
            | {"modules": "; ".join(row.modules), "more_modules": row.more_modules}
            | _timing("xla", row.xla)
            | _timing("onednn", row.onednn)
            for row in products.rows
        ]
    return rows


def _cpu_rows(record: Record) -> dict[str, list[Cells]]:
    rows: dict[str, list[Cells]] = {}
    use, busy = utilisation_info(record), busy_info(record)
    if use is not None:
        rows["cpu-use"] = list(_over_time(use.time_s, use.layers, "consumer", "cpus"))
    if busy is not None:
        rows["busy-cpus"] = [
            {"stage": stage, "busy_cpus": number, "share": share}
            for stage, shares in busy.fractions.items()
            for number, share in enumerate(shares)
        ]
    cpu = found(record, "cpu", CpuResult)
    if cpu is not None:
        rows["threads"] = _pairs(cpu.threads, "thread", "cpu_s")
    return rows


def _memory_rows(record: Record) -> dict[str, list[Cells]]:
    rows: dict[str, list[Cells]] = {
        "memory-peaks": _pairs(peaks_info(record).peaks, "of", "peak_bytes")
    }
    kinds = memory_kinds_info(record)
    if kinds is not None:
        rows["memory-over-time"] = [
            *_over_time(kinds.time_s, kinds.kinds, "kind", "bytes"),
            *_over_time(kinds.rollup_time_s, kinds.rollup, "kind", "bytes"),
        ]
    heap = found(record, "memray", HeapResult)
    if heap is not None:
        rows["heap"] = [cells(holder.model_dump()) for holder in heap.holders]
    return rows


def _pairs(values: Mapping[str, float], name: str, value: str) -> list[Cells]:
    return [{name: key, value: number} for key, number in values.items()]


def _over_time(
    time_s: Sequence[float], layers: Mapping[str, Sequence[float]], name: str, value: str
) -> Iterator[Cells]:
    for layer, values in layers.items():
        # An observer that ended early has fewer values than times.
        for moment, number in zip(time_s, values, strict=False):
            yield {name: layer, "time_s": moment, value: number}


def _timing(name: str, timing: Timing | None) -> dict[str, float | None]:
    return {
        f"{name}_best_s": None if timing is None else timing.best_s,
        f"{name}_median_s": None if timing is None else timing.median_s,
    }


def _frames(rows: Mapping[str, Sequence[Cells]]) -> Tables:
    return {name: frame(own) for name, own in rows.items()}


def _with_rows(tables: Tables) -> Tables:
    return {name: table for name, table in tables.items() if len(table)}
