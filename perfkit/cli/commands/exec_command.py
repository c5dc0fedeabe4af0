"""``perfkit exec``: run any command under a preset, or under the domain guard, or both."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit.cli.console import guard_sentence, site_sentence
from perfkit.cli.workload_arguments import Parser
from perfkit.errors import NotWrittenError, UserError
from perfkit.files import write_whole
from perfkit.foreign.adapter import ForeignOptions
from perfkit.foreign.plan import MODE_LIFT, MODE_ZERO
from perfkit.foreign.supervise import signals_for_main_thread
from perfkit.knobs.environment import preset_conflicts
from perfkit.knobs.topology import InstanceNumber, parse_instance
from perfkit.printable import printable
from perfkit.records.findings import GuardRecord
from perfkit.records.machine import total_memory_bytes
from perfkit.records.store import Store, ensure_writable
from perfkit.tuning.foreign_runs.run import ForeignRequest, ForeignRun, run_foreign
from perfkit.tuning.foreign_runs.sentences import setting_sentences, summary_sentence
from perfkit.tuning.preset import PresetInstances, load_preset
from perfkit.units import count_text

LARGEST_STEP = 10**6
"""Larger steps of buckets are typing errors: inputs have up to some thousands of tokens."""


def main(arguments: list[str]) -> int:
    """Run the command; its exit code becomes that of perfkit."""
    given = _parsed(arguments)
    with signals_for_main_thread():
        preset = None if given.preset is None else load_preset(given.preset)
    if preset is not None:
        if given.instance is not None:
            _bind_to_share(parse_instance(given.instance), preset.instances)
        for sentence in preset_conflicts(preset.configuration, os.environ):
            _print(sentence)
    if given.record is not None:
        # A folder that cannot be written is refused before the command runs, not hours later.
        ensure_writable(given.record)
    guard = None if not given.guard else MODE_ZERO if given.zero else MODE_LIFT
    options = ForeignOptions(bucket_step=given.bucket_step)
    run = run_foreign(ForeignRequest(tuple(given.command), preset, guard, options))
    _report(run)
    _report_jaxlib(run)
    if given.preset is not None:
        _report_differences(given.preset, run)
    if given.record is not None:
        _keep_record(run, given.record)
    if given.guard_report is not None:
        _write_guard_report(run, given.guard_report)
    return run.ended.exit_code


def _parsed(arguments: list[str]) -> argparse.Namespace:
    """The command line, without options that need others.

    Raises
    ------
    UserError
        There is no command, or nothing to run it under.
    """
    parser = Parser(
        prog="perfkit exec",
        usage="perfkit exec [--preset P [--bucket-step N] [--instance I/K]] "
        "[--guard [--zero] [--guard-report FILE]] [--record DIR] -- CMD...",
        description="Run any command under a preset, or with the domain guard in its jax.jit, or "
        "both. The preset brings its environment, CPUs and allocator, and the settings of the "
        "model; programs that JAX compiles are kept for the next run.",
    )
    parser.add_argument("--preset", type=Path, help="preset saved by perfkit tune")
    parser.add_argument(
        "--bucket-step",
        type=int,
        metavar="N",
        help="with --preset: where it pads inputs to their own size, pad them to multiples of N "
        "tokens, so that fewer programs are compiled",
    )
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
    parser.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="add a record of the run to a folder, for perfkit report and perfkit compare",
    )
    parser.add_argument("command", nargs="*", metavar="CMD", help="the command and its arguments")
    given = parser.parse_args(arguments)
    if not given.command:
        raise UserError("there is no command to run: write it after '--'")
    for option, value in (("--instance", given.instance), ("--bucket-step", given.bucket_step)):
        if value is not None and given.preset is None:
            raise UserError(f"{option} needs --preset: give that, too")
    if given.bucket_step is not None and not 1 <= given.bucket_step <= LARGEST_STEP:
        raise UserError(f"--bucket-step takes 1 to {LARGEST_STEP} tokens, not {given.bucket_step}")
    if given.preset is None and not given.guard and given.record is None:
        raise UserError(
            "there is nothing to run the command under: give --preset P, --guard or --record DIR"
        )
    if not given.guard and (given.zero or given.guard_report is not None):
        raise UserError("--zero and --guard-report need --guard: give that, too")
    return given


def _bind_to_share(instance: InstanceNumber, measured: PresetInstances | None) -> None:
    """Bind this process to the CPUs of an instance.

    Raises
    ------
    UserError
        There are fewer CPUs than instances, or the memory of this machine does not hold them.
    """
    cpus = instance.cpus
    if measured is not None:
        from perfkit.tuning.side_by_side.instances import too_large, too_large_sentence

        memory_bytes = total_memory_bytes()
        if too_large([instance.count], measured.peak_rss_bytes, memory_bytes):
            raise UserError(
                f"{too_large_sentence(instance.count, measured.peak_rss_bytes, memory_bytes)}; "
                "run fewer at a time, or give a preset that was measured at a smaller size"
            )
        if (instance.count, len(cpus)) != (measured.count, measured.cpus):
            _print(
                f"the preset was measured with {count_text(measured.count, 'instance')} of "
                f"{count_text(measured.cpus, 'CPU')}, not with {instance.count} of {len(cpus)}"
            )
    os.sched_setaffinity(0, cpus)


def _report(run: ForeignRun) -> None:
    """Report on standard error what became of the preset and of the guard."""
    preset, report = run.request.preset, run.report
    settings = () if preset is None else (*setting_sentences(preset, report), *report.unreached)
    for sentence in (*run.sentences, *settings, *report.sentences):
        _print(sentence)
    if run.request.guard is not None:
        counts = GuardRecord.model_validate({"mode": run.request.guard, **report.guard})
        _print(f"domain guard: {_guard_summary(report.guard, counts)}")
        for sentence in report.guard["not_counted"]:
            _print(f"  {sentence}")
        for site in counts.sites:
            _print(f"  {site_sentence(site)}")
    _print(summary_sentence(run))


def _report_jaxlib(run: ForeignRun) -> None:
    """Report that answers of the command's jaxlib are wrong on this CPU, if they are.

    Which jaxlib that is, only the command knows. Unless the same build has been examined here
    before, it is examined now, and only after a command that succeeded.
    """
    jaxlib = run.report.jaxlib
    if jaxlib is None:
        return
    from perfkit.diagnose.standing import is_examined, jaxlib_warning

    if not is_examined(jaxlib.xla_flags, build=jaxlib.build):
        if run.ended.code != 0:
            return
        _print("known answers of this jaxlib are examined once on this CPU: about ten seconds")
    warning = jaxlib_warning(jaxlib.xla_flags, python=jaxlib.python, build=jaxlib.build)
    if warning is not None:
        _print(f"warning: {warning}")


def _report_differences(preset: Path, run: ForeignRun) -> None:
    """Report that the preset was measured with another jaxlib, package or CPU, if it was."""
    from perfkit.presets.differences import foreign_differences
    from perfkit.records.machine import fingerprint

    # Applying a preset does not need its measurements, which a person may have edited.
    with contextlib.suppress(UserError):
        for sentence in foreign_differences(preset, run.report.versions, fingerprint()):
            _print(sentence)


def _keep_record(run: ForeignRun, folder: Path) -> None:
    """Add the record of the run to a folder; that this fails must not hide the command's end."""
    from perfkit.tuning.foreign_runs.record import foreign_record

    try:
        Store(folder).append(foreign_record(run))
    except (UserError, OSError) as error:
        _print(f"the record was not written: {error}")
        return
    _print(f"record: {folder}")


def _write_guard_report(run: ForeignRun, file: Path) -> None:
    """Write the report of the guard.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    try:
        write_whole(file, json.dumps(run.report.guard, indent=2) + "\n", "guard's report")
    except NotWrittenError as error:
        raise NotWrittenError(
            f"{error}; the command itself ended with code {run.ended.code}"
        ) from error


def _print(sentence: str) -> None:
    """Print a line on standard error, which leaves standard output to the command.

    A terminal that was closed meanwhile must not change the command's exit code.
    """
    with contextlib.suppress(OSError):
        print(f"perfkit: {printable(sentence)}", file=sys.stderr, flush=True)


def _guard_summary(report: Mapping[str, Any], counts: GuardRecord) -> str:
    """Return one line about all processes of a command."""
    if report["processes"]:
        number = report["processes"]
        return f"{guard_sentence(counts)}, in {number} process{'' if number == 1 else 'es'}"
    if report["not_counted"]:
        return "JAX was used, but nothing was guarded:"
    return "no Python process loaded JAX, so nothing was guarded"
