"""``perfkit sweep``: the full grid of sizes, CPU counts and knob values."""

from __future__ import annotations

from pathlib import Path

from perfkit.cli.console import Console, StudyProgress
from perfkit.cli.study_output import finish_sweep
from perfkit.cli.workload_arguments import (
    Parser,
    Request,
    add_observe_argument,
    default_folder,
    observers_of,
    parse_request,
)
from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.knobs.space import grid, parse_knob_values, read_configurations
from perfkit.records.store import Store
from perfkit.tune.live import LiveRunner
from perfkit.tune.sweep import Sweep, SweepPlan


def _add(parser: Parser) -> None:
    parser.add_argument("--sizes", help="sizes to measure, e.g. 32,64,128 (default: the input)")
    parser.add_argument("--cpus", help="CPU counts, e.g. 1,2")
    parser.add_argument(
        "--knob",
        action="append",
        default=[],
        metavar="NAME=V1,V2",
        help="values of a knob, each combined with all others; repeatable",
    )
    parser.add_argument(
        "--configurations", type=Path, help="TOML file with a list of [[configuration]] instead"
    )
    parser.add_argument("--rounds", type=int, default=3, help="timed passes of each (default 3)")
    add_observe_argument(parser)
    parser.add_argument("--out", type=Path, help="folder for records and page")


def main(arguments: list[str]) -> int:
    """Measure the grid and print it; 0 when every cell ran, else 1."""
    request = parse_request(
        "sweep",
        "Measure the full grid of sizes, CPU counts and knob values. The same command resumes.",
        arguments,
        _add,
    )
    given = request.arguments
    if given.rounds < 1:
        raise UserError(f"--rounds takes 1 or more, not {given.rounds}")
    workloads = [request.workload]
    if given.sizes is not None:
        if "input" in request.workload.source:
            raise UserError("--sizes makes its own inputs: leave --input away")
        workloads = [
            request.model.resized(request.workload, size.strip())
            for size in dict.fromkeys(given.sizes.split(","))
        ]
    configurations = _configurations(request)
    for configuration in configurations:
        configuration.ensure_possible()
        for workload in workloads:
            request.refuse_without_memory(configuration, workload)
    limits = request.limits()
    observers = observers_of(request)
    out = given.out or default_folder("sweep", request.model.name)
    plan = SweepPlan(
        model=request.model,
        catalogue=request.catalogue,
        workloads=tuple(workloads),
        configurations=tuple(configurations),
        store=Store(out),
        rounds=given.rounds,
    )
    console = Console()
    for workload in workloads:
        console.workload(workload, request.model)
    # Each size has a reference trial beside its cells.
    with StudyProgress(console, trials=plan.trials + len(workloads)) as progress:
        sweep = Sweep(plan, LiveRunner(out, limits, progress.stage, observers), progress)
        interrupted = progress.watch(sweep.run)
    whole = finish_sweep(console, plan.model, plan.workloads, sweep.records(), out)
    if interrupted:
        raise KeyboardInterrupt
    return 0 if whole else 1


def _configurations(request: Request) -> list[Configuration]:
    """Stock first where the grid holds it: the first one is what others are paired with."""
    given = request.arguments
    if given.configurations is not None:
        if given.knob or given.cpus:
            raise UserError("--configurations replaces --knob and --cpus: leave those away")
        return read_configurations(request.catalogue, given.configurations)
    texts = [*given.knob, *([f"{CPUS_KNOB.name}={given.cpus}"] if given.cpus else [])]
    axes: dict[str, list[str]] = {}
    for text in texts:
        name, values = parse_knob_values(request.catalogue, text)
        if name in axes:
            raise UserError(f"knob {name!r} is given twice: write its values in one place")
        axes[name] = values
    configurations = grid(request.catalogue, axes)
    return sorted(configurations, key=lambda configuration: configuration != STOCK)
