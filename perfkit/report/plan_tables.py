"""Tables of a plan, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.capacity.laws.prediction import Range
from perfkit.capacity.queue.accelerators import published_times
from perfkit.capacity.queue.arrays import arrays
from perfkit.capacity.queue.plan import Plan, PlannedJob
from perfkit.capacity.queue.searches import PlannedSearch
from perfkit.capacity.queue.sizing import Need
from perfkit.report.plain_table import NOTHING, PlainTable
from perfkit.units import bytes_text, count_text, percent_text, seconds_text

PLACED_HEADERS = ("job", "machine", "CPUs", "begins", "ends")


def plan_sentence(plan: Plan) -> str:
    """Describe the plan in one sentence: jobs, time until done, price, and what was skipped."""
    priced = plan.price is not None
    price = (
        f", {_price(plan.price, plan.inventory.currency, plan.relative_range)}" if priced else ""
    )
    skipped = f"; {len(plan.rejects)} skipped" if plan.rejects else ""
    return (
        f"{count_text(len(plan.jobs), 'job')} done after "
        f"{_duration(plan.makespan_s, plan.relative_range)}{price}{skipped}"
    )


def method_sentence(plan: Plan) -> str:
    """Describe the packing method and the bound on its distance from the optimum."""
    packing = plan.packing
    gap = packing.makespan_s / packing.bound_s - 1 if packing.bound_s else 0.0
    return (
        f"Packing: {packing.method}; with the expected times, no packing ends before "
        f"{seconds_text(packing.bound_s)}, so this one is at most {percent_text(gap)} longer than "
        "the shortest."
    )


def money(amount: float, currency: str) -> str:
    """Format an amount of money: ``12.30 EUR``; two significant digits below one.

    Parameters
    ----------
    amount
        The amount, in units of the currency.
    currency
        Code of the currency.
    """
    digits = f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.2g}"
    return f"{digits} {currency}"


def _duration(seconds: float, factors: tuple[float, float]) -> str:
    """A duration with its interval; ``factors`` are its ends as multiples of the duration."""
    low, high = factors
    return (
        f"{seconds_text(seconds)} [{seconds_text(seconds * low)}, {seconds_text(seconds * high)}]"
    )


def _price(amount: float | None, currency: str, factors: tuple[float, float]) -> str:
    """A price with its interval; ``factors`` are its ends as multiples of the price."""
    if amount is None:
        return NOTHING
    low, high = (money(amount * factor, "").strip() for factor in factors)
    return f"{money(amount, currency)} [{low}, {high}]"


def _amount(value: float | None, unit: str, factors: tuple[float, float]) -> str:
    if value is None:
        return NOTHING
    low, high = factors
    return f"{value:.2f}{unit} [{value * low:.2f}, {value * high:.2f}]"


def time_text(time: Range) -> str:
    """Format a time in seconds with its interval."""
    return f"{seconds_text(time.value)} [{seconds_text(time.low)}, {seconds_text(time.high)}]"


def memory_text(memory: Range) -> str:
    """Format a number of bytes with its interval."""
    return f"{bytes_text(memory.value)} [{bytes_text(memory.low)}, {bytes_text(memory.high)}]"


def size_text(planned: PlannedJob) -> str:
    """Format the size of a job, with the size that it is padded to if that differs."""
    padded = planned.bucket is not None and planned.bucket != planned.job.size
    return f"{planned.job.size}" + (f" (in {planned.bucket})" if padded else "")


def job_table(plan: Plan, jobs: Sequence[PlannedJob]) -> PlainTable:
    """One row per job, by start time: its size, time and memory, and what it requests.

    With several fits, a column has the number of the preset in :func:`preset_table`.

    Parameters
    ----------
    plan
        The plan.
    jobs
        Jobs of the plan to list.
    """
    several = len(plan.fits) > 1
    rows = tuple(
        (
            each.job.name,
            size_text(each),
            *([str(each.option.fit + 1)] if several else []),
            time_text(each.option.time),
            memory_text(each.option.memory),
            seconds_text(each.option.request.time_s),
            bytes_text(each.option.request.memory_bytes),
        )
        for each in jobs
    )
    headers = ("job", "size", *(["preset"] if several else []), "time", "memory")
    return PlainTable("Jobs", (*headers, "requested time", "requested memory"), rows)


def schedule_table(plan: Plan, jobs: Sequence[PlannedJob]) -> PlainTable:
    """One row per job, by start time: where and when it runs.

    Parameters
    ----------
    plan
        The plan.
    jobs
        Jobs of the plan to list.
    """
    rows = tuple(
        _placed(plan, each.job.name, each, f"{each.cpus} (1/{each.option.instances})")
        for each in jobs
    )
    return PlainTable("Where and when", PLACED_HEADERS, rows)


def search_table(plan: Plan, jobs: Sequence[PlannedJob]) -> PlainTable:
    """One row per job with a genetic search: where and when the search runs.

    Parameters
    ----------
    plan
        The plan.
    jobs
        Jobs of the plan to list.
    """
    rows = tuple(
        _placed(plan, each.job.name, search, f"{search.search.cpus} of {search.cpus}")
        for each in jobs
        if (search := each.search) is not None
    )
    return PlainTable("Genetic searches", PLACED_HEADERS, rows)


def _placed(plan: Plan, job: str, placed: PlannedJob | PlannedSearch, cpus: str) -> tuple[str, ...]:
    """A row under :data:`PLACED_HEADERS`; ``cpus`` describes the share of the machine."""
    begin_s, end_s = placed.placement.begin_s, placed.placement.end_s
    begins = _duration(begin_s, plan.relative_range) if begin_s else "at once"
    machine = f"{placed.machine.name} {placed.placement.node + 1}"
    return (job, machine, cpus, begins, _duration(end_s, plan.relative_range))


def preset_table(plan: Plan) -> PlainTable:
    """One row per fit, whose preset the tables of jobs name by its number."""
    rows = tuple(
        (str(number), fit.model, f"{fit.least_size:g} to {fit.largest_size:g}", fit.label)
        for number, fit in enumerate(plan.fits, 1)
    )
    return PlainTable("Presets", ("preset", "model", "measured sizes", "settings"), rows)


def request_table(plan: Plan) -> PlainTable:
    """One row per Slurm array: the memory and time that each of its tasks requests."""
    risks = plan.expectation.risks
    rows = [
        (
            array.name,
            str(len(array.jobs)),
            str(array.cpus),
            f"{array.mebibytes}M",
            _limit(array.minutes),
        )
        for array in arrays(plan)
    ]
    rows += [
        (
            f"{array.name}-msa",
            str(len(array.searches)),
            str(array.searches[0].search.cpus),
            f"{array.search_mebibytes}M",
            _limit(array.search_minutes),
        )
        for array in arrays(plan)
        if array.searches
    ]
    heading = (
        f"Requests of Slurm arrays (a job runs out of memory with {percent_text(risks.memory)}, "
        f"out of time with {percent_text(risks.time)} probability)"
    )
    return PlainTable(heading, ("array", "jobs", "CPUs", "--mem", "--time"), tuple(rows))


def _limit(minutes: int) -> str:
    return f"{minutes} ({seconds_text(60 * minutes)})"


def machine_table(plan: Plan) -> PlainTable:
    """One row per kind of machine: jobs, machine-hours, price and energy."""
    factors = plan.relative_range
    searching = bool(plan.searches)
    currency = plan.inventory.currency
    rows = tuple(
        (
            use.machine.name,
            f"{use.used} of {use.machine.count}",
            str(use.jobs),
            *([str(use.searches)] if searching else []),
            _amount(use.hours, "", factors),
            percent_text(use.busy),
            _price(use.price, currency, factors),
            _amount(use.energy_kwh, " kWh", factors),
        )
        for use in plan.uses()
    )
    counted = ("jobs", *(["searches"] if searching else []))
    headers = ("machine", "used", *counted, "machine-hours", "filled", "price", "energy")
    return PlainTable("Machines", headers, rows)


def reject_table(plan: Plan) -> PlainTable:
    """One row per job that could not be planned, with its origin in the input and the reason."""
    rows = tuple((each.name, each.origin, each.reason) for each in plan.rejects)
    return PlainTable("Not planned: skipped", ("name", "origin", "reason"), rows)


def needs_table(needs: Sequence[Need], currency: str) -> PlainTable:
    """One row per kind of machine: the number needed if no other kind is used."""
    rows = tuple(
        (
            need.machine.name,
            NOTHING if need.machines is None else str(need.machines),
            _duration(need.makespan_s, (need.low, need.high)) if need.makespan_s else NOTHING,
            _price(need.price, currency, (need.low, need.high)),
            need.reason,
        )
        for need in needs
    )
    headers = ("machine", "needed", "done after", "price", "why not")
    return PlainTable("Machines needed if only one kind is used", headers, rows)


def comparison_table(plan: Plan) -> PlainTable:
    """The queue on accelerators, with the break-even price of a device-hour."""
    currency = plan.inventory.currency
    rows = tuple(
        (
            one.model,
            one.device,
            str(one.jobs) + (f" ({one.left_out} without a figure)" if one.left_out else ""),
            f"{one.hours:.2f}",
            _price(one.break_even, currency, plan.relative_range),
        )
        for one in plan.comparisons()
    )
    headers = ("model", "device", "jobs", "device-hours", "break-even price of an hour")
    return PlainTable("Against accelerators", headers, rows)


def published_tables() -> tuple[PlainTable, ...]:
    """Published times on accelerators, one table per source."""
    figures = published_times()
    return tuple(
        PlainTable(
            f"Published times: {source}",
            ("device", "size", "time"),
            tuple(
                (one.device, one.size, seconds_text(one.seconds))
                for one in figures
                if one.source == source
            ),
        )
        for source in dict.fromkeys(one.source for one in figures)
    )
