"""A plain array for ``sbatch``, for sites that forbid submission from programs."""

from __future__ import annotations

import shlex
from pathlib import Path

from perfkit.cluster.place import NAME, Options
from perfkit.cluster.slurm_place import (
    SIGNAL_S,
    SLURM,
    refuse_unsafe,
    slurm_minutes,
    srun_arguments,
)
from perfkit.errors import UserError
from perfkit.files import make_executable, reason_of, write_whole
from perfkit.shared_study.notes import JOBS

_SUBMIT = """#!/bin/sh
# Submits the workers of the study in the folder above this one, as one array, and notes their jobs
# for 'perfkit status'. Options given to this script are passed to sbatch, e.g. --account=NAME.
set -e
case $0 in */*) CDPATH='' cd -- "${{0%/*}}" ;; *) ;; esac
mkdir -p logs {jobs}
# shellcheck disable=SC2016 # Options are words, and nothing in them is to be expanded.
array=$(sbatch --parsable {options} "$@" worker.sh)
# The name of the cluster may follow the number.
array=${{array%%;*}}
case ${{array}} in
'' | *[!0-9]*) exit 0 ;; # Nothing was submitted, e.g. with --test-only.
*) ;;
esac
echo "Submitted batch job ${{array}}"
workers=''
task=1
while [ "${{task}}" -le {workers} ]; do
  workers="${{workers}}, \\"${{array}}_${{task}}\\""
  task=$((task + 1))
done
printf '{{"place": "{place}", "jobs": [%s]}}\\n' "${{workers#, }}" >"{jobs}/${{array}}.json"
"""

_WORKER = """#!/bin/sh
# A worker of the study. Slurm runs it in the folder of the submission, so that no name of a folder
# is interpreted by a shell. srun passes the signals of Slurm on.
# shellcheck disable=SC2016 # Words are not to be expanded.
exec srun {options} {python} -P -m perfkit.cluster.start_worker \\
    {python} -P -m {module} ..
"""


def write_array_script(folder: Path, python: str, module: str, options: Options) -> Path:
    """Write the scripts of an array, and return the one that submits it.

    Parameters
    ----------
    folder
        Folder for the scripts, in the folder of the study.
    python
        Python that runs a worker.
    module
        Module of a worker, which is given the folder of the study.
    options
        What was asked for.

    Raises
    ------
    UserError
        A file cannot be written, or Slurm cannot write logs to this folder.
    """
    refuse_unsafe(folder)
    submit, worker = folder / "submit.sh", folder / "worker.sh"
    try:
        submission = _SUBMIT.format(
            options=shlex.join(_sbatch(options)),
            workers=options.workers,
            place=SLURM,
            jobs=JOBS,
        )
        write_whole(submit, submission, "script")
        run = _WORKER.format(
            options=shlex.join(srun_arguments(options)),
            python=shlex.quote(python),
            module=module,
        )
        write_whole(worker, run, "script")
        for script in (submit, worker):
            make_executable(script)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({reason_of(error)})") from error
    return submit


def _sbatch(options: Options) -> list[str]:
    """The options of ``sbatch``."""
    words = [
        f"--job-name={NAME}",
        f"--array=1-{options.workers}",
        "--ntasks=1",
        f"--time={slurm_minutes(options)}",
        f"--signal=USR2@{SIGNAL_S}",
        "--open-mode=append",
        "--output=logs/%A-%a.log",
    ]
    if options.cpus is not None:
        words.append(f"--cpus-per-task={options.cpus}")
    if options.partition is not None:
        words.append(f"--partition={options.partition}")
    if options.exclusive:
        words += ["--exclusive", *([] if "mem" in options.passed_on else ["--mem=0"])]
    for name, value in options.passed_on.items():
        words.append(f"--{name}" if value is None else f"--{name}={value}")
    return words
