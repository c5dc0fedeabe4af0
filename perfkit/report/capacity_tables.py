"""The capacity table as text: for the terminal, the page and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.capacity.laws.prediction import COVERAGE
from perfkit.capacity.queue.machines import Machine
from perfkit.capacity.table.table import CapacityTable, Cell
from perfkit.models import get_model
from perfkit.report.fit_tables import fit_sentence, shallow_sentence
from perfkit.report.plain_table import NOTHING, PlainTable
from perfkit.report.plan_tables import memory_text, time_text
from perfkit.units import bytes_text, count_text, percent_text

BEYOND_SIZES, BEYOND_CPUS = "*", "†"
"""Marks of times that are extrapolated: beyond the measured sizes, and beyond the measured CPUs."""

POSSIBLE = "possible"

HEADERS = (
    "size",
    "time of one prediction",
    "peak memory",
    "memory from",
    POSSIBLE,
    "instances",
    "predictions an hour",
)


def table_sentence(table: CapacityTable) -> str:
    """Describe what the table rests on in one sentence."""
    return f"Production runs; laws of {fit_sentence(table.fit)}"


def legend(table: CapacityTable) -> tuple[str, ...]:
    """Explain intervals, marks and sources of memory, in sentences."""
    fit = table.fit
    unit = get_model(fit.model).size_unit
    measured_to = fit.memory_measured_to or fit.largest_size
    law = fit.running_cpus
    most = fit.cpus if law is None else max(law.measured)
    sentences = [
        f"Brackets hold the {percent_text(COVERAGE)} interval.",
        f"{BEYOND_SIZES} extrapolated: larger than {fit.largest_size:,.0f} {unit}, the largest "
        "size whose time was measured.",
        f"{BEYOND_CPUS} extrapolated: more than {count_text(most, 'CPU')}, the most that were "
        "measured. The interval covers an error of the measured share of serial work, not limits "
        "such as memory bandwidth that only show on more CPUs. The same holds for more instances.",
        f"Memory: 'measured law' up to {measured_to:,.0f} {unit}, the largest size whose peak was "
        "measured; 'compiler' is the compiler's count for the program of that size, which was "
        "compiled and not run, with the law of measured overhead; 'law' is extrapolated.",
        "Instances: the number of equal instances side by side with the most predictions an hour "
        "that fit into memory, and the CPUs of each. The times of a size are those of one "
        "prediction on all cores, with start and compilation.",
    ]
    if fit.shallow_sizes:
        sentences.append(shallow_sentence(fit))
    return tuple(sentences)


def machine_tables(table: CapacityTable) -> tuple[PlainTable, ...]:
    """One table for each machine, with one row for each size."""
    return tuple(_machine_table(table, machine) for machine in table.machines)


def largest_table(table: CapacityTable) -> PlainTable:
    """The largest possible size on each machine."""
    rows = []
    for machine in table.machines:
        possible = [cell for cell in table.cells_on(machine) if cell.feasible]
        if possible:
            size, time, memory, source, _, *others = _row(max(possible, key=lambda c: c.job.size))
            rows.append((machine.name, size, time, memory, source, *others))
        else:
            rows.append((machine.name, "none", *[NOTHING] * (len(HEADERS) - 2)))
    headers = tuple(header for header in HEADERS if header != POSSIBLE)
    return PlainTable("Largest possible size on each machine", ("machine", *headers), tuple(rows))


def machine_text(machine: Machine) -> str:
    """Name a machine with its cores and the memory that predictions may use."""
    return (
        f"{machine.name} ({count_text(machine.cores, 'core')}, "
        f"{bytes_text(machine.memory_bytes)} for predictions)"
    )


def _machine_table(table: CapacityTable, machine: Machine) -> PlainTable:
    rows = tuple(_row(cell) for cell in table.cells_on(machine))
    return PlainTable(machine_text(machine), HEADERS, rows)


def _row(cell: Cell) -> tuple[str, ...]:
    best = cell.best
    return (
        size_text(cell),
        NOTHING if cell.time is None else time_text(cell.time) + marks(cell),
        NOTHING if cell.memory is None else memory_text(cell.memory),
        NOTHING if cell.memory is None else cell.source.value,
        "yes" if cell.feasible else f"no: {cell.reason}",
        NOTHING if best is None else f"{best.instances} of {count_text(best.cpus, 'CPU')}",
        NOTHING if best is None else f"{best.per_hour:.3g}",
    )


def size_text(cell: Cell) -> str:
    """Format a size with the model's mark, and the size that it is padded to if that differs."""
    mark = get_model(cell.job.model).costs.sizes.mark
    padded = f" (in {cell.padded:g})" if cell.padded != cell.job.size else ""
    return f"{cell.size}{mark}{padded}"


def marks(cell: Cell) -> str:
    """Return the marks of a time that is extrapolated, after a space; empty for none."""
    found = BEYOND_SIZES if cell.size_factor > 1 else ""
    found += BEYOND_CPUS if cell.cpus_factor > 1 else ""
    return f" {found}" if found else ""


def markdown(table: CapacityTable) -> str:
    """Lay out the table as Markdown."""
    lines = [f"# Capacity of {table.fit.model}", "", f"{_escaped(table_sentence(table))}.", ""]
    for each in machine_tables(table):
        lines += [f"## {_escaped(each.heading)}", "", *_markdown_rows(each), ""]
    lines += [f"- {_escaped(sentence)}" for sentence in (*legend(table), *table.notices)]
    return "\n".join([*lines, ""])


def _markdown_rows(table: PlainTable) -> list[str]:
    rule = "|" + "---|" * len(table.headers)
    return [_line(table.headers), rule, *(_line(row) for row in table.rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    """Escape what Markdown would take for markup; a text stays on one line."""
    for letter in "\\`*_[]<>|":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())
