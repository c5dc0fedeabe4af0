"""``perfkit plan``: what a queue of jobs takes on your machines, and what runs where and when."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.cli.console import Console
from perfkit.cli.study_output import PAGE_NAME
from perfkit.cli.workload_arguments import Parser, default_folder
from perfkit.errors import UserError
from perfkit.models import DEFAULT_MODEL, get_model, model_names
from perfkit.units import parse_duration

if TYPE_CHECKING:
    from perfkit.capacity.laws.fit import ModelFit
    from perfkit.capacity.queue.machines import Inventory
    from perfkit.capacity.queue.plan import Plan
    from perfkit.capacity.queue.what_if import WhatIf
    from perfkit.models.costs import Job, Reject

FIT = "fit"


def _parser() -> Parser:
    from perfkit.capacity.queue.what_if import changeable_axes

    parser = Parser(
        prog="perfkit plan",
        description="Plan a queue of predictions: time, memory, price, what runs where and when. "
        "'perfkit plan fit' measures the laws that it rests on.",
    )
    queue = parser.add_argument_group("the queue")
    queue.add_argument(
        "--jobs",
        type=Path,
        help=f"CSV of jobs, or a folder of input files ({_suffixes()}); a row has a name and "
        f"{_columns()}",
    )
    queue.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"model that --size is for: {', '.join(model_names())} (default {DEFAULT_MODEL})",
    )
    queue.add_argument(
        "--size",
        help="plan jobs of these sizes, separated by commas; with --jobs: what if every job of "
        "the model had this size",
    )
    for axis, known in changeable_axes().items():
        models = " or ".join(known.models)
        queue.add_argument(f"--{axis}", type=int, help=f"what if every job of {models} had so many")
    where = parser.add_argument_group("the machines")
    where.add_argument("--machines", type=Path, help="inventory, TOML")
    where.add_argument("--here", action="store_true", help="this machine")
    where.add_argument("--calibration", type=Path, help="with --here: from 'perfkit calibrate'")
    where.add_argument("--speed", type=float, help="with --here: times as fast as the fit's")
    where.add_argument("--price-per-hour", type=float, help="with --here")
    where.add_argument("--watts", type=float, help="with --here")
    parser.add_argument(
        "--fit", type=Path, action="append", default=[], help="from 'perfkit plan fit'; repeatable"
    )
    parser.add_argument("--deadline", help="e.g. 12h or 2-00:00:00: how many machines keep it")
    parser.add_argument("--budget", type=float, help="what the queue may cost")
    parser.add_argument(
        "--no-compile-cache", action="store_true", help="every job compiles its own program"
    )
    parser.add_argument("--keep-going", action="store_true", help="plan the rest, list the rejects")
    parser.add_argument("--out", type=Path, help="folder for plan, page and Slurm script")
    return parser


def _columns() -> str:
    """Columns of each model, e.g. ``tokens, file, ... (af3), or grid, ... (gencast)``."""
    own = {name: get_model(name).costs.columns for name in model_names()}
    return ", or ".join(f"{', '.join(columns)} ({name})" for name, columns in own.items())


def _suffixes() -> str:
    found = (suffix for name in model_names() for suffix in get_model(name).costs.suffixes)
    return ", ".join(dict.fromkeys(found))


def main(arguments: list[str]) -> int:
    """Plan and print; 0 when every job has its place, 2 where something is wrong with the input."""
    if arguments[:1] == [FIT]:
        from perfkit.cli.commands import plan_fit

        return plan_fit.main(arguments[1:])
    from perfkit.capacity.bounds import LARGEST
    from perfkit.capacity.queue.sizing import needs
    from perfkit.cli.commands.plan_output import print_needs, print_plan

    given = _parser().parse_args(arguments)
    deadline_s = None if given.deadline is None else parse_duration(given.deadline)
    _ensure_within(given, "budget", 0.0, LARGEST)
    fits = _fits(given)
    inventory = _inventory(given, fits)
    jobs, rejects, what_if = _queue(given)
    cached = not given.no_compile_cache
    base = _planned(given, jobs, inventory, fits, rejects)
    plan = base
    if what_if is not None and what_if.text and given.jobs is not None:
        plan = _planned(given, [what_if.applied(job) for job in jobs], inventory, fits, rejects)
    console = Console()
    print_plan(console, plan, base if plan is not base else None, what_if)
    found = []
    if deadline_s is not None or given.budget is not None:
        placed = [each.job for each in plan.jobs]
        found = needs(
            placed, inventory.machines, fits,
            cached=cached, deadline_s=deadline_s, budget=given.budget,
        )  # fmt: skip
        print_needs(console, found, inventory.currency)
    _leave(console, given.out or default_folder("plan"), plan, cached)
    return 0


def _fits(given: argparse.Namespace) -> list[ModelFit]:
    from perfkit.capacity.laws.fit import ModelFit

    if not given.fit:
        raise UserError("a plan rests on a fit: name one with --fit ('perfkit plan fit' makes it)")
    return [ModelFit.load(path) for path in given.fit]


def _inventory(given: argparse.Namespace, fits: list[ModelFit]) -> Inventory:
    import dataclasses

    from perfkit.capacity.bounds import LARGEST
    from perfkit.capacity.laws.calibration import MOST_FACTOR, Calibration
    from perfkit.capacity.queue.machines import read_inventory, this_machine
    from perfkit.capacity.queue.plan import ensure_measured_here
    from perfkit.records.machine import fingerprint

    if (given.machines is None) != bool(given.here):
        raise UserError("say on which machines: either --machines FILE or --here")
    if given.machines is not None:
        for name in ("calibration", "speed", "price_per_hour", "watts"):
            if getattr(given, name) is not None:
                raise UserError(
                    f"--{name.replace('_', '-')} goes with --here; write {name} into "
                    f"{given.machines}"
                )
        inventory = read_inventory(given.machines)
        _refuse(inventory.rejects, given.keep_going)
        if not inventory.machines:
            raise UserError(inventory.rejects[0].sentence)
        return inventory
    _ensure_within(given, "speed", 1 / MOST_FACTOR, MOST_FACTOR)
    for name in ("price_per_hour", "watts"):
        _ensure_within(given, name, 0.0, LARGEST)
    inventory = this_machine(given.price_per_hour, given.watts)
    calibration = None if given.calibration is None else Calibration.load(given.calibration)
    if calibration is None and given.speed is None:
        told = ensure_measured_here(fits, fingerprint().known())
        if told is not None:
            raise UserError(told)
    (machine,) = inventory.machines
    machine = dataclasses.replace(machine, calibration=calibration, speed=given.speed)
    return dataclasses.replace(inventory, machines=(machine,))


def _queue(given: argparse.Namespace) -> tuple[list[Job], list[Reject], WhatIf | None]:
    from perfkit.capacity.queue.jobs import read_jobs, sized_jobs
    from perfkit.capacity.queue.what_if import changeable_axes, what_if

    model = get_model(given.model).name
    fidelity = {axis: getattr(given, axis) for axis in changeable_axes()}
    if given.jobs is None:
        if given.size is None:
            raise UserError("there is nothing to plan: give --jobs FILE, or --size")
        change = what_if(fidelity, None, model)
        return [change.applied(job) for job in sized_jobs(model, given.size)], [], None
    change = what_if(fidelity, given.size, model)
    jobs, rejects = read_jobs(given.jobs)
    _refuse(rejects, given.keep_going)
    return jobs, rejects, change


def _ensure_within(given: argparse.Namespace, name: str, above: float, most: float) -> None:
    """Refuse a number that is not given as one of more than ``above``, up to ``most``."""
    value = getattr(given, name)
    if value is not None and not above < value <= most:
        raise UserError(
            f"--{name.replace('_', '-')} takes more than {above:g}, up to {most:g}, not {value:g}"
        )


def _planned(
    given: argparse.Namespace,
    jobs: list[Job],
    inventory: Inventory,
    fits: list[ModelFit],
    rejects: list[Reject],
) -> Plan:
    from perfkit.capacity.queue.plan import make_plan

    plan = make_plan(
        jobs,
        inventory,
        fits,
        cached=not given.no_compile_cache,
        rejects=[*inventory.rejects, *rejects],
    )
    _refuse(plan.rejects, given.keep_going)
    if not plan.jobs:
        raise UserError(f"no job can be planned; {plan.rejects[0].sentence}")
    return plan


def _refuse(rejects: tuple[Reject, ...] | list[Reject], keep_going: bool) -> None:
    """End at the first thing that cannot be planned, unless asked to go on."""
    if rejects and not keep_going:
        further = len(rejects) - 1
        more = f" (and {further} more; --keep-going plans the rest)" if further else ""
        raise UserError(f"{rejects[0].sentence}{more}")


def _leave(console: Console, out: Path, plan: Plan, cached: bool) -> None:
    """CSV, JSON, page and Slurm script."""
    from perfkit.capacity.queue.plan_files import write_csv, write_json
    from perfkit.cluster.slurm import write_scripts
    from perfkit.records.store import ensure_writable
    from perfkit.report.plan_page import plan_page
    from perfkit.report.writing import write_report

    ensure_writable(out)
    write_csv(out / "plan.csv", plan)
    write_json(out / "plan.json", plan)
    write_report(out / PAGE_NAME, plan_page(plan))
    script = write_scripts(out, plan, cached=cached)
    console.line(f"plan: {out / 'plan.csv'}, {out / 'plan.json'}")
    console.line(f"page: {out / PAGE_NAME}")
    console.line(f"Slurm: sh {shlex.quote(str(script))} submits the jobs with their presets")
