"""What surrounds a study: a quota, a clock that is set, load, and limits of a container or a shell.

Each is injected for a whole study, with a random size or at a random moment.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random

from perfkit.records.schema import Record
from tests.support.faults.disks import preloaded, quota_variables
from tests.support.faults.groups import cpu_limited, memory_limited
from tests.support.faults.injected import (
    WHOLE_S,
    Injected,
    Injection,
    check_refusal,
    has_failed,
    small_study,
)
from tests.support.faults.study import KilledStudy, Run
from tests.support.faults.survivors import workers_with_mark

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  static double moment, back;
  if (!real) {
    moment = atof(getenv("CLOCK_SET_AT_S"));
    back = atof(getenv("CLOCK_SET_BACK_S"));
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  }
  int failed = real(clock, now);
  if (failed || clock != CLOCK_REALTIME) return failed;
  struct timespec steady;
  real(CLOCK_MONOTONIC, &steady);
  if (steady.tv_sec + 1e-9 * steady.tv_nsec >= moment) now->tv_sec -= (time_t)back;
  return 0;
}
"""
"""Takes the place of ``clock_gettime``: at a moment, the clock of the machine is set back.

The clock itself belongs to all programs of the machine.
"""

LOOK_S = 0.5
"""Seconds before and after the moment at which the clock is set, when workers are looked for."""


def exceed_quota(folder: Path, chance: Random) -> Injected:
    """Give each process of a study a quota of a kilobyte to a megabyte; then resume without it."""
    study = small_study(folder)
    study.variables = quota_variables(folder, round(2 ** chance.uniform(10, 20)))
    run = study.run()
    check_refusal(study, run)
    study.variables = {}
    if not has_failed(study):
        study.complete()
    return Injected(int(run.code != 0), study.faults)


def set_clock_back(folder: Path, chance: Random) -> Injected:
    """Set the clock back by a minute to a day at a random moment of a study."""
    after_s, back_s = chance.uniform(0.0, WHOLE_S), chance.uniform(60.0, 86400.0)
    moment_s = time.monotonic() + after_s + LOOK_S
    study = small_study(folder)
    study.variables = {
        "LD_PRELOAD": str(preloaded(folder, "clock", CLOCK)),
        "CLOCK_SET_AT_S": str(moment_s),
        "CLOCK_SET_BACK_S": str(back_s),
    }
    workers = list[set[int]]()

    def inject(process: subprocess.Popen[str], mark: str) -> None:
        for look_s in (moment_s - LOOK_S, moment_s + LOOK_S):
            time.sleep(max(0.0, look_s - time.monotonic()))
            workers.append(set(workers_with_mark(mark)))

    run = study.run(after_s, inject)
    if run.code != 0:
        study.faults.append(f"perfkit ended with {run.code}: {run.errors[-300:]}")
    records = study.finished.values()
    sentence = "clock of the machine was set back"
    said = [one for one in records if any(sentence in text for text in one.notices)]
    if workers and workers[0] & workers[1] and not said:
        study.faults.append("a trial ran when the clock was set back, and no record says so")
    longest_s = max((stage.wall_s for one in records for stage in one.stages), default=0.0)
    if not 0.0 <= longest_s <= run.seconds:
        study.faults.append(f"a stage of {longest_s:.1f} s in a study of {run.seconds:.1f} s")
    study.complete()
    return Injected(len(workers) // 2, study.faults)


def load_machine(folder: Path, chance: Random) -> Injected:
    """Let other programs use one CPU, or all of them, during a study."""
    count = chance.randint(1, os.cpu_count() or 1)
    others = [subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"]) for _ in range(count)]
    study = small_study(folder)
    try:
        run = study.complete()
    finally:
        for other in others:
            other.kill()
            other.wait()
    _check(
        study, run, lambda one: any("other programs used" in text for text in one.warnings), said=[]
    )
    return Injected(1, study.faults)


def limit_cpus(folder: Path, chance: Random) -> Injected:
    """Run a study in a control group with a quota of CPU time."""
    cpus = round(chance.uniform(0.6, 1.6), 1)
    with cpu_limited(cpus) as group:
        study = small_study(folder, prefix=_in_group(group))
        run = study.complete()
    _check(
        study,
        run,
        lambda one: one.restrictions is not None and one.restrictions.cgroup_cpus == cpus,
        said=[f"the control group allows the time of {cpus:g} CPUs"],
    )
    return Injected(1, study.faults)


def limit_memory(folder: Path, chance: Random) -> Injected:
    """Run a study in a control group with a memory limit that it does not reach."""
    limit_bytes = chance.randrange(2**19, 2**20) * 4096
    with memory_limited(limit_bytes) as group:
        study = small_study(folder, prefix=_in_group(group))
        run = study.complete()
    _check(
        study,
        run,
        lambda one: (
            one.restrictions is not None and one.restrictions.cgroup_memory_bytes == limit_bytes
        ),
        said=[f"is limited to {limit_bytes / 1e9:.1f} GB"],
    )
    return Injected(1, study.faults)


def limit_shell(folder: Path, chance: Random) -> Injected:
    """Run a study under ``ulimit -n`` and, on one of several CPUs, under ``taskset``."""
    files, cpu = chance.randrange(256, 1024), chance.choice(sorted(os.sched_getaffinity(0)))
    script = f'ulimit -n {files}; exec taskset -c {cpu} "$@"'
    study = small_study(folder, prefix=("/bin/sh", "-c", script, "sh"))
    run = study.complete()
    _check(
        study,
        run,
        lambda one: (
            one.restrictions is not None
            and (one.restrictions.open_files, one.restrictions.allowed_cpus) == (files, 1)
        ),
        said=[
            f"only {files} open files are allowed (ulimit -n)",
            f"this process may run on 1 of {os.cpu_count()} CPUs",
        ],
    )
    return Injected(2, study.faults)


def _in_group(group: Path) -> Sequence[str]:
    """Words before a command that run it in a control group."""
    return ("/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")


def _check(
    study: KilledStudy, run: Run, recorded: Callable[[Record], bool], said: Sequence[str]
) -> None:
    """Note as faults what a study does not record, or does not say before it measures."""
    without = [one.id for one in study.finished.values() if not recorded(one)]
    if without or not study.finished:
        study.faults.append(f"not recorded by {without} of {len(study.finished)} records")
    study.faults += [f"not said: {text}" for text in said if text not in run.output + run.errors]


SURROUNDINGS: Mapping[str, Injection] = {
    "a quota is exceeded": exceed_quota,
    "the clock is set back": set_clock_back,
    "other programs use the CPUs": load_machine,
    "a container has a CPU quota": limit_cpus,
    "a container has a memory limit": limit_memory,
    "a shell limits files and CPUs": limit_shell,
}
"""Faults of what surrounds a study, by name."""
