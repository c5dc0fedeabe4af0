"""``perfkit status``: the state of a study that workers share."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

from perfkit.api.shared.elsewhere import FOLLOW_S, status_of
from perfkit.cli.console import Console
from perfkit.cli.workload_arguments import Parser
from perfkit.cluster.study_status import StudyStatus, UnitState

HEADERS = ("unit", "state", "node", "why")
JOB_HEADERS = ("job", "state", "detail")


def main(arguments: list[str]) -> int:
    """Print the state; 0 if no unit has failed, else 1."""
    parser = Parser(
        prog="perfkit status",
        description="Show the state of a study that workers share: what is queued, running, done, "
        "or failed, and why.",
    )
    parser.add_argument("study", type=Path, help="folder of the study, as given with --out")
    parser.add_argument(
        "--watch",
        action="store_true",
        help=f"print the counts every {FOLLOW_S:g} s until no unit is open; Ctrl-C does not end "
        "the study",
    )
    parser.add_argument("--json", action="store_true", help="print the state as JSON")
    given = parser.parse_args(arguments)
    console = Console()
    status = status_of(given.study)
    while given.watch and not status.is_finished and status.has_workers:
        if not given.json:
            console.line(status.sentence)
        time.sleep(FOLLOW_S)
        status = status_of(given.study)
    if given.json:
        print(json.dumps({**asdict(status), "counts": status.counts}, indent=1))
    else:
        show_status(console, status)
    return 1 if status.counts[UnitState.FAILED] else 0


def show_status(console: Console, status: StudyStatus) -> None:
    """Print the units, the jobs, and the counts."""
    console.table(HEADERS, ((one.label, one.state, one.where, one.why) for one in status.units))
    if status.jobs:
        console.table(JOB_HEADERS, ((job.id, job.state, job.detail) for job in status.jobs))
    for sentence in (*status.endings, *status.busy):
        console.line(sentence)
    if status.time_sentence:
        console.line(status.time_sentence)
    console.line(status.sentence)
