"""A plan as CSV and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

from perfkit.capacity.queue.plan import Plan, PlannedJob
from perfkit.files import write_whole
from perfkit.models import get_model, model_names
from perfkit.models.costs import Job


def job_row(plan: Plan, each: PlannedJob) -> dict[str, Any]:
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
        "time_s": round(each.option.time.value, 1),
        "time_low_s": round(each.option.time.low, 1),
        "time_high_s": round(each.option.time.high, 1),
        "memory_bytes": round(each.option.memory.value),
        "memory_low_bytes": round(each.option.memory.low),
        "memory_high_bytes": round(each.option.memory.high),
        "compiles": each.compiles,
        "price": None if each.price is None else round(each.price, 4),
    }


_EVERYWHERE = ("members", "forecast_steps")
"""Fidelity columns that the JSON row of every job has, null where they do not apply. The others
are only in the rows of models that have them."""

_BEFORE = ("name", "model", "size", "bucket")
_AFTER = (
    "preset", "machine", "node", "instances", "cpus", "begin_s", "end_s", "time_s", "time_low_s",
    "time_high_s", "memory_bytes", "memory_low_bytes", "memory_high_bytes", "compiles", "price",
)  # fmt: skip


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
    text = io.StringIO()
    writer = csv.DictWriter(text, csv_columns(), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(job_row(plan, each) for each in plan.jobs)
    write_whole(path, text.getvalue(), "plan")


def write_json(path: Path, plan: Plan) -> None:
    """Write jobs, machines, totals, rejects and notices as JSON.

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
    low, high = plan.relative_range
    data = {
        "makespan_s": plan.makespan_s,
        "makespan_low_s": plan.makespan_s * low,
        "makespan_high_s": plan.makespan_s * high,
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
                "machine_hours": use.hours,
                "filled": use.busy,
                "price": use.price,
                "energy_kwh": use.energy_kwh,
            }
            for use in plan.uses()
        ],
        "accelerators": [dataclasses.asdict(one) for one in plan.comparisons()],
        "jobs": [job_row(plan, each) for each in plan.jobs],
        "rejects": [dataclasses.asdict(reject) for reject in plan.rejects],
        "notices": list(plan.notices),
    }
    write_whole(path, json.dumps(data, indent=1) + "\n", "plan")
