"""The plan of a queue of jobs: time, memory, price, and what runs where and when."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.api.reporting import PAGE_NAME
from perfkit.api.results import html_table
from perfkit.api.subject import default_folder, seconds_of
from perfkit.capacity.bounds import LARGEST
from perfkit.capacity.correction.correction import Correction
from perfkit.capacity.laws.calibration import MOST_FACTOR, Calibration
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.packages import ensure_same_package, fit_notices, package_here
from perfkit.capacity.queue.estimate import Risks
from perfkit.capacity.queue.expected import Expectation
from perfkit.capacity.queue.jobs import read_jobs, sized_jobs
from perfkit.capacity.queue.machines import Inventory, read_inventory, this_machine
from perfkit.capacity.queue.plan import Plan, make_plan, reason_not_measured_here
from perfkit.capacity.queue.plan_files import PLAN_FILE, write_csv, write_json, write_skipped
from perfkit.capacity.queue.sizing import Need, needs
from perfkit.capacity.queue.what_if import WhatIf, what_if
from perfkit.cluster.search_command import SearchCommand, parse_search_command
from perfkit.cluster.slurm import write_scripts
from perfkit.errors import UserError
from perfkit.models import DEFAULT_MODEL, get_model
from perfkit.models.costs import Job, Reject
from perfkit.records.machine import fingerprint, package_versions
from perfkit.records.store import ensure_writable
from perfkit.report import plan_tables
from perfkit.report.plan_page import plan_page
from perfkit.report.writing import write_report

DEFAULT_RISKS = Risks()

LEAST_RISK, MOST_RISK = 1e-6, 0.5
"""Range of risks: an interval says nothing about rarer events."""


@dataclass(frozen=True)
class PlanFiles:
    """Files of a plan.

    Attributes
    ----------
    csv, json
        The jobs with machine, begin and end.
    skipped
        The jobs, rows and machines that could not be planned, with the reasons.
    page
        The page.
    script
        Shell script that submits the jobs to Slurm with their presets.
    """

    csv: Path
    json: Path
    skipped: Path
    page: Path
    script: Path


@dataclass(frozen=True, repr=False)
class PlanResult:
    """A planned queue.

    Attributes
    ----------
    plan
        The jobs on the machines; times in seconds, memory in bytes, prices in the inventory's
        currency.
    base
        The plan of the queue as given, if a what-if option changed it; else None.
    what_if
        The change, or None.
    needs
        For each kind of machine, how many of that kind alone keep the deadline or the budget.
    files
        The files that were written.
    """

    plan: Plan
    base: Plan | None
    what_if: WhatIf | None
    needs: tuple[Need, ...]
    files: PlanFiles

    def __repr__(self) -> str:
        return "\n".join([plan_tables.plan_sentence(self.plan), f"page: {self.files.page}"])

    def _repr_html_(self) -> str:
        table = plan_tables.job_table(self.plan, self.plan.jobs)
        return html_table(table.headers, table.rows) + f"<p>{self}</p>"


def plan(
    *,
    fit: Path | str | Sequence[Path | str] = (),
    jobs: Path | str | None = None,
    model: str = DEFAULT_MODEL,
    size: str | float | None = None,
    machines: Path | str | None = None,
    here: bool = False,
    calibration: Path | str | None = None,
    speed: float | None = None,
    price_per_hour: float | None = None,
    watts: float | None = None,
    deadline: str | float | None = None,
    budget: float | None = None,
    compile_cache: bool = True,
    memory_risk: float = DEFAULT_RISKS.memory,
    time_risk: float = DEFAULT_RISKS.time,
    correction: Path | str | None = None,
    msa_command: str | None = None,
    keep_going: bool = False,
    out: Path | str | None = None,
    **axes: int | None,
) -> PlanResult:
    """Plan a queue of predictions on machines, as ``perfkit plan`` does.

    Parameters
    ----------
    fit
        One or more files from ``perfkit plan fit``: the measured laws of time and memory.
    jobs
        CSV of jobs, or a folder of inputs; None plans `size` alone.
    model
        Name of the model that `size` is for.
    size
        Size in the model's unit, or several with commas; with `jobs`, a size that replaces that of
        every job of `model`.
    machines
        TOML inventory of machines; exclusive with `here`.
    here
        Whether to plan for this machine.
    calibration
        With `here`, file from ``perfkit calibrate``.
    speed
        With `here`, stated speed as a multiple of the fit's machine.
    price_per_hour
        With `here`, price of one machine-hour in EUR.
    watts
        With `here`, power of the machine in watts.
    deadline
        Time after which all jobs should be done: seconds, or text such as ``12h``.
    budget
        Price that the queue may cost, in the inventory's currency.
    compile_cache
        Whether jobs share compiled programs.
    memory_risk, time_risk
        Probability that a job needs more memory, or takes longer, than the plan requests for it.
    correction
        File from ``perfkit plan check``, whose finished jobs correct the predictions.
    msa_command
        Command of the genetic searches that jobs state, with the places ``{input}``, ``{output}``
        and ``{cpus}``; None if they are not submitted with the plan.
    keep_going
        Whether to plan the rest when some jobs or machines cannot be used.
    out
        Folder for plan, page and Slurm script; by default below ``perfkit-results``.
    **axes
        Fidelity to set in every job whose model has the axis, e.g. ``seeds=5``.

    Returns
    -------
    PlanResult
        The plan and its files.

    Raises
    ------
    UserError
        An argument or a file is bad, or a job fits on no machine and `keep_going` is not set.

    Examples
    --------
    >>> planned = perfkit.plan(fit="fit.json", here=True, size="400,800")  # doctest: +SKIP
    >>> planned.plan.makespan_s  # doctest: +SKIP
    """
    deadline_s = None if deadline is None else seconds_of(deadline)
    _ensure_within("budget", budget, 0.0, LARGEST)
    expectation = _expectation(memory_risk, time_risk, correction)
    search = None if msa_command is None else parse_search_command(msa_command)
    files = [fit] if isinstance(fit, str | Path) else list(fit)
    if not files:
        raise UserError("a plan needs a fit: give one with --fit ('perfkit plan fit' measures it)")
    fits = [ModelFit.load(Path(file)) for file in files]
    for loaded in fits:
        ensure_same_package(loaded, package_here(loaded))
    local = {
        "calibration": calibration, "speed": speed, "price_per_hour": price_per_hour, "watts": watts
    }  # fmt: skip
    if (machines is None) != here:
        raise UserError("a plan needs machines: give either --machines FILE or --here")
    if machines is not None:
        inventory = _inventory(
            Path(machines), [n for n in local if local[n] is not None], keep_going
        )
    else:
        inventory = _this_machine(calibration, speed, price_per_hour, watts, fits)
    queued, rejects, change = _queue(jobs, model, size, axes, keep_going)
    rejects = [*inventory.rejects, *rejects]
    base = None
    if change is not None and change.text:
        base = _planned(queued, inventory, fits, rejects, compile_cache, keep_going, expectation)
        queued = [change.applied(job) for job in queued]
    made = _planned(queued, inventory, fits, rejects, compile_cache, keep_going, expectation)
    found: list[Need] = []
    if deadline_s is not None or budget is not None:
        placed = [each.job for each in made.jobs]
        found = needs(
            placed, inventory.machines, fits,
            cached=compile_cache, deadline_s=deadline_s, budget=budget, expectation=expectation,
        )  # fmt: skip
    folder = Path(out) if out is not None else default_folder("plan")
    written = _write(folder, made, compile_cache, deadline_s, search)
    return PlanResult(made, base, change, tuple(found), written)


def _expectation(
    memory_risk: float, time_risk: float, correction: Path | str | None
) -> Expectation:
    """The risks of requests, and the finished jobs that correct predictions."""
    for name, risk in (("memory_risk", memory_risk), ("time_risk", time_risk)):
        if not LEAST_RISK <= risk <= MOST_RISK:
            raise UserError(
                f"--{name.replace('_', '-')} takes a probability from {LEAST_RISK:g} to "
                f"{MOST_RISK:g}, not {risk:g}"
            )
    loaded = Correction() if correction is None else Correction.load(Path(correction))
    return Expectation(Risks(memory=memory_risk, time=time_risk), loaded)


def _inventory(file: Path, local: Sequence[str], keep_going: bool) -> Inventory:
    """The machines of a file. Options in ``local`` describe this machine and are refused."""
    if local:
        name = local[0]
        raise UserError(f"--{name.replace('_', '-')} goes with --here; write {name} into {file}")
    inventory = read_inventory(file)
    _refuse(inventory.rejects, keep_going)
    if not inventory.machines:
        raise UserError(inventory.rejects[0].sentence)
    return inventory


def _this_machine(
    calibration: Path | str | None,
    speed: float | None,
    price_per_hour: float | None,
    watts: float | None,
    fits: Sequence[ModelFit],
) -> Inventory:
    """This machine, with its speed relative to the one that the fits were measured on."""
    _ensure_within("speed", speed, 1 / MOST_FACTOR, MOST_FACTOR)
    _ensure_within("price_per_hour", price_per_hour, 0.0, LARGEST)
    _ensure_within("watts", watts, 0.0, LARGEST)
    inventory = this_machine(price_per_hour, watts)
    loaded = None if calibration is None else Calibration.load(Path(calibration))
    if loaded is None and speed is None:
        reason = reason_not_measured_here(fits, fingerprint().known())
        if reason is not None:
            raise UserError(reason)
    (machine,) = inventory.machines
    machine = dataclasses.replace(machine, calibration=loaded, speed=speed)
    return dataclasses.replace(inventory, machines=(machine,))


def _queue(
    file: Path | str | None,
    model: str,
    size: str | float | None,
    axes: Mapping[str, int | None],
    keep_going: bool,
) -> tuple[list[Job], list[Reject], WhatIf | None]:
    """The jobs, the rows or files that cannot be read, and the what-if change, if any."""
    name = get_model(model).name
    text = None if size is None else str(size)
    if file is None:
        if text is None:
            raise UserError("there is nothing to plan: give --jobs FILE or --size")
        change = what_if(axes, None, name)
        return [change.applied(job) for job in sized_jobs(name, text)], [], None
    change = what_if(axes, text, name)
    jobs, rejects = read_jobs(Path(file))
    _refuse(rejects, keep_going)
    return jobs, rejects, change


def _ensure_within(name: str, value: float | None, above: float, most: float) -> None:
    """Refuse a number that is not above ``above``, or that exceeds ``most``."""
    if value is not None and not above < value <= most:
        raise UserError(
            f"--{name.replace('_', '-')} takes more than {above:g}, up to {most:g}, not {value:g}"
        )


def _planned(
    jobs: Sequence[Job],
    inventory: Inventory,
    fits: Sequence[ModelFit],
    rejects: Sequence[Reject],
    cached: bool,
    keep_going: bool,
    expectation: Expectation,
) -> Plan:
    versions = package_versions()
    notices = [n for fit in fits for n in fit_notices(fit, package_here(fit), versions)]
    made = make_plan(
        jobs, inventory, fits,
        cached=cached, rejects=rejects, notices=notices, expectation=expectation,
    )  # fmt: skip
    _refuse(made.rejects, keep_going)
    if not made.jobs:
        raise UserError(f"no job can be planned; {made.rejects[0].sentence}")
    return made


def _refuse(rejects: Sequence[Reject], keep_going: bool) -> None:
    """Raise an error for the first entry that cannot be planned, unless ``keep_going`` is set."""
    if rejects and not keep_going:
        further = len(rejects) - 1
        more = f" (and {further} more; --keep-going plans the rest)" if further else ""
        raise UserError(f"{rejects[0].sentence}{more}")


def _write(
    folder: Path,
    made: Plan,
    cached: bool,
    deadline_s: float | None,
    search: SearchCommand | None,
) -> PlanFiles:
    """Write CSV, JSON, list of skipped jobs, page and Slurm script."""
    ensure_writable(folder)
    table, data, page = folder / "plan.csv", folder / PLAN_FILE, folder / PAGE_NAME
    skipped = folder / "skipped.csv"
    write_csv(table, made)
    script = write_scripts(folder, made, cached=cached, search=search)
    write_json(data, made, deadline_s)
    write_skipped(skipped, made)
    write_report(page, plan_page(made))
    return PlanFiles(table, data, skipped, page, script)
