"""A plan as CSV and JSON, and the list of what was skipped."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfkit.capacity.laws.prediction import Range
from perfkit.capacity.queue.arrays import MEBIBYTE, Array, arrays, folder_names, plan_digest
from perfkit.capacity.queue.plan import Plan, PlannedJob
from perfkit.files import write_whole
from perfkit.models import get_model, model_names
from perfkit.models.costs import Job

PLAN_FILE = "plan.json"

PLAN_VERSION = 2
"""Version of the layout of the JSON; version 2 added requests, arrays and searches."""


def job_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return the jobs of a plan as plain values, in the order of their start."""
    tasks = {
        each.job.name: (array, number)
        for array in arrays(plan)
        for number, each in enumerate(array.jobs, 1)
    }
    return [_job_row(plan, each, *tasks[each.job.name]) for each in plan.jobs]


def _job_row(plan: Plan, each: PlannedJob, array: Array, task: int) -> dict[str, Any]:
    """Return a job of a plan as plain values: seconds, bytes and names."""
    return {
        "name": each.job.name,
        "model": each.job.model,
        "size": each.job.size,
        "bucket": each.bucket,
        **_fidelity_columns(each.job),
        "preset": plan.fits[each.option.fit].label,
        "machine": each.machine.name,
        "node": each.placement.node + 1,
        "instances": each.option.instances,
        "cpus": each.cpus,
        "begin_s": round(each.placement.begin_s, 1),
        "end_s": round(each.placement.end_s, 1),
        **_range("time", "s", each.option.time, 1),
        **_range("memory", "bytes", each.option.memory, None),
        "time_request_s": round(each.option.request.time_s, 1),
        "memory_request_bytes": round(each.option.request.memory_bytes),
        "array": array.name,
        "task": task,
        "array_time_s": 60 * array.minutes,
        "array_memory_bytes": MEBIBYTE * array.mebibytes,
        **_search_columns(each),
        "compiles": each.compiles,
        "price": None if each.price is None else round(each.price, 4),
    }


_EVERYWHERE = ("members", "forecast_steps")
"""Fidelity columns that the JSON row of every job has, null where they do not apply. The others
are only in the rows of models that have them."""

_BEFORE = ("name", "model", "size", "bucket")
_AFTER = (
    "preset", "machine", "node", "instances", "cpus", "begin_s", "end_s", "time_s", "time_low_s",
    "time_high_s", "memory_bytes", "memory_low_bytes", "memory_high_bytes", "time_request_s",
    "memory_request_bytes", "array", "task", "array_time_s", "array_memory_bytes", "msa_machine",
    "msa_node", "msa_cpus", "msa_begin_s", "msa_end_s", "compiles", "price",
)  # fmt: skip


def _range(name: str, unit: str, found: Range, digits: int | None) -> dict[str, float]:
    return {
        f"{name}_{unit}": round(found.value, digits),
        f"{name}_low_{unit}": round(found.low, digits),
        f"{name}_high_{unit}": round(found.high, digits),
    }


def _search_columns(each: PlannedJob) -> dict[str, Any]:
    search = each.search
    if search is None:
        return dict.fromkeys(
            ("msa_machine", "msa_node", "msa_cpus", "msa_begin_s", "msa_end_s"), None
        )
    return {
        "msa_machine": search.machine.name,
        "msa_node": search.placement.node + 1,
        "msa_cpus": search.search.cpus,
        "msa_begin_s": round(search.placement.begin_s, 1),
        "msa_end_s": round(search.placement.end_s, 1),
    }


def _all_fidelity_columns() -> tuple[str, ...]:
    columns = (column for name in model_names() for column in get_model(name).costs.plan_columns)
    return tuple(dict.fromkeys(columns))


def _fidelity_columns(job: Job) -> dict[str, int | None]:
    axes = get_model(job.model).costs.plan_columns
    return {
        column: job.fidelity[axes[column]] if column in axes else None
        for column in _all_fidelity_columns()
        if column in axes or column in _EVERYWHERE
    }


def csv_columns() -> tuple[str, ...]:
    """Return the columns of the CSV: those of all models, whatever the plan holds."""
    return (*_BEFORE, *_all_fidelity_columns(), *_AFTER)


def write_csv(path: Path, plan: Plan) -> None:
    """Write a CSV with one row per job, in the order of their start. Cells that do not apply are
    empty.

    Parameters
    ----------
    path
        The file.
    plan
        The plan.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    _write_table(path, csv_columns(), job_rows(plan), "plan")


def write_skipped(path: Path, plan: Plan) -> None:
    """Write a CSV with a row per job, row of the queue or machine that could not be planned.

    Parameters
    ----------
    path
        The file.
    plan
        The plan.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    rows = [dataclasses.asdict(reject) for reject in plan.rejects]
    _write_table(path, ("name", "origin", "reason"), rows, "list of skipped jobs")


def _write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], description: str
) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue(), description)


def write_json(path: Path, plan: Plan, deadline_s: float | None = None) -> None:
    """Write jobs, machines, totals, rejects and notices as JSON.

    Parameters
    ----------
    path
        The file.
    plan
        The plan.
    deadline_s
        Seconds in which the queue should end, None for no deadline.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    low, high = plan.relative_range
    folders = folder_names([each.job.name for each in plan.jobs])
    data = {
        "version": PLAN_VERSION,
        "digest": plan_digest(plan),
        "makespan_s": plan.makespan_s,
        "makespan_low_s": plan.makespan_s * low,
        "makespan_high_s": plan.makespan_s * high,
        "deadline_s": deadline_s,
        "risks": dataclasses.asdict(plan.expectation.risks),
        "bound_s": plan.packing.bound_s,
        "method": plan.packing.method,
        "price": plan.price,
        "price_low": None if plan.price is None else plan.price * low,
        "price_high": None if plan.price is None else plan.price * high,
        "currency": plan.inventory.currency,
        "machines": [
            {
                "name": use.machine.name,
                "count": use.machine.count,
                "used": use.used,
                "jobs": use.jobs,
                "searches": use.searches,
                "machine_hours": use.hours,
                "filled": use.busy,
                "price": use.price,
                "energy_kwh": use.energy_kwh,
            }
            for use in plan.uses()
        ],
        "accelerators": [dataclasses.asdict(one) for one in plan.comparisons()],
        "jobs": [
            row | _details(plan, each, folders)
            for row, each in zip(job_rows(plan), plan.jobs, strict=True)
        ],
        "rejects": [dataclasses.asdict(reject) for reject in plan.rejects],
        "notices": list(plan.notices),
    }
    write_whole(path, json.dumps(data, indent=1) + "\n", "plan")


def _details(plan: Plan, each: PlannedJob, folders: Mapping[str, str]) -> dict[str, Any]:
    """What ``perfkit plan check`` needs of a job in addition to its row."""
    fit = plan.fits[each.option.fit]
    return {
        "slot": each.placement.slot,
        "folder": folders[each.job.name],
        "fidelity": dict(each.job.fidelity),
        "fitted": {
            **_range("time", "s", each.option.fitted_time, 3),
            **_range("memory", "bytes", each.option.fitted_memory, None),
            "time_freedom": fit.freedom,
            "memory_freedom": fit.overhead.freedom,
        },
    }
