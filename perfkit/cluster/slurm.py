"""A plan as Slurm job arrays: one script to submit them, one that each of their tasks runs."""

from __future__ import annotations

import math
import re
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.capacity.inputs import with_seeds
from perfkit.capacity.machines import Machine
from perfkit.capacity.plan import Plan, PlannedJob
from perfkit.errors import UserError
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.tune.preset import write_preset

ARRAY_LENGTH = 1000
"""Tasks of an array; Slurm's ``MaxArraySize`` is 1001 unless it is set."""

MEBIBYTE = 2**20

TIME_MARGIN = 2.0
"""Times the high end of the interval after which Slurm may end a task that hangs."""

LEAST_MINUTES = 10


@dataclass(frozen=True)
class Array:
    """Jobs that ask Slurm for the same: one kind of machine, share of it and preset."""

    machine: Machine
    jobs: tuple[PlannedJob, ...]

    @property
    def cpus(self) -> int:
        """CPUs of a task."""
        return self.jobs[0].cpus

    @property
    def mebibytes(self) -> int:
        """Memory of a task: the high end of the largest one, at most its share of the machine."""
        needed = math.ceil(max(each.way.memory.high for each in self.jobs) / MEBIBYTE)
        share = self.machine.memory_bytes // MEBIBYTE // self.jobs[0].way.instances
        return min(needed, share)

    @property
    def minutes(self) -> int:
        """Time limit of a task, at most the machine's."""
        longest_s = TIME_MARGIN * max(each.way.time.high for each in self.jobs)
        minutes = max(LEAST_MINUTES, math.ceil(longest_s / 60))
        limit_s = self.machine.time_limit_s
        return minutes if limit_s is None else min(minutes, math.floor(limit_s / 60))


def arrays(plan: Plan) -> list[Array]:
    """The plan's jobs by what they ask for, in the order in which the first of each begins."""
    groups: dict[tuple[int, int, int], list[PlannedJob]] = {}
    for each in plan.jobs:
        key = (each.placement.kind, each.way.instances, each.way.fit)
        groups.setdefault(key, []).append(each)
    return [
        Array(jobs[0].machine, tuple(jobs[first : first + ARRAY_LENGTH]))
        for jobs in groups.values()
        for first in range(0, len(jobs), ARRAY_LENGTH)
    ]


def write_scripts(out: Path, plan: Plan, *, cached: bool) -> Path:
    """Leave everything below ``out/slurm`` that runs the plan; returns the script to submit.

    Parameters
    ----------
    out
        Folder that the cluster's machines share; results go below it.
    cached
        Whether jobs share a compilation cache.

    Raises
    ------
    UserError
        A file cannot be written.
    """
    folder = out.resolve() / "slurm"
    try:
        for name in ("inputs", "logs", "presets"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        presets = _write_presets(folder, plan)
        names = folder_names([each.job.name for each in plan.jobs])
        lines = [_SUBMIT_HEAD]
        for number, array in enumerate(arrays(plan), 1):
            listed = folder / f"array-{number}.txt"
            commands = [
                _command(out.resolve(), each, presets, names[each.job.name], cached=cached)
                for each in array.jobs
            ]
            listed.write_text("".join(f"{command}\n" for command in commands), encoding="utf-8")
            lines.append(_submission(array, listed.name))
        task = folder / "task.sh"
        task.write_text(_TASK.format(python=shlex.quote(sys.executable)), encoding="utf-8")
        script = folder / "submit.sh"
        script.write_text("\n".join(lines) + "\n", encoding="utf-8")
        for each in (task, script):
            each.chmod(0o755)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror})") from error
    return script


_SUBMIT_HEAD = """#!/bin/sh
# Submits the plan: an array for each kind of machine, share of it and preset, longest jobs first.
# Options given to this script are passed to every sbatch, e.g. --account=NAME.
set -e
cd "$(dirname "$0")\""""

_TASK = """#!/bin/sh
# One task of an array: the line of the list ($1) that has the task's number is its command. The
# CPUs are bound here where Slurm only counts them.
command=$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" "$1")
eval "exec {python} -m perfkit.cluster.bind $SLURM_CPUS_PER_TASK -- $command"
"""


def _submission(array: Array, listed: str) -> str:
    machine = array.machine
    options = [
        f"--job-name=perfkit-{re.sub(r'[^A-Za-z0-9_.-]+', '-', machine.name)}",
        f"--array=1-{len(array.jobs)}",
        "--ntasks=1",
        f"--cpus-per-task={array.cpus}",
        f"--mem={array.mebibytes}M",
        f"--time={array.minutes}",
        *([f"--partition={machine.partition}"] if machine.partition else []),
        "--output=logs/%A-%a.log",
    ]
    return f'sbatch {" ".join(options)} "$@" task.sh {listed}'


def _write_presets(folder: Path, plan: Plan) -> dict[int, Path]:
    """The preset of every fit that is used, without CPUs: those are Slurm's to give."""
    found = {}
    for place in sorted({each.way.fit for each in plan.jobs}):
        fit = plan.fits[place]
        settings = {k: v for k, v in fit.settings.items() if k != CPUS_KNOB.name}
        path = folder / "presets" / f"{place + 1}-{fit.model}.toml"
        write_preset(path, fit.model, settings, {"summary": f"the preset of the fit {fit.label}"})
        found[place] = path
    return found


def folder_names(names: Sequence[str]) -> dict[str, str]:
    """A folder name for every job: its own, with what a file system may not take replaced."""
    plain = {name: re.sub(r"[^\w.-]+", "-", name).lstrip(".") or "job" for name in names}
    taken = Counter(plain.values())
    return {
        name: told if taken[told] == 1 else f"{told}-{number}"
        for number, (name, told) in enumerate(plain.items(), 1)
    }


def _command(
    out: Path, each: PlannedJob, presets: Mapping[int, Path], name: str, *, cached: bool
) -> str:
    """The ``perfkit run`` of one job, quoted for a shell."""
    job = each.job
    words = [sys.executable, "-m", "perfkit", "run", "--model", job.model]
    for option, value in _options(out, job_name=name, each=each).items():
        words += [f"--{option}", value]
    for axis, count in job.fidelity.items():
        words += [f"--{axis}", str(count)]
    words += ["--preset", str(presets[each.way.fit])]
    if each.bucket is not None:
        words += ["--knob", f"bucket={each.bucket}"]
    if cached:
        words += ["--compile-cache", str(out / "slurm" / "compile-cache")]
    # The plan has judged the memory from measurements; one pass is the prediction itself.
    words += ["--passes", "0", "--force", "--out", str(out / "results" / name)]
    return shlex.join(words)


def _options(out: Path, job_name: str, each: PlannedJob) -> Mapping[str, str]:
    """How ``perfkit run`` is given the input; one that names fewer seeds than are asked for is
    written as a fold input first."""
    job = each.job
    if job.model != "af3":
        return job.options
    seeds = job.fidelity["seeds"]
    if seeds <= job.seeds_named:
        return job.options
    written = out / "slurm" / "inputs" / f"{job_name}.json"
    written.write_text(with_seeds(job.options, seeds), encoding="utf-8")
    return {"input": str(written)}
