"""``perfkit plan fit``: measure a model at several sizes and fit the laws that planning uses."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from perfkit.cli.console import Console, StudyProgress
from perfkit.cli.study_output import PAGE_NAME
from perfkit.cli.workload_arguments import (
    Parser,
    Request,
    add_knob_argument,
    configuration_of,
    default_folder,
    parse_request,
)
from perfkit.errors import UserError
from perfkit.models.base import Workload
from perfkit.records.schema import Record

FIT_NAME = "fit.json"
SUMMARY = (
    "Measure a model's parts at several small sizes, fit the laws of time and memory that "
    "'perfkit plan' uses, and judge them on runs that were left out. The same command resumes."
)


def main(arguments: list[str]) -> int:
    """Measure and fit, or fit records that exist; 0 when there is a fit."""
    if any(each.partition("=")[0] == "--from" for each in arguments):
        return _fit_existing(arguments)
    request = parse_request("plan fit", SUMMARY, arguments, _add, plans=True)
    return _measure(request)


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    parser.add_argument("--from", help="fit the records of this folder instead of measuring")
    parser.add_argument("--sizes", help="sizes to fit, residues or degrees, with commas")
    parser.add_argument("--held-out", help="sizes to judge the fit by, at most twice the largest")
    parser.add_argument("--compile-sizes", help="sizes that are only compiled, for their memory")
    parser.add_argument("--cpus", default="1", help="CPU counts beside all (default 1)")
    parser.add_argument("--rounds", type=int, default=5, help="timed passes of each (default 5)")
    parser.add_argument("--repeats", type=int, default=1, help="trials of each size (default 1)")
    parser.add_argument("--out", type=Path, help="folder for records, fit and page")


def _measure(request: Request) -> int:
    from perfkit.capacity.bounds import MOST_PASSES
    from perfkit.capacity.laws.measure import (
        FitMeasurement,
        FitPlan,
        contrasting,
        parse_cpu_counts,
    )
    from perfkit.capacity.laws.runner import LiveFitRunner
    from perfkit.knobs.cpus import allowed_cpus
    from perfkit.observers.roofline.ceilings import measured_ceilings
    from perfkit.records.store import Store

    given = request.arguments
    if not 1 <= given.rounds <= MOST_PASSES:
        raise UserError(f"--rounds takes 1 or more, up to {MOST_PASSES}, not {given.rounds}")
    if not 1 <= given.repeats <= MOST_PASSES:
        raise UserError(f"--repeats takes 1 or more, up to {MOST_PASSES}, not {given.repeats}")
    if "input" in request.workload.source:
        raise UserError("a fit makes its own inputs: leave --input away")
    name = request.model.name
    costs = request.model.costs
    workloads = _workloads(request, given.sizes or costs.sizes.fit)
    compiled = costs.sizes.compiled if given.compile_sizes is None else given.compile_sizes
    configuration = configuration_of(request)
    out = given.out or default_folder("fit", name)
    limits = request.limits()
    plan = FitPlan(
        model=request.model,
        workloads=(*workloads, *contrasting(workloads, costs.contrast)),
        held_out=tuple(_workloads(request, given.held_out or "")),
        compiled=tuple(_workloads(request, compiled)),
        configuration=configuration,
        cpu_counts=parse_cpu_counts(given.cpus, len(allowed_cpus())),
        store=Store(out),
        rounds=given.rounds,
        repeats=given.repeats,
    )
    for workload in (*plan.workloads, *plan.held_out):
        request.refuse_without_memory(configuration, workload)
    console = Console()
    with StudyProgress(console, trials=plan.trials) as progress:
        measurement = FitMeasurement(plan, LiveFitRunner(out, limits, progress.stage), progress)
        interrupted = progress.watch(measurement.run)
    if interrupted:
        raise KeyboardInterrupt
    ceilings = dataclasses.asdict(measured_ceilings())
    return _finish(console, measurement.records(), out, ceilings)


def _workloads(request: Request, text: str) -> list[Workload]:
    """Synthetic inputs of the sizes in ``text``, smallest first, at the fidelity of the parts."""
    fidelity = dict(request.model.part_fidelity())
    for axis in request.model.fidelity_axes:
        value = getattr(request.arguments, axis.name)
        if value is not None:
            fidelity[axis.name] = value
    sizes = dict.fromkeys(word.strip() for word in text.split(",") if word.strip())
    found = [request.model.resized(request.workload, size) for size in sizes]
    return sorted((one.with_fidelity(**fidelity) for one in found), key=lambda one: one.size)


def _fit_existing(arguments: Sequence[str]) -> int:
    from perfkit.records.store import read_records

    parser = Parser(prog="perfkit plan fit", description=SUMMARY)
    parser.add_argument("--from", dest="folder", type=Path, required=True)
    parser.add_argument("--configuration", help="label of one, where the folder holds several")
    parser.add_argument("--out", type=Path, help="folder for fit and page (default: the same)")
    given = parser.parse_args(list(arguments))
    records = read_records(given.folder)
    if given.configuration is not None:
        records = [r for r in records if r.configuration.label == given.configuration]
        if not records:
            raise UserError(f"{given.folder} holds no records of {given.configuration!r}")
    return _finish(Console(), records, given.out or given.folder, {})


def _finish(
    console: Console, records: list[Record], out: Path, ceilings: Mapping[str, float]
) -> int:
    """Fit, save, print and draw."""
    from perfkit.capacity.laws.assemble import assemble
    from perfkit.cli.commands.plan_output import print_fit
    from perfkit.report.fit_page import fit_page
    from perfkit.report.writing import write_report

    fit = assemble(records).model_copy(update={"ceilings": dict(ceilings)})
    fit.save(out / FIT_NAME)
    print_fit(console, fit)
    page = out / PAGE_NAME
    write_report(page, fit_page(fit, records))
    path = out / FIT_NAME
    console.line(f"fit: {path} (plan with it: perfkit plan --fit {shlex.quote(str(path))})")
    console.line(f"page: {page}")
    return 0
