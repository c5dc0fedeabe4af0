"""Which trials of a fit or calibration its time budget has room for."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence

from perfkit.capacity.laws.fit_plan import FitPlan, Step
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import STARTUP_STAGES, StageName
from perfkit.units import seconds_text

GROWTH = 2.5
"""Power of the size by which the expected time of a pass grows. Only the budget depends on it."""

OPTIONAL = {Role.CPUS: "fewer CPUs", Role.TOGETHER: "instances side by side"}
"""Roles of trials that a fit and a calibration can do without, and what they measure."""


def beyond_budget(
    plan: FitPlan, step: Step, records: Sequence[Record], cpus: int, left_s: float
) -> str | None:
    """Return why a trial is left out, None where it is made.

    A trial that a fit cannot do without is always made. So is the first point of the shallow
    network: nothing predicts its time.

    Parameters
    ----------
    plan
        The plan.
    step
        The trial.
    records
        Records of the study so far.
    cpus
        Number of CPUs of the machine.
    left_s
        Seconds that are left of the budget.
    """
    further = step.workload in plan.further
    if not further and step.role not in OPTIONAL:
        return None
    needed_s = _expected_s(plan, step, records, cpus)
    if needed_s is None or needed_s <= left_s:
        return None
    what = f"{step.workload.size} {plan.model.size_unit}" if further else OPTIONAL[step.role]
    return (
        f"left out: {what}, which would take about {seconds_text(needed_s)} of the "
        f"{seconds_text(max(0.0, left_s))} that are left of the budget"
    )


def _expected_s(plan: FitPlan, step: Step, records: Sequence[Record], cpus: int) -> float | None:
    """Return the expected seconds of a trial from the most similar one, None without any."""
    alike = [
        record
        for record in records
        if record.steady
        and record.outcome is Outcome.OK
        and record.workload.depth == step.workload.depth
    ]
    if not alike:
        return None
    on_cpus = 1 if step.role in OPTIONAL else cpus
    known = max(
        alike,
        key=lambda record: (
            record.workload.digest == step.workload.digest,
            record.allowed_cpus == on_cpus,
            record.workload.size,
        ),
    )
    # Fewer CPUs take longer, at most in proportion. Of the start, only compilation uses several.
    slower = known.allowed_cpus / on_cpus
    growth: float = max(1.0, step.workload.size / known.workload.size) ** GROWTH
    loaded = step.role == Role.TOGETHER and plan.reuse_compilation
    compile_s = 0.0 if loaded else _stages_s(known, (StageName.COMPILE,)) * min(2.0, slower)
    others = [name for name in STARTUP_STAGES if name is not StageName.COMPILE]
    pass_s = statistics.median(stage.wall_s for stage in known.steady)
    passes = plan.rounds + (2 if step.traced else 1)
    return _stages_s(known, others) + compile_s + passes * pass_s * growth * slower


def _stages_s(record: Record, names: Collection[StageName]) -> float:
    return sum(stage.wall_s for stage in record.stages if stage.name in names)
