"""The page of a plan: the schedule, the sizes that are possible, and the accuracy."""

from __future__ import annotations

from perfkit.capacity.queue.plan import Plan
from perfkit.report.figures.capacity.feasibility import (
    feasibility_figure,
    feasibility_info,
    hours_figure,
)
from perfkit.report.figures.capacity.gantt import gantt_figure, gantt_info
from perfkit.report.figures.capacity.more_machines import more_machines_figure, more_machines_info
from perfkit.report.fit_page import held_out_section
from perfkit.report.page import Facts, PageContent, PageFigure, PageSection, render_page
from perfkit.report.plan_tables import (
    comparison_table,
    job_table,
    machine_table,
    method_sentence,
    plan_sentence,
    preset_table,
    published_tables,
    reject_table,
    request_table,
    schedule_table,
    search_table,
)
from perfkit.units import HOUR_S, bytes_text, count_text

MOST_ROWS = 500
"""Most jobs in the table of the page. The CSV file has all jobs."""


def plan_page(plan: Plan) -> str:
    """Render the page of a plan as a self-contained HTML document."""
    return render_page(
        PageContent(
            title="plan of a queue",
            sentence=f"{plan_sentence(plan)}.",
            production=(method_sentence(plan),),
            notices=plan.notices,
            facts=(_machine_facts(plan), _fit_facts(plan), _search_facts(plan)),
            sections=(
                _packing_section(plan),
                _jobs_section(plan),
                *_feasibility_sections(plan),
                PageSection("Accelerators", plain=(comparison_table(plan), *published_tables())),
                *(held_out_section(fit) for fit in plan.fits),
            ),
        )
    )


def _packing_section(plan: Plan) -> PageSection:
    info = gantt_info(plan)
    left_out = ""
    if info.hidden_machines or info.hidden_jobs:
        left_out = f" {info.hidden_machines} machines and {info.hidden_jobs} jobs are not shown."
    searches = " Grey bars are genetic searches, whose hours are stated." if plan.searches else ""
    caption = f"The height of a bar is the job's share of its machine.{searches}{left_out}"
    figures = [PageFigure("What runs where and when", caption, gantt_figure(info))]
    more = more_machines_info(plan)
    if more is not None:
        caption = "The same queue with a quarter to four times the machines of every kind."
        figures.append(PageFigure("More machines", caption, more_machines_figure(more)))
    return PageSection("Packing", figures=tuple(figures), plain=(machine_table(plan),))


def _jobs_section(plan: Plan) -> PageSection:
    rejected = reject_table(plan)
    shown = plan.jobs[:MOST_ROWS]
    tables = [
        *([rejected] if rejected.rows else []),
        job_table(plan, shown),
        *([preset_table(plan)] if len(plan.fits) > 1 else []),
        *([search_table(plan, shown)] if plan.searches else []),
        schedule_table(plan, shown),
        request_table(plan),
    ]
    lead = ""
    if len(plan.jobs) > MOST_ROWS:
        lead = f"The first {MOST_ROWS} of {len(plan.jobs)} jobs; plan.csv has all of them."
    return PageSection("Jobs", lead=lead, plain=tuple(tables))


def _feasibility_sections(plan: Plan) -> list[PageSection]:
    largest = max(plan.inventory.machines, key=lambda machine: machine.cores)
    sections = []
    for fit in plan.fits:
        info = feasibility_info(fit, largest)
        if not info.sizes:
            continue
        reach = "Sizes right of the dotted line are more than twice the largest size measured."
        memory = f"Upper end of the memory interval, preset {fit.label}. {reach}"
        hours = f"One run on a whole machine of the kind {largest.name}, including compilation."
        sections.append(
            PageSection(
                f"What is possible, {fit.model}",
                figures=(
                    PageFigure("Sizes and memory", memory, feasibility_figure(info)),
                    PageFigure("Time against size", hours, hours_figure(info)),
                ),
            )
        )
    return sections


def _machine_facts(plan: Plan) -> Facts:
    return Facts(
        "Machines",
        tuple(
            (
                machine.name,
                f"{machine.count} with {machine.cores} cores, {bytes_text(machine.memory_bytes)}",
            )
            for machine in plan.inventory.machines
        ),
    )


def _fit_facts(plan: Plan) -> Facts:
    return Facts(
        "Fits",
        tuple(
            (
                f"{fit.model}, preset {number}",
                f"{fit.label}, {fit.least_size:g} to {fit.largest_size:g}",
            )
            for number, fit in enumerate(plan.fits, 1)
        ),
    )


def _search_facts(plan: Plan) -> Facts:
    """Totals of the genetic searches, which are stated and not measured."""
    found = [each.search for each in plan.searches]
    if not found:
        return Facts("Genetic searches", ())
    hours = sum(search.seconds for search in found) / HOUR_S
    cpu_hours = sum(search.seconds * search.cpus for search in found) / HOUR_S
    last_h = max(each.placement.end_s for each in plan.searches) / HOUR_S
    return Facts(
        "Genetic searches",
        (
            ("number", count_text(len(found), "job")),
            ("stated", f"{hours:.1f} h, {cpu_hours:.1f} CPU-hours"),
            ("last ends", f"after {last_h:.1f} h"),
        ),
    )
