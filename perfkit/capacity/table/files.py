"""A capacity table as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from perfkit.capacity.table.table import CapacityTable, Cell
from perfkit.files import write_whole

COLUMNS = (
    "model", "size", "units", "padded", "machine", "cores", "machine_memory_bytes", "feasible",
    "reason", "time_s", "time_low_s", "time_high_s", "memory_bytes", "memory_low_bytes",
    "memory_high_bytes", "memory_source", "instances", "instance_cpus", "instance_time_s",
    "instance_time_low_s", "instance_time_high_s", "predictions_per_hour", "size_factor",
    "cpus_factor", "extrapolated",
)  # fmt: skip


def cell_row(cell: Cell) -> dict[str, Any]:
    """Return a cell as plain values: seconds, bytes and names; None where there is no value."""
    time, memory, best = cell.time, cell.memory, cell.best
    return {
        "model": cell.job.model,
        "size": cell.size,
        "units": cell.job.size,
        "padded": cell.padded,
        "machine": cell.machine.name,
        "cores": cell.machine.cores,
        "machine_memory_bytes": cell.machine.memory_bytes,
        "feasible": cell.feasible,
        "reason": cell.reason,
        "time_s": None if time is None else round(time.value, 1),
        "time_low_s": None if time is None else round(time.low, 1),
        "time_high_s": None if time is None else round(time.high, 1),
        "memory_bytes": None if memory is None else round(memory.value),
        "memory_low_bytes": None if memory is None else round(memory.low),
        "memory_high_bytes": None if memory is None else round(memory.high),
        "memory_source": cell.source.value,
        "instances": None if best is None else best.instances,
        "instance_cpus": None if best is None else best.cpus,
        "instance_time_s": None if best is None else round(best.time.value, 1),
        "instance_time_low_s": None if best is None else round(best.time.low, 1),
        "instance_time_high_s": None if best is None else round(best.time.high, 1),
        "predictions_per_hour": None if best is None else float(f"{best.per_hour:.4g}"),
        "size_factor": round(cell.size_factor, 3),
        "cpus_factor": round(cell.cpus_factor, 3),
        "extrapolated": cell.size_factor > 1 or cell.cpus_factor > 1,
    }


def table_data(table: CapacityTable) -> dict[str, Any]:
    """Return a table as plain values for JSON."""
    fit = table.fit
    return {
        "model": fit.model,
        "preset": fit.label,
        "settings": dict(fit.settings),
        "machine_of_the_fit": fit.machine,
        "versions": fit.versions,
        "measured_sizes": [fit.least_size, fit.largest_size],
        "memory_measured_to": fit.memory_measured_to or fit.largest_size,
        "notices": list(table.notices),
        "cells": [cell_row(cell) for cell in table.cells],
    }


def write_csv(path: Path, table: CapacityTable) -> None:
    """Write a CSV with one row for each machine and size. Cells without a value are empty.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cell_row(cell) for cell in table.cells)
    write_whole(path, text.getvalue(), "table")


def write_json(path: Path, table: CapacityTable) -> None:
    """Write the table and what it rests on as JSON.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    write_whole(path, json.dumps(table_data(table), indent=1) + "\n", "table")
