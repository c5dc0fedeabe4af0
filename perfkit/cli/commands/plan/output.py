"""What ``perfkit plan`` and its subcommands print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perfkit.cli.console import Console

if TYPE_CHECKING:
    from perfkit.api.planning import PlanResult
    from perfkit.capacity.check.check import Check
    from perfkit.capacity.laws.fit import ModelFit
    from perfkit.capacity.queue.sizing import Need
    from perfkit.report.plain_table import PlainTable

SHOWN_JOBS = 20
"""Rows of the table of jobs in the terminal."""


def print_table(console: Console, table: PlainTable) -> None:
    """Print a table of texts under its heading."""
    console.table(table.headers, table.rows, table.heading)


def print_fit(console: Console, fit: ModelFit) -> None:
    """Print the laws, and their errors on trials that the fit did not use."""
    from perfkit.report.fit_tables import (
        accuracy_table,
        fit_sentence,
        law_table,
        shallow_sentence,
    )

    console.line(fit_sentence(fit))
    if fit.shallow_sizes:
        console.line(shallow_sentence(fit))
    for notice in fit.notices:
        console.line(f"  note: {notice}")
    print_table(console, law_table(fit))
    accuracy = accuracy_table(fit)
    if accuracy.rows:
        print_table(console, accuracy)
    else:
        console.line("the accuracy of the fit is unknown: it has too few sizes to hold any out")


def print_plan(console: Console, result: PlanResult) -> None:
    """Print the plan, and a summary of the queue as given if a what-if option changed it."""
    from perfkit.report import plan_tables

    plan = result.plan
    for notice in plan.notices:
        console.line(f"note: {notice}")
    shown = plan.jobs[:SHOWN_JOBS]
    print_table(console, plan_tables.job_table(plan, shown))
    if plan.searches:
        print_table(console, plan_tables.search_table(plan, shown))
    print_table(console, plan_tables.schedule_table(plan, shown))
    if len(shown) < len(plan.jobs):
        console.line(f"... and {len(plan.jobs) - len(shown)} more (all are in plan.csv)")
    print_table(console, plan_tables.machine_table(plan))
    print_table(console, plan_tables.request_table(plan))
    if len(plan.fits) > 1:
        print_table(console, plan_tables.preset_table(plan))
    rejected = plan_tables.reject_table(plan)
    if rejected.rows:
        print_table(console, rejected)
    compared = plan_tables.comparison_table(plan)
    if compared.rows:
        print_table(console, compared)
        for source in dict.fromkeys(each.source for each in plan.comparisons()):
            console.line(f"  {source}")
    console.line(plan_tables.plan_sentence(plan))
    console.line(plan_tables.method_sentence(plan))
    if result.base is not None and result.what_if is not None:
        base = plan_tables.plan_sentence(result.base)
        console.line(f"this is with {result.what_if.text}; the queue as given: {base}")


def print_needs(console: Console, found: Sequence[Need], currency: str) -> None:
    """Print how many machines of each kind the queue needs."""
    from perfkit.report.plan_tables import needs_table

    print_table(console, needs_table(found, currency))


def print_check(console: Console, check: Check) -> None:
    """Print the jobs that ended and those that are ahead, and what the check has learned."""
    from perfkit.report import check_tables

    for notice in check.notices:
        console.line(f"note: {notice}")
    for table in (check_tables.ended_table(check), check_tables.ahead_table(check)):
        if table.rows:
            shown = table.rows[:SHOWN_JOBS]
            console.table(table.headers, shown, table.heading)
            if len(shown) < len(table.rows):
                console.line(f"... and {len(table.rows) - len(shown)} more (all are in check.json)")
    print_table(console, check_tables.group_table(check))
    console.line(check_tables.check_sentence(check))
