"""A plan as Slurm job arrays: a script that submits them, and a script that each task runs."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from perfkit.capacity.queue.arrays import Array, arrays, folder_names
from perfkit.capacity.queue.machines import Machine
from perfkit.capacity.queue.plan import Plan, PlannedJob
from perfkit.cluster.search_command import SearchCommand, search_output
from perfkit.cluster.slurm_place import refuse_options
from perfkit.cluster.task import write_list
from perfkit.errors import UserError
from perfkit.files import make_executable, write_whole
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.models import get_model
from perfkit.printable import printable
from perfkit.tuning.preset import write_preset


def write_scripts(
    out: Path, plan: Plan, *, cached: bool, search: SearchCommand | None = None
) -> Path:
    """Write everything that runs a plan below ``out/slurm``, and return the script that submits it.

    Parameters
    ----------
    out
        Folder that all machines of the cluster share. Results are written below it.
    plan
        The plan.
    cached
        Whether jobs share a compilation cache.
    search
        Command of the genetic searches. Without it, the predictions wait for Slurm jobs that are
        named in :data:`SEARCH_JOBS` when the script is run.

    Raises
    ------
    UserError
        A file cannot be written, a search has no input, or Slurm cannot write logs to this folder.
    """
    folder = out.resolve() / "slurm"
    logs = _log_pattern(folder)
    try:
        for name in ("inputs", "logs", "presets", *(["msa"] if plan.searches else [])):
            (folder / name).mkdir(parents=True, exist_ok=True)
        presets = _write_presets(folder, plan)
        names = folder_names([each.job.name for each in plan.jobs])
        lines = [_SUBMIT_HEAD]
        if plan.searches and search is None:
            lines.append(_SEARCH_JOBS_CHECK)
        for number, array in enumerate(arrays(plan), 1):
            listed = folder / f"array-{number}.json"
            inputs = [_input(folder, each, names[each.job.name]) for each in array.jobs]
            dependency = _AFTER_OTHER_SEARCH if array.searches else ""
            if array.searches and search is not None:
                dependency = _AFTER_OWN_SEARCH
                searches = folder / f"msa-{number}.json"
                found = [search_output(folder, names[each.job.name]) for each in array.jobs]
                pairs = zip(array.jobs, inputs, found, strict=True)
                write_list(searches, [search.words(*pair) for pair in pairs])
                lines.append(_search_submission(array, searches.name, logs))
                inputs = [{"input": str(path)} for path in found]
            commands = [
                _command(out.resolve(), each, given, presets, names[each.job.name], cached=cached)
                for each, given in zip(array.jobs, inputs, strict=True)
            ]
            write_list(listed, commands)
            lines.append(_submission(array, listed.name, logs, dependency))
        task = folder / "task.sh"
        write_whole(task, _TASK.format(python=shlex.quote(sys.executable)), "script")
        script = folder / "submit.sh"
        write_whole(script, "\n".join(lines) + "\n", "script")
        for each in (task, script):
            make_executable(each)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror})") from error
    return script


def submit_scripts(script: Path, passed_on: Mapping[str, str | None]) -> list[str]:
    """Submit a plan, and return what ``sbatch`` says of each array.

    Parameters
    ----------
    script
        The script that :func:`write_scripts` has written.
    passed_on
        Further options of every ``sbatch`` by name, without dashes; None for those without a value.

    Raises
    ------
    UserError
        An option is impossible, ``sbatch`` is not found, or Slurm refuses an array.
    """
    refuse_options(passed_on)
    if shutil.which("sbatch") is None:
        raise UserError(f"sbatch is not found: run sh {shlex.quote(str(script))} where Slurm is")
    words = [
        f"--{name}" if text is None else f"--{name}={text}" for name, text in passed_on.items()
    ]
    done = subprocess.run(
        ["sh", str(script), *words], capture_output=True, text=True, errors="replace", check=False
    )
    lines = done.stdout.splitlines()
    if done.returncode != 0:
        before = f" after {len(lines)} arrays were submitted" if lines else ""
        raise UserError(f"Slurm refused the plan{before}: {printable(done.stderr.strip())}")
    return lines


_SUBMIT_HEAD = """#!/bin/sh
# Submits the plan: one array per kind of machine, share of it and preset, longest jobs first.
# Options given to this script are passed to every sbatch, e.g. --account=NAME.
set -e
case $0 in */*) CDPATH='' cd -- "${0%/*}" ;; *) ;; esac"""

SEARCH_JOBS = "PERFKIT_MSA_JOBS"
"""Variable of ``submit.sh`` with the Slurm jobs of genetic searches that perfkit does not submit,
separated by colons."""

_SEARCH_JOBS_CHECK = f"""case ${{{SEARCH_JOBS}:-}} in
'' | *[!0-9_:]*)
  echo "set {SEARCH_JOBS} to the Slurm jobs of the genetic searches, e.g. 1234:1235" >&2
  exit 2 ;;
*) ;;
esac"""

_AFTER_OTHER_SEARCH = f' --dependency="afterok:${{{SEARCH_JOBS}}}" --kill-on-invalid-dep=yes'

_AFTER_OWN_SEARCH = ' --dependency="aftercorr:${search%%;*}" --kill-on-invalid-dep=yes'
"""Each prediction waits for the search of the same task; ``--parsable`` may add the cluster's name
after a semicolon."""

_TASK = """#!/bin/sh
# One task of an array: $1 is the list that holds its command, which no shell interprets. The task
# is bound to CPUs that Slurm only counts.
exec {python} -P -m perfkit.cluster.task "$1"
"""


def _log_pattern(folder: Path) -> str:
    """Return the name of log files; Slurm replaces ``%A`` by the array and ``%a`` by the task."""
    if "\\" in str(folder):
        # Slurm removes the backslash and replaces nothing, so that all tasks would share one log.
        raise UserError(
            f"Slurm writes no logs below {folder}: the name holds a backslash; "
            "give another folder with --out"
        )
    # Slurm prepends the folder of the submission to a relative name and replaces in both.
    below = f"{str(folder).replace('%', '%%')}/" if "%" in str(folder) else ""
    return f"{below}logs/%A-%a.log"


def _submission(array: Array, listed: str, logs: str, dependency: str) -> str:
    options = _options(
        array.name, array.machine, len(array.jobs), array.cpus, array.mebibytes, array.minutes
    )
    words = f"{shlex.join(options)} {shlex.quote(f'--output={logs}')}"
    return f'sbatch {words}{dependency} "$@" task.sh {shlex.quote(listed)}'


def _search_submission(array: Array, listed: str, logs: str) -> str:
    first = array.searches[0]
    options = _options(
        f"{array.name}-msa",
        first.machine,
        len(array.searches),
        first.search.cpus,
        array.search_mebibytes,
        array.search_minutes,
    )
    words = f"{shlex.join(options)} {shlex.quote(f'--output={logs}')}"
    return (
        f'search=$(sbatch --parsable {words} "$@" task.sh {shlex.quote(listed)})\n'
        'echo "Submitted batch job ${search%%;*}"'
    )


def _options(
    name: str, machine: Machine, tasks: int, cpus: int, mebibytes: int, minutes: int
) -> list[str]:
    return [
        f"--job-name={name}",
        f"--array=1-{tasks}",
        "--ntasks=1",
        f"--cpus-per-task={cpus}",
        f"--mem={mebibytes}M",
        f"--time={minutes}",
        *([f"--partition={machine.partition}"] if machine.partition else []),
    ]


def _write_presets(folder: Path, plan: Plan) -> dict[int, Path]:
    """Write the preset of every used fit, without CPUs, which Slurm assigns; return their files."""
    found = {}
    for place in sorted({each.option.fit for each in plan.jobs}):
        fit = plan.fits[place]
        settings = {k: v for k, v in fit.settings.items() if k != CPUS_KNOB.name}
        path = folder / "presets" / f"{place + 1}-{fit.model}.toml"
        write_preset(path, fit.model, settings, {"summary": f"the preset of the fit {fit.label}"})
        found[place] = path
    return found


def _input(folder: Path, each: PlannedJob, name: str) -> Mapping[str, str]:
    """Return the options of ``perfkit run`` that describe a job's input, which may be written."""
    return get_model(each.job.model).costs.run_options(each.job, folder / "inputs" / name)


def _command(
    out: Path,
    each: PlannedJob,
    inputs: Mapping[str, str],
    presets: Mapping[int, Path],
    name: str,
    *,
    cached: bool,
) -> list[str]:
    """Return the words of a job's ``perfkit run``."""
    job = each.job
    words = [sys.executable, "-P", "-m", "perfkit", "run", "--model", job.model]
    costs = get_model(job.model).costs
    for option, value in inputs.items():
        words += [f"--{option}", value]
    for axis, count in job.fidelity.items():
        words += [f"--{axis}", str(count)]
    words += ["--preset", str(presets[each.option.fit])]
    if each.bucket is not None:
        words += ["--knob", f"{costs.padding_knob}={each.bucket}"]
    if cached:
        words += ["--compile-cache", str(out / "slurm" / "compile-cache")]
    # The plan has checked the memory, and the first pass is the prediction itself.
    words += ["--passes", "0", "--force", "--out", str(out / "results" / name)]
    return words
