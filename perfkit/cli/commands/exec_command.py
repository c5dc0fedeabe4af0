"""``perfkit exec``: run any command under a preset, or under the domain guard, or both."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.cli.console import guard_sentence, site_sentence
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import NotWrittenError, UserError
from perfkit.files import write_whole
from perfkit.knobs.environment import preset_conflicts
from perfkit.printable import printable
from perfkit.records.findings import GuardRecord
from perfkit.tune.apply import preset_environment
from perfkit.tune.preset import load_preset

if TYPE_CHECKING:
    from perfkit.knobs.configuration import Configuration


def main(arguments: list[str]) -> int:
    """Run the command; its exit code becomes perfkit's."""
    parser = Parser(
        prog="perfkit exec",
        usage="perfkit exec [--preset P] [--guard [--zero] [--guard-report FILE]] -- CMD...",
        description="Run any command under a preset's environment, affinity and allocator, or "
        "with the domain guard put into its jax.jit, or both.",
    )
    parser.add_argument("--preset", type=Path, help="preset saved by perfkit tune")
    parser.add_argument(
        "--guard",
        action="store_true",
        help="lift operands that leave their domain by rounding, and say how many there were",
    )
    parser.add_argument(
        "--zero",
        action="store_true",
        help="with --guard: also return zero for differences that are rounding in either direction",
    )
    parser.add_argument(
        "--guard-report", type=Path, help="with --guard: also leave what it did in a JSON file"
    )
    parser.add_argument("command", nargs="*", metavar="CMD", help="the command and its arguments")
    given = parser.parse_args(arguments)
    if not given.command:
        raise UserError("there is no command to run: write it behind '--'")
    if given.preset is None and not given.guard:
        raise UserError("say what to run it under: --preset P, or --guard")
    if not given.guard and (given.zero or given.guard_report is not None):
        raise UserError("--zero and --guard-report say more of --guard: give that too")
    environment = dict(os.environ)
    if given.preset is not None:
        configuration = load_preset(given.preset).configuration
        for sentence in preset_conflicts(configuration, environment):
            _say(sentence)
        environment = preset_environment(configuration)
        _bind(configuration)
    if given.guard:
        return _run_guarded(given.command, environment, given.guard_report, zero=given.zero)
    try:
        os.execvpe(given.command[0], given.command, environment)
    except OSError as error:
        raise _cannot_run(given.command, error) from error


def _bind(configuration: Configuration) -> None:
    cpus = configuration.ensure_possible()
    left = configuration.overrides()
    if left:
        told = ", ".join(f"{name}={value}" for name, value in left.items())
        _say(f"the model's own settings are for the command to make: {told}")
    os.sched_setaffinity(0, cpus)


def _run_guarded(
    command: Sequence[str], environment: dict[str, str], report_file: Path | None, *, zero: bool
) -> int:
    """Run the command with the guard in it and report on standard error what the guard did."""
    from perfkit.guard.escaped import ProcessWatch
    from perfkit.guard.exec_guard import MODE_VARIABLE, guarded_environment, read_reports

    with tempfile.TemporaryDirectory(prefix="perfkit-guard-") as folder:
        guarded = guarded_environment(environment, Path(folder), zero_rounding=zero)
        try:
            process = subprocess.Popen(command, env=guarded)
        except OSError as error:
            raise _cannot_run(command, error) from error
        with ProcessWatch(process.pid, MODE_VARIABLE) as watch:
            code = _wait(process)
        report = read_reports(Path(folder), watch.jax_processes())
    counts = GuardRecord.model_validate({"mode": "zero" if zero else "lift", **report})
    _say(f"domain guard: {_what_was_guarded(report, counts)}")
    for sentence in report["not_counted"]:
        _say(f"  {sentence}")
    for site in counts.sites:
        _say(f"  {site_sentence(site)}")
    # A command that a signal ended has a negative code; shells report 128 + signal.
    code = code if code >= 0 else 128 - code
    if report_file is not None:
        try:
            write_whole(report_file, json.dumps(report, indent=2) + "\n", "guard's report")
        except NotWrittenError as error:
            raise NotWrittenError(f"{error}; the command itself ended with code {code}") from error
    return code


def _say(sentence: str) -> None:
    """Print a line on standard error, which leaves standard output to the command."""
    print(f"perfkit: {printable(sentence)}", file=sys.stderr)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the command to end; an interrupt reaches it too, and it decides what to do."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def _what_was_guarded(report: Mapping[str, Any], counts: GuardRecord) -> str:
    """One line on all processes of a command."""
    if report["processes"]:
        return f"{guard_sentence(counts)}, in {report['processes']} process(es)"
    if report["not_counted"]:
        return "nothing was guarded, though JAX was used:"
    return "no Python process loaded JAX, nothing was guarded"


def _cannot_run(command: Sequence[str], error: OSError) -> UserError:
    return UserError(f"{shlex.join(command)} cannot be run ({error.strerror})")
