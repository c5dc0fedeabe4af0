"""``perfkit plan check``: a plan against what happened, and a correction for the next plan."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from perfkit.cli.commands.plan.output import print_check
from perfkit.cli.console import Console
from perfkit.cli.json_output import add_json_argument, print_json
from perfkit.cli.workload_arguments import Parser


def _parser() -> Parser:
    parser = Parser(
        prog="perfkit plan check",
        description="Compare a plan with what happened: predicted and measured time and memory of "
        "each job, what fell outside its interval, and the risks of the jobs that are still ahead. "
        "The finished jobs correct the next plan.",
    )
    parser.add_argument("plan", type=Path, help="folder of the plan, or its plan.json")
    parser.add_argument(
        "--records",
        type=Path,
        metavar="DIR",
        help="folder of the results or of records; for a plan that Slurm runs, the folder of the "
        "plan",
    )
    parser.add_argument(
        "--sacct",
        type=Path,
        metavar="FILE",
        help="output of 'sacct --parsable2 --format=JobID,JobName,State,Elapsed,MaxRSS'; jobs that "
        "perfkit did not submit are recognised by their names",
    )
    parser.add_argument(
        "--deadline",
        help="e.g. 12h or 2-00:00:00 from the start of the plan (default: that of the plan)",
    )
    parser.add_argument(
        "--correction",
        type=Path,
        help="correction of an earlier check, whose finished jobs are kept",
    )
    parser.add_argument("--out", type=Path, help="folder for the results (default: PLAN/check)")
    add_json_argument(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Compare and print; 0 when a job of the plan was found, 2 for bad input."""
    given = _parser().parse_args(arguments)
    from perfkit.api.checking import check_plan

    result = check_plan(
        given.plan,
        records=given.records,
        sacct=given.sacct,
        deadline=given.deadline,
        correction=given.correction,
        out=given.out,
    )
    console = Console(to_stderr=given.json)
    print_check(console, result.check)
    console.line(f"check: {result.files.json}")
    console.line(f"page: {result.files.page}")
    if result.files.correction is not None:
        path = shlex.quote(str(result.files.correction))
        console.line(f"correction: perfkit plan ... --correction {path} learns from these jobs")
    if given.json:
        print_json(
            {"files": result.files, "check": json.loads(result.files.json.read_text("utf-8"))}
        )
    return 0
