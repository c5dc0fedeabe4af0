"""The page of a capacity table: time and memory by size on each machine."""

from __future__ import annotations

from perfkit.capacity.table.table import CapacityTable
from perfkit.report.capacity_tables import (
    largest_table,
    legend,
    machine_tables,
    table_sentence,
)
from perfkit.report.figures.capacity.table import table_figure, table_info
from perfkit.report.fit_page import held_out_section
from perfkit.report.fit_tables import law_table, shallow_sentence
from perfkit.report.page import Facts, PageContent, PageFigure, PageSection, render_page
from perfkit.units import bytes_text


def capacity_page(table: CapacityTable) -> str:
    """Render the page of a capacity table as a self-contained HTML document."""
    fit = table.fit
    figures: tuple[PageFigure, ...] = ()
    info = table_info(table)
    if info.machines:
        caption = "Bars are the intervals. Sizes right of the dotted line are extrapolated."
        figures = (PageFigure("Time against size", caption, table_figure(info)),)
    lead = shallow_sentence(fit)
    return render_page(
        PageContent(
            title=f"capacity of {fit.model}",
            subtitle=table_sentence(table),
            sides=largest_table(table),
            settings=tuple(fit.settings.items()),
            production=legend(table),
            notices=table.notices,
            facts=(_machine_facts(table), _version_facts(table)),
            sections=(
                PageSection("Time and memory", figures=figures, plain=machine_tables(table)),
                PageSection("Laws", lead=lead, plain=(law_table(fit),)),
                held_out_section(fit),
            ),
        )
    )


def _machine_facts(table: CapacityTable) -> Facts:
    machine = table.fit.machine
    entries = [("CPU", str(machine.get("cpu", "unknown")))]
    memory = machine.get("memory_bytes")
    if isinstance(memory, int | float):
        entries.append(("memory", bytes_text(memory)))
    entries.append(("CPUs of the trials", str(table.fit.cpus)))
    return Facts("Machine of the laws", tuple(entries))


def _version_facts(table: CapacityTable) -> Facts:
    known = table.fit.versions.items()
    return Facts("Versions", tuple((name, version) for name, version in known if version))
