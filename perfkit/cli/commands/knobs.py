"""``perfkit knobs``: the catalogue of knobs on this machine."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from perfkit.api.knob_catalogue import KnobCatalogue, KnobEntry, knob_catalogue
from perfkit.cli.console import Console, cell
from perfkit.cli.json_output import print_json
from perfkit.cli.workload_arguments import Parser
from perfkit.models import DEFAULT_MODEL, model_names
from perfkit.printable import printable

WIDTH = 100
"""Most columns of the table: fits on half a screen, and its columns can be read across."""

COLUMNS = {"knob": 38, "default": 11, "worth trying here": 26, "set per": 13, "exact": 5}
"""Columns of the table, and their shares of its width: the longest names fit in one line."""

EMPTY = "(empty)"
"""Shown for a value that is the empty text."""


def main(arguments: list[str]) -> int:
    """Print the catalogue; 0."""
    parser = Parser(
        prog="perfkit knobs",
        description="List the knobs of a model on this machine: default, values worth trying "
        "here, values that are not available here and why.",
    )
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help=f"the model: {', '.join(model_names())}"
    )
    parser.add_argument(
        "--all-flags", action="store_true", help="also list all flags of the installed jaxlib"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    catalogue = knob_catalogue(given.model, all_flags=given.all_flags)
    if given.json:
        print_json(catalogue_data(catalogue))
    else:
        _print(Console(), catalogue)
    return 0


def catalogue_data(catalogue: KnobCatalogue) -> dict[str, Any]:
    """The catalogue as plain data, for JSON."""
    host = catalogue.host
    return {
        "model": catalogue.model,
        "machine": {
            "instruction_sets": sorted(host.instruction_sets),
            "cpus": host.cpus,
            "allocators": sorted(host.allocators),
        },
        "knobs": [
            {
                "name": entry.name,
                "summary": entry.summary,
                "layer": entry.layer.value,
                "set_per": entry.scope.value,
                "default": entry.default,
                "allowed": entry.allowed,
                "exact": entry.exact,
                "worth_trying": list(entry.worth_trying),
                "not_here": dict(entry.not_here),
            }
            for entry in catalogue.knobs
        ],
        "missing": list(catalogue.missing),
        "further_flags": dict(catalogue.further_flags),
    }


def _print(console: Console, catalogue: KnobCatalogue) -> None:
    width = min(WIDTH, console.rich.width)
    table = Table(width=width, box=SIMPLE_HEAD, leading=1, pad_edge=False, collapse_padding=True)
    for header, share in COLUMNS.items():
        table.add_column(header, ratio=share, overflow="fold")
    for entry in catalogue.knobs:
        table.add_row(
            _name_cell(entry),
            cell(entry.default or EMPTY),
            Text("\n").join(cell(value or EMPTY) for value in entry.worth_trying),
            cell(entry.scope),
            cell("yes" if entry.exact else "no"),
        )
    console.rich.print(table)
    for line in notes(catalogue):
        console.rich.print(cell(line), width=width)
    for name, value in catalogue.further_flags.items():
        console.line(f"{name}={value}")


def _name_cell(entry: KnobEntry) -> Text:
    text = Text(printable(entry.name), style="bold")
    text.append(printable(f"\n{entry.layer}: {entry.summary}", keep="\n"), style="not bold")
    if entry.allowed is not None:
        text.append(printable(f"\nallowed: {entry.allowed}", keep="\n"), style="not bold dim")
    return text


def notes(catalogue: KnobCatalogue) -> list[str]:
    """The lines below the table: the columns, then why some values are not available here."""
    lines = [
        "set per: process, a value needs a new process; program, a new trace in any process; "
        "compilation, the same traced program can be compiled with several values.",
        "exact: no value can change the answer beyond rounding.",
        *catalogue.missing,
    ]
    for entry in catalogue.knobs:
        if entry.name != "allocator":
            lines += [f"not here: {entry.name}={v}; {why}" for v, why in entry.not_here.items()]
    if catalogue.further_flags:
        count = len(catalogue.further_flags)
        lines.append(f"{count} further flags of the installed jaxlib, with their stock values:")
    return lines
