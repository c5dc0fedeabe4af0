"""What ``perfkit plan`` and ``perfkit plan fit`` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from perfkit.cli.console import Console, cell

if TYPE_CHECKING:
    from perfkit.capacity.laws.fit import ModelFit
    from perfkit.capacity.queue.plan import Plan
    from perfkit.capacity.queue.sizing import Need
    from perfkit.capacity.queue.what_if import WhatIf
    from perfkit.report.plain_table import PlainTable

SHOWN_JOBS = 20
"""Rows of the table of jobs in the terminal."""


def print_table(console: Console, table: PlainTable) -> None:
    """A table of texts, numbers to the right."""
    drawn = Table(title=table.heading or None, title_justify="left")
    for header in table.headers:
        drawn.add_column(cell(header))
    for row in table.rows:
        drawn.add_row(*map(cell, row))
    console.rich.print(drawn)


def print_fit(console: Console, fit: ModelFit) -> None:
    """The laws, and how far they were off on what they have not seen."""
    from perfkit.report.fit_tables import accuracy_table, fit_sentence, law_table

    console.line(fit_sentence(fit))
    for notice in fit.notices:
        console.line(f"  note: {notice}")
    print_table(console, law_table(fit))
    accuracy = accuracy_table(fit)
    if accuracy.rows:
        print_table(console, accuracy)
    else:
        console.line("too few sizes to leave any out: the fit is not judged")


def print_plan(console: Console, plan: Plan, base: Plan | None, what_if: WhatIf | None) -> None:
    """The plan; ``base`` is the queue as it was given, where ``what_if`` changed it."""
    from perfkit.report import plan_tables

    for notice in plan.notices:
        console.line(f"note: {notice}")
    shown = plan.jobs[:SHOWN_JOBS]
    print_table(console, plan_tables.job_table(plan, shown))
    if len(shown) < len(plan.jobs):
        console.line(f"... and {len(plan.jobs) - len(shown)} more (all are in plan.csv)")
    print_table(console, plan_tables.machine_table(plan))
    rejected = plan_tables.reject_table(plan)
    if rejected.rows:
        print_table(console, rejected)
    compared = plan_tables.comparison_table(plan)
    if compared.rows:
        print_table(console, compared)
        for source in dict.fromkeys(one.source for one in plan.comparisons()):
            console.line(f"  {source}")
    console.line(plan_tables.plan_sentence(plan))
    console.line(plan_tables.method_sentence(plan))
    if base is not None and what_if is not None:
        console.line(f"that is with {what_if.text}; as given: {plan_tables.plan_sentence(base)}")


def print_needs(console: Console, found: Sequence[Need], currency: str) -> None:
    """How many machines of each kind it takes."""
    from perfkit.report.plan_tables import needs_table

    print_table(console, needs_table(found, currency))
