"""``perfkit plan``: what a queue of jobs takes on your machines, and what runs where and when."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from perfkit.cli.console import Console
from perfkit.cli.json_output import add_json_argument, print_json
from perfkit.cli.place_arguments import add_passed_on_argument, passed_on_of
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import UserError
from perfkit.models import DEFAULT_MODEL, get_model, model_names

FIT, TABLE, CHECK = "fit", "table", "check"


def _parser() -> Parser:
    from perfkit.capacity.queue.what_if import changeable_axes

    parser = Parser(
        prog="perfkit plan",
        description="Plan a queue of predictions: time, memory, price, what runs where and when. "
        "'perfkit plan fit' measures the laws that a plan uses, 'perfkit plan check' compares "
        "a plan with what happened (see their --help).",
    )
    queue = parser.add_argument_group("the queue")
    queue.add_argument(
        "--jobs",
        type=Path,
        help=f"CSV of jobs, or a folder of input files ({_suffixes()}); a row has a name and "
        f"{_columns()}",
    )
    queue.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"model that --size is for: {', '.join(model_names())} (default {DEFAULT_MODEL})",
    )
    queue.add_argument(
        "--size",
        help="plan jobs of these sizes, separated by commas; with --jobs: what-if, set the size of "
        "every job of the model",
    )
    for axis, known in changeable_axes().items():
        models = " or ".join(known.models)
        queue.add_argument(
            f"--{axis}", type=int, help=f"what-if: set the {axis} of every {models} job"
        )
    where = parser.add_argument_group("the machines")
    where.add_argument("--machines", type=Path, help="TOML inventory of machines")
    where.add_argument("--here", action="store_true", help="plan for this machine")
    where.add_argument(
        "--calibration", type=Path, help="with --here: file from 'perfkit calibrate'"
    )
    where.add_argument(
        "--speed", type=float, help="with --here: speed as a multiple of the fit's machine"
    )
    where.add_argument("--price-per-hour", type=float, help="with --here: price of an hour in EUR")
    where.add_argument("--watts", type=float, help="with --here: power in watts")
    parser.add_argument(
        "--fit",
        type=Path,
        action="append",
        default=[],
        help="file from 'perfkit plan fit'; repeatable",
    )
    parser.add_argument("--deadline", help="e.g. 12h or 2-00:00:00; show how many machines keep it")
    parser.add_argument(
        "--budget", type=float, help="price that the queue may cost; show how many machines keep it"
    )
    parser.add_argument(
        "--no-compile-cache", action="store_true", help="let every job compile its own program"
    )
    _add_requests(parser)
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="list jobs and machines that cannot be used, and plan the rest",
    )
    parser.add_argument("--out", type=Path, help="folder for plan, page and Slurm script")
    parser.add_argument(
        "--on",
        choices=("local", "slurm"),
        default="local",
        help="slurm: also submit the jobs, as the Slurm script does (default local: only plan)",
    )
    add_passed_on_argument(parser)
    add_json_argument(parser)
    return parser


def _add_requests(parser: Parser) -> None:
    requests = parser.add_argument_group("what jobs request")
    for what, exceeds in (("memory", "needs more memory"), ("time", "takes longer")):
        requests.add_argument(
            f"--{what}-risk",
            type=float,
            default=0.01,
            help=f"probability that a job {exceeds} than it requests (default 0.01)",
        )
    requests.add_argument(
        "--correction",
        type=Path,
        help="file from 'perfkit plan check': finished jobs correct the predictions",
    )
    requests.add_argument(
        "--msa-command",
        metavar="WORDS",
        help="command of the genetic searches that rows state with msa_hours, submitted before the "
        "predictions; {input}, {output} and {cpus} stand for the fold input, the fold input with "
        "alignments to write, and the CPUs",
    )


def _columns() -> str:
    """Columns of each model, e.g. ``tokens, file, ... (af3), or grid, ... (gencast)``."""
    own = {name: get_model(name).costs.columns for name in model_names()}
    return ", or ".join(f"{', '.join(columns)} ({name})" for name, columns in own.items())


def _suffixes() -> str:
    found = (suffix for name in model_names() for suffix in get_model(name).costs.suffixes)
    return ", ".join(dict.fromkeys(found))


def main(arguments: list[str]) -> int:
    """Plan and print; 0 when every job is planned, 2 for bad input."""
    if arguments[:1] == [FIT]:
        from perfkit.cli.commands.plan import fit

        return fit.main(arguments[1:])
    if arguments[:1] == [TABLE]:
        from perfkit.cli.commands.plan import table

        return table.main(arguments[1:])
    if arguments[:1] == [CHECK]:
        from perfkit.cli.commands.plan import check

        return check.main(arguments[1:])
    from perfkit.api.planning import plan
    from perfkit.capacity.queue.what_if import changeable_axes
    from perfkit.cli.commands.plan.output import print_needs, print_plan

    given = _parser().parse_args(arguments)
    passed_on = passed_on_of(given.place_option)
    if passed_on and given.on == "local":
        raise UserError("--place-option is for sbatch: add --on slurm, or leave it out")
    result = plan(
        fit=given.fit,
        jobs=given.jobs,
        model=given.model,
        size=given.size,
        machines=given.machines,
        here=given.here,
        calibration=given.calibration,
        speed=given.speed,
        price_per_hour=given.price_per_hour,
        watts=given.watts,
        deadline=given.deadline,
        budget=given.budget,
        compile_cache=not given.no_compile_cache,
        memory_risk=given.memory_risk,
        time_risk=given.time_risk,
        correction=given.correction,
        msa_command=given.msa_command,
        keep_going=given.keep_going,
        out=given.out,
        **{axis: getattr(given, axis) for axis in changeable_axes()},
    )
    console = Console(to_stderr=given.json)
    print_plan(console, result)
    if result.needs:
        print_needs(console, result.needs, result.plan.inventory.currency)
    console.line(f"plan: {result.files.csv}, {result.files.json}")
    console.line(f"page: {result.files.page}")
    if given.on == "slurm":
        from perfkit.cluster.slurm import submit_scripts

        for line in submit_scripts(result.files.script, passed_on):
            console.line(line)
        return 0
    script = shlex.quote(str(result.files.script))
    console.line(f"Slurm: sh {script} submits the jobs with their presets")
    if given.json:
        print_json(
            {"files": result.files, "plan": json.loads(result.files.json.read_text("utf-8"))}
        )
    return 0
