"""A plan as tables, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.capacity.laws.prediction import Range
from perfkit.capacity.queue.accelerators import published_times
from perfkit.capacity.queue.plan import Plan, PlannedJob
from perfkit.capacity.queue.sizing import Need
from perfkit.report.plain_table import PlainTable
from perfkit.units import bytes_text, percent_text, seconds_text

NOTHING = "-"


def plan_sentence(plan: Plan) -> str:
    """The plan in one sentence."""
    count = len(plan.jobs)
    priced = plan.price is not None
    price = (
        f", {_price(plan.price, plan.inventory.currency, plan.relative_range)}" if priced else ""
    )
    return (
        f"{count} job{'s' if count != 1 else ''} done after "
        f"{_duration(plan.makespan_s, plan.relative_range)}{price}"
    )


def method_sentence(plan: Plan) -> str:
    """How the packing was found and how good it is known to be."""
    packing = plan.packing
    gap = packing.makespan_s / packing.bound_s - 1 if packing.bound_s else 0.0
    return (
        f"Packing: {packing.method}; with the times expected, no packing ends before "
        f"{seconds_text(packing.bound_s)}, so this one is at most {percent_text(gap)} from the "
        "shortest."
    )


def money(amount: float, currency: str) -> str:
    """E.g. ``12.30 EUR``; below one of the currency to two significant digits."""
    digits = f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.2g}"
    return f"{digits} {currency}"


def _duration(seconds: float, factors: tuple[float, float]) -> str:
    """A duration with its interval, whose ends are factors on it."""
    low, high = factors
    return (
        f"{seconds_text(seconds)} [{seconds_text(seconds * low)}, {seconds_text(seconds * high)}]"
    )


def _price(amount: float | None, currency: str, factors: tuple[float, float]) -> str:
    """An amount with its interval, whose ends are factors on it."""
    if amount is None:
        return NOTHING
    low, high = (money(amount * factor, "").strip() for factor in factors)
    return f"{money(amount, currency)} [{low}, {high}]"


def _amount(value: float | None, unit: str, factors: tuple[float, float]) -> str:
    if value is None:
        return NOTHING
    low, high = factors
    return f"{value:.2f}{unit} [{value * low:.2f}, {value * high:.2f}]"


def time_text(told: Range) -> str:
    """A time with its interval."""
    return f"{seconds_text(told.value)} [{seconds_text(told.low)}, {seconds_text(told.high)}]"


def memory_text(told: Range) -> str:
    """Bytes with their interval."""
    return f"{bytes_text(told.value)} [{bytes_text(told.low)}, {bytes_text(told.high)}]"


def size_text(each: PlannedJob) -> str:
    """The size, and what it is padded to where the queue says so."""
    padded = each.bucket is not None and each.bucket != each.job.size
    return f"{each.job.size}" + (f" (in {each.bucket})" if padded else "")


def job_table(plan: Plan, jobs: Sequence[PlannedJob]) -> PlainTable:
    """One row per job, in the order in which they begin."""
    factors = plan.relative_range
    rows = tuple(
        (
            each.job.name,
            each.job.model,
            size_text(each),
            time_text(each.option.time),
            memory_text(each.option.memory),
            plan.fits[each.option.fit].label,
            f"{each.machine.name} {each.placement.node + 1}",
            f"1/{each.option.instances}",
            _duration(each.placement.begin_s, factors) if each.placement.begin_s else "at once",
            _duration(each.placement.end_s, factors),
        )
        for each in jobs
    )
    headers = ("job", "model", "size", "time", "memory", "preset", "machine", "share", "begins")
    return PlainTable("Jobs", (*headers, "ends"), rows)


def machine_table(plan: Plan) -> PlainTable:
    """One row per kind of machine: what it does, how long, at what price."""
    factors = plan.relative_range
    currency = plan.inventory.currency
    rows = tuple(
        (
            use.machine.name,
            f"{use.used} of {use.machine.count}",
            str(use.jobs),
            _amount(use.hours, "", factors),
            percent_text(use.busy),
            _price(use.price, currency, factors),
            _amount(use.energy_kwh, " kWh", factors),
        )
        for use in plan.uses()
    )
    headers = ("machine", "used", "jobs", "machine-hours", "filled", "price", "energy")
    return PlainTable("Machines", headers, rows)


def reject_table(plan: Plan) -> PlainTable:
    """What could not be planned, with row or key."""
    rows = tuple((each.name, each.origin, each.reason) for each in plan.rejects)
    return PlainTable("Not planned", ("name", "where", "why"), rows)


def needs_table(needs: Sequence[Need], currency: str) -> PlainTable:
    """One row a kind of machine by itself."""
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
    headers = ("machines of", "needed", "done after", "price", "why not")
    return PlainTable("How many machines, of one kind alone", headers, rows)


def comparison_table(plan: Plan) -> PlainTable:
    """The queue on accelerators, and the price of a device hour that would cost as much."""
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
    """The figures themselves, a table a source."""
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
