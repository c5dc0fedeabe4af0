"""``perfkit exec``: run any command under a preset, or under the domain guard, or both."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.cli.console import guard_sentence, site_sentence
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import NotWrittenError, UserError
from perfkit.files import write_whole
from perfkit.guard.injection.command import cannot_run_error, run_guarded
from perfkit.knobs.environment import preset_conflicts
from perfkit.knobs.topology import InstanceNumber, parse_instance
from perfkit.printable import printable
from perfkit.records.findings import GuardRecord
from perfkit.records.machine import total_memory_bytes
from perfkit.tuning.apply import preset_environment
from perfkit.tuning.preset import PresetInstances, load_preset
from perfkit.tuning.side_by_side.instances import too_large, too_large_sentence

if TYPE_CHECKING:
    from perfkit.knobs.configuration import Configuration


def main(arguments: list[str]) -> int:
    """Run the command; its exit code becomes that of perfkit."""
    parser = Parser(
        prog="perfkit exec",
        usage="perfkit exec [--preset P [--instance I/K]] [--guard [--zero] [--guard-report FILE]] "
        "-- CMD...",
        description="Run any command under the environment, affinity and allocator of a preset, "
        "or with the domain guard in its jax.jit, or both.",
    )
    parser.add_argument("--preset", type=Path, help="preset saved by perfkit tune")
    parser.add_argument(
        "--instance",
        metavar="I/K",
        help="with --preset: bind the command to the I-th of K equal shares of the CPUs",
    )
    parser.add_argument(
        "--guard",
        action="store_true",
        help="lift operands that leave their domain by rounding, and report how many there were",
    )
    parser.add_argument(
        "--zero",
        action="store_true",
        help="with --guard: also set differences to zero that are positive only by rounding",
    )
    parser.add_argument(
        "--guard-report",
        type=Path,
        metavar="FILE",
        help="with --guard: also write the report to a JSON file",
    )
    parser.add_argument("command", nargs="*", metavar="CMD", help="the command and its arguments")
    given = parser.parse_args(arguments)
    if not given.command:
        raise UserError("there is no command to run: write it after '--'")
    if given.instance is not None and given.preset is None:
        raise UserError("--instance needs --preset: give that, too")
    if given.preset is None and not given.guard:
        raise UserError("there is nothing to run the command under: give --preset P or --guard")
    if not given.guard and (given.zero or given.guard_report is not None):
        raise UserError("--zero and --guard-report need --guard: give that, too")
    environment = dict(os.environ)
    if given.preset is not None:
        preset = load_preset(given.preset)
        if given.instance is not None:
            _bind_to_share(parse_instance(given.instance), preset.instances)
        configuration = preset.configuration
        for sentence in preset_conflicts(configuration, environment):
            _print(sentence)
        environment = preset_environment(configuration)
        _apply_to_this_process(configuration)
    if given.guard:
        return _run_guarded(given.command, environment, given.guard_report, zero=given.zero)
    try:
        os.execvpe(given.command[0], given.command, environment)
    except OSError as error:
        raise cannot_run_error(given.command, error) from error


def _bind_to_share(instance: InstanceNumber, measured: PresetInstances | None) -> None:
    """Bind this process to the CPUs of an instance.

    Raises
    ------
    UserError
        There are fewer CPUs than instances, or the memory of this machine does not hold them.
    """
    cpus = instance.cpus
    if measured is not None:
        memory_bytes = total_memory_bytes()
        if too_large([instance.count], measured.peak_rss_bytes, memory_bytes):
            raise UserError(
                f"{too_large_sentence(instance.count, measured.peak_rss_bytes, memory_bytes)}; "
                "run fewer at a time, or give a preset that was measured at a smaller size"
            )
        if (instance.count, len(cpus)) != (measured.count, measured.cpus):
            _print(
                f"the preset was measured with {measured.count} instances of {measured.cpus} CPUs "
                f"each, not with {instance.count} of {len(cpus)}"
            )
    os.sched_setaffinity(0, cpus)


def _apply_to_this_process(configuration: Configuration) -> None:
    """Bind this process to the CPUs of a configuration, and print what only a model can apply."""
    cpus = configuration.ensure_possible()
    overrides = configuration.overrides()
    if overrides:
        settings = ", ".join(f"{name}={value}" for name, value in overrides.items())
        _print(f"the command itself has to apply the settings of the model: {settings}")
    os.sched_setaffinity(0, cpus)


def _run_guarded(
    command: Sequence[str], environment: Mapping[str, str], report_file: Path | None, *, zero: bool
) -> int:
    """Run the command with the guard, and report on standard error what the guard did."""
    run = run_guarded(command, environment, zero_rounding=zero)
    counts = GuardRecord.model_validate({"mode": "zero" if zero else "lift", **run.report})
    _print(f"domain guard: {_guard_summary(run.report, counts)}")
    for sentence in run.report["not_counted"]:
        _print(f"  {sentence}")
    for site in counts.sites:
        _print(f"  {site_sentence(site)}")
    if report_file is not None:
        try:
            write_whole(report_file, json.dumps(run.report, indent=2) + "\n", "guard's report")
        except NotWrittenError as error:
            raise NotWrittenError(
                f"{error}; the command itself ended with code {run.exit_code}"
            ) from error
    return run.exit_code


def _print(sentence: str) -> None:
    """Print a line on standard error, which leaves standard output to the command."""
    print(f"perfkit: {printable(sentence)}", file=sys.stderr)


def _guard_summary(report: Mapping[str, Any], counts: GuardRecord) -> str:
    """Return one line about all processes of a command."""
    if report["processes"]:
        number = report["processes"]
        return f"{guard_sentence(counts)}, in {number} process{'' if number == 1 else 'es'}"
    if report["not_counted"]:
        return "JAX was used, but nothing was guarded:"
    return "no Python process loaded JAX, so nothing was guarded"
