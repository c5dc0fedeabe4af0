"""``perfkit plan table``: time and memory of a model by size, cores and memory of a machine."""

from __future__ import annotations

from pathlib import Path

from perfkit.cli.completion import offered
from perfkit.cli.console import Console
from perfkit.cli.json_output import add_json_argument, print_json
from perfkit.cli.workload_arguments import Parser
from perfkit.models import model_names


def _parser() -> Parser:
    parser = Parser(
        prog="perfkit plan table",
        description="Tabulate production runs by size and machine: time, peak memory, whether they "
        "are possible, and instances side by side. Memory beyond the measured sizes comes from "
        "compiling the program of that size without running it.",
    )
    model = parser.add_argument("--model", help="model of the fit (default: whichever it is of)")
    offered(model, model_names())
    parser.add_argument("--fit", type=Path, required=True, help="file from 'perfkit plan fit'")
    parser.add_argument(
        "--sizes", help="sizes in the model's unit, separated by commas (default: the model's own)"
    )
    parser.add_argument(
        "--machines",
        type=Path,
        help="TOML inventory of machines (default: this machine and common kinds)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        help="file from 'perfkit calibrate' of this machine, if the fit is of another",
    )
    parser.add_argument(
        "--compile-up-to",
        metavar="SIZE",
        help="largest size to compile for its memory, or none (default: as far as the time goes)",
    )
    parser.add_argument(
        "--compile-time", default="10m", help="time for all compilations (default 10m)"
    )
    parser.add_argument("--out", type=Path, help="folder for page, CSV, Markdown and JSON")
    add_json_argument(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Tabulate and print; 0 when there is a table, 2 for bad input."""
    given = _parser().parse_args(arguments)
    from perfkit.api.tabulating import capacity_table
    from perfkit.capacity.table.files import table_data
    from perfkit.cli.commands.plan.output import print_table
    from perfkit.report.capacity_tables import legend, machine_tables, table_sentence

    console = Console(to_stderr=given.json)
    result = capacity_table(
        fit=given.fit,
        model=given.model,
        sizes=given.sizes,
        machines=given.machines,
        calibration=given.calibration,
        compile_up_to=given.compile_up_to,
        compile_time=given.compile_time,
        out=given.out,
        progress=console,
    )
    for table in machine_tables(result.table):
        print_table(console, table)
    console.line(table_sentence(result.table))
    for sentence in (*legend(result.table), *result.table.notices):
        console.line(f"  {sentence}")
    files = result.files
    console.line(f"table: {files.csv}, {files.markdown}, {files.json}")
    console.line(f"page: {files.page}")
    if given.json:
        print_json({"files": files, "table": table_data(result.table)})
    return 0
