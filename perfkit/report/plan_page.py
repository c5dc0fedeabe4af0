"""The page of a plan: what runs where and when, what is possible, and how far to trust it."""

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
    published_tables,
    reject_table,
)
from perfkit.units import bytes_text

MOST_ROWS = 500
"""Jobs in the page's table; all are in the CSV."""


def plan_page(plan: Plan) -> str:
    """One self-contained HTML document."""
    return render_page(
        PageContent(
            title="plan of a queue",
            sentence=f"{plan_sentence(plan)}.",
            production=(method_sentence(plan),),
            notices=plan.notices,
            facts=(_machine_facts(plan), _fit_facts(plan)),
            sections=(
                _packing_section(plan),
                _jobs_section(plan),
                *_possible_sections(plan),
                PageSection("Accelerators", plain=(comparison_table(plan), *published_tables())),
                *(held_out_section(fit) for fit in plan.fits),
            ),
        )
    )


def _packing_section(plan: Plan) -> PageSection:
    info = gantt_info(plan)
    left_out = ""
    if info.hidden_machines or info.hidden_jobs:
        left_out = f" {info.hidden_machines} machines and {info.hidden_jobs} jobs are not drawn."
    caption = f"A bar is as high as the job's share of its machine.{left_out}"
    figures = [PageFigure("What runs where and when", caption, gantt_figure(info))]
    more = more_machines_info(plan)
    if more is not None:
        caption = "The same queue with a quarter to four times the machines of every kind."
        figures.append(PageFigure("More machines", caption, more_machines_figure(more)))
    return PageSection("Packing", figures=tuple(figures), plain=(machine_table(plan),))


def _jobs_section(plan: Plan) -> PageSection:
    rejected = reject_table(plan)
    tables = (job_table(plan, plan.jobs[:MOST_ROWS]), *((rejected,) if rejected.rows else ()))
    lead = ""
    if len(plan.jobs) > MOST_ROWS:
        lead = f"The first {MOST_ROWS} of {len(plan.jobs)}; all are in plan.csv."
    return PageSection("Jobs", lead=lead, plain=tables)


def _possible_sections(plan: Plan) -> list[PageSection]:
    largest = max(plan.inventory.machines, key=lambda machine: machine.cores)
    sections = []
    for fit in plan.fits:
        info = feasibility_info(fit, largest)
        if not info.sizes:
            continue
        reach = "Right of the dotted line it is more than twice the largest size measured."
        memory = f"Memory at the high end of its interval, preset {fit.label}. {reach}"
        hours = f"One run on a whole machine like {largest.name}, compilation included."
        sections.append(
            PageSection(
                f"What is possible, {fit.model}",
                figures=(
                    PageFigure("Sizes and memory", memory, feasibility_figure(info)),
                    PageFigure("Time over size", hours, hours_figure(info)),
                ),
            )
        )
    return sections


def _machine_facts(plan: Plan) -> Facts:
    return Facts(
        "Machines",
        tuple(
            (
                each.name,
                f"{each.count} with {each.cores} cores, {bytes_text(each.memory_bytes)}",
            )
            for each in plan.inventory.machines
        ),
    )


def _fit_facts(plan: Plan) -> Facts:
    return Facts(
        "Fits",
        tuple(
            (fit.model, f"{fit.label}, {fit.least_size:g} to {fit.largest_size:g}")
            for fit in plan.fits
        ),
    )
