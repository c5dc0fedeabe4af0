"""A plan as Slurm job arrays: a script that submits them, and a script that each task runs."""

from __future__ import annotations

import math
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit.capacity.queue.machines import Machine
from perfkit.capacity.queue.plan import Plan, PlannedJob
from perfkit.cluster.slurm_place import refuse_options
from perfkit.cluster.task import write_list
from perfkit.errors import UserError
from perfkit.file_names import file_name
from perfkit.files import make_executable, write_whole
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.models import get_model
from perfkit.printable import printable
from perfkit.tuning.preset import write_preset

ARRAY_LENGTH = 1000
"""Largest number of tasks per array. The default of Slurm's ``MaxArraySize`` is 1001."""

MEBIBYTE = 2**20

TIME_MARGIN = 2.0
"""Time limit of a task that may hang, relative to the high end of its interval."""

LEAST_MINUTES = 10

JOB_NAME_BYTES = 60
"""Longest name of a Slurm job; listings of the queue truncate it anyway."""


@dataclass(frozen=True)
class Array:
    """Jobs with the same kind of machine, share of it and preset.

    Attributes
    ----------
    machine
        Kind of machine.
    jobs
        Planned jobs, one per task.
    """

    machine: Machine
    jobs: tuple[PlannedJob, ...]

    @property
    def cpus(self) -> int:
        """Number of CPUs per task."""
        return self.jobs[0].cpus

    @property
    def mebibytes(self) -> int:
        """Memory per task in MiB: the largest high end, at most the share of the machine."""
        needed = math.ceil(max(each.option.memory.high for each in self.jobs) / MEBIBYTE)
        share = self.machine.memory_bytes // MEBIBYTE // self.jobs[0].option.instances
        # Slurm interprets 0 as all memory of the machine.
        return max(1, min(needed, share))

    @property
    def minutes(self) -> int:
        """Time limit per task in minutes, at most that of the machine."""
        longest_s = TIME_MARGIN * max(each.option.time.high for each in self.jobs)
        minutes = max(LEAST_MINUTES, math.ceil(longest_s / 60))
        limit_s = self.machine.time_limit_s
        # Slurm interprets 0 as no limit.
        return minutes if limit_s is None else max(1, min(minutes, math.floor(limit_s / 60)))


def arrays(plan: Plan) -> list[Array]:
    """Group the jobs of a plan into arrays, in the order in which the first job of each starts."""
    groups: dict[tuple[int, int, int], list[PlannedJob]] = {}
    for each in plan.jobs:
        key = (each.placement.kind, each.option.instances, each.option.fit)
        groups.setdefault(key, []).append(each)
    return [
        Array(jobs[0].machine, tuple(jobs[first : first + ARRAY_LENGTH]))
        for jobs in groups.values()
        for first in range(0, len(jobs), ARRAY_LENGTH)
    ]


def write_scripts(out: Path, plan: Plan, *, cached: bool) -> Path:
    """Write everything that runs a plan below ``out/slurm``, and return the script that submits it.

    Parameters
    ----------
    out
        Folder that all machines of the cluster share. Results are written below it.
    plan
        The plan.
    cached
        Whether jobs share a compilation cache.

    Raises
    ------
    UserError
        A file cannot be written, or Slurm cannot write logs to this folder.
    """
    folder = out.resolve() / "slurm"
    logs = _log_pattern(folder)
    try:
        for name in ("inputs", "logs", "presets"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        presets = _write_presets(folder, plan)
        names = folder_names([each.job.name for each in plan.jobs])
        lines = [_SUBMIT_HEAD]
        for number, array in enumerate(arrays(plan), 1):
            listed = folder / f"array-{number}.json"
            commands = [
                _command(out.resolve(), each, presets, names[each.job.name], cached=cached)
                for each in array.jobs
            ]
            write_list(listed, commands)
            lines.append(_submission(array, listed.name, logs))
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


def _submission(array: Array, listed: str, logs: str) -> str:
    machine = array.machine
    name = file_name(f"perfkit-{machine.name}", limit=JOB_NAME_BYTES)
    options = [
        f"--job-name={name}",
        f"--array=1-{len(array.jobs)}",
        "--ntasks=1",
        f"--cpus-per-task={array.cpus}",
        f"--mem={array.mebibytes}M",
        f"--time={array.minutes}",
        *([f"--partition={machine.partition}"] if machine.partition else []),
        f"--output={logs}",
    ]
    return f'sbatch {shlex.join(options)} "$@" task.sh {shlex.quote(listed)}'


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


def folder_names(names: Iterable[str]) -> dict[str, str]:
    """Return a unique folder name per job.

    Names that are file names are kept. Other names are converted. Where converted names coincide,
    or differ only in case, which some network drives ignore, all but the first get a number.

    Parameters
    ----------
    names
        Names of the jobs, all different.
    """
    plain = {name: file_name(name) for name in names}
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(plain, key=lambda each: plain[each] != each):
        chosen, number = plain[name], 1
        while chosen.casefold() in taken:
            number += 1
            chosen = f"{plain[name]}-{number}"
        taken.add(chosen.casefold())
        found[name] = chosen
    return found


def _command(
    out: Path, each: PlannedJob, presets: Mapping[int, Path], name: str, *, cached: bool
) -> list[str]:
    """Return the words of a job's ``perfkit run``."""
    job = each.job
    words = [sys.executable, "-P", "-m", "perfkit", "run", "--model", job.model]
    costs = get_model(job.model).costs
    for option, value in costs.run_options(job, out / "slurm" / "inputs" / name).items():
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
