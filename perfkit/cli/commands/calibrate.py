"""``perfkit calibrate``: how fast this machine is, for plans made elsewhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from perfkit.cli.console import Console, StudyProgress
from perfkit.cli.workload_arguments import (
    Parser,
    add_knob_argument,
    configuration_of,
    default_folder,
    parse_request,
)
from perfkit.errors import UserError

CALIBRATION_NAME = "calibration.toml"


def _add(parser: Parser) -> None:
    add_knob_argument(parser)
    parser.add_argument("--rounds", type=int, default=5, help="timed passes of each (default 5)")
    parser.add_argument("--out", type=Path, help="folder for records and calibration.toml")


def main(arguments: list[str]) -> int:
    """Measure ceilings and a small real trial on all CPUs, on one, and several at once."""
    from perfkit.capacity.bounds import MOST_PASSES
    from perfkit.capacity.laws.calibration import calibrate, earlier_calibration
    from perfkit.capacity.laws.measure import FitMeasurement, FitPlan
    from perfkit.capacity.laws.runner import LiveFitRunner
    from perfkit.knobs.cpus import allowed_cpus
    from perfkit.observers.roofline.ceilings import measured_ceilings
    from perfkit.records.store import Store

    request = parse_request(
        "calibrate",
        "Measure how fast this machine is beside the one that 'perfkit plan fit' ran on: matrix "
        "product, copy, and a small real trial. The same command resumes.",
        arguments,
        _add,
        plans=True,
    )
    given = request.arguments
    if not 1 <= given.rounds <= MOST_PASSES:
        raise UserError(f"--rounds takes 1 or more, up to {MOST_PASSES}, not {given.rounds}")
    model = request.model
    workload = request.workload
    costs = model.costs
    if not set(costs.input_options) & set(workload.source):
        workload = model.resized(workload, costs.sizes.calibration)
    workload = workload.with_fidelity(**model.part_fidelity())
    configuration = configuration_of(request)
    request.refuse_without_memory(configuration, workload)
    out = given.out or default_folder("calibration")
    plan = FitPlan(
        model=model,
        workloads=(workload,),
        held_out=(),
        compiled=(),
        configuration=configuration,
        cpu_counts=(1,) if len(allowed_cpus()) > 1 else (),
        store=Store(out),
        rounds=given.rounds,
        cached=False,
    )
    # A file that cannot be used is said before minutes are spent.
    path = out / CALIBRATION_NAME
    before = earlier_calibration(path)
    console = Console()
    console.workload(workload, model)
    ceilings = dataclasses.asdict(measured_ceilings())
    with StudyProgress(console, trials=plan.trials) as progress:
        measurement = FitMeasurement(
            plan, LiveFitRunner(out, request.limits(), progress.stage), progress
        )
        interrupted = progress.watch(measurement.run)
    if interrupted:
        raise KeyboardInterrupt
    own = [r for r in measurement.records() if r.workload.digest == workload.digest]
    calibration = calibrate(own, ceilings, before)
    calibration.save(path)
    if before is not None and not calibration.measured_like(before):
        models = ", ".join(sorted({trial.model for trial in before.trials}))
        console.line(
            f"the earlier calibration of {models} was dropped: it was measured on another machine "
            "or with other packages"
        )
    for name, rate in ceilings.items():
        console.line(f"{name.replace('_', ' ')}: {rate:.3g}")
    console.line(f"calibration: {path} (name it as 'calibration' of a machine in the inventory)")
    return 0
