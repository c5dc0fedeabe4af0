"""Limits on this process: read from the kernel, and reported where they matter."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from perfkit.records.restrictions import Restrictions, restriction_sentences

GB = 10**9
READ = (
    "import json; from perfkit.records.machine import restrictions_here;"
    "found, sentences = restrictions_here();"
    "print(json.dumps([found.model_dump(), sentences]))"
)


def test_limits_of_a_shell_are_read_and_reported() -> None:
    shell = "ulimit -v 4000000 -n 200 -u 2000 -t 600; exec nice -n 7 taskset -c 0 "
    completed = subprocess.run(
        ["bash", "-c", f'{shell} "$0" -c "$1"', sys.executable, READ],
        capture_output=True,
        text=True,
        check=True,
    )
    facts, sentences = json.loads(completed.stdout)
    expected = {"address_bytes": 4000000 * 1024, "open_files": 200, "processes": 2000}
    nice = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 7)
    expected |= {"cpu_time_s": 600, "nice": nice, "allowed_cpus": 1}
    assert {name: facts[name] for name in expected} == expected
    text = " ".join(sentences)
    for word in ("ulimit -v", "ulimit -n", "ulimit -u", "ulimit -t", f"niceness is {nice}"):
        assert word in text


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Restrictions(address_bytes=4 * GB), "address space is limited to 4.0 GB (ulimit -v)"),
        (Restrictions(data_bytes=4 * GB), "data memory is limited to 4.0 GB (ulimit -d)"),
        (Restrictions(resident_bytes=4 * GB), "Linux ignores this limit"),
        (Restrictions(cgroup_memory_bytes=4 * GB), "memory is limited to 4.0 GB (control group)"),
        (Restrictions(cpu_time_s=60), "CPU time is limited to 60 s per process (ulimit -t)"),
        (Restrictions(file_bytes=5_000_000), "files are limited to 0.005 GB (ulimit -f)"),
        (Restrictions(open_files=64), "only 64 open files are allowed (ulimit -n)"),
        (Restrictions(processes=100), "only 100 processes and threads are allowed"),
        (
            Restrictions(cgroup_cpus=1.5, allowed_cpus=2, machine_cpus=2),
            "the time of 1.5 CPUs, but 2 are visible",
        ),
        (Restrictions(allowed_cpus=2, machine_cpus=8), "may run on 2 of 8 CPUs"),
        (Restrictions(nice=10), "niceness is 10: other programs take precedence"),
        (Restrictions(nice=-5), "niceness is -5"),
        (Restrictions(policy="idle"), "the scheduling policy is 'idle'"),
    ],
)
def test_each_limit_is_one_sentence(found: Restrictions, expected: str) -> None:
    (sentence,) = restriction_sentences(found, 16 * GB)
    assert expected in sentence


@pytest.mark.parametrize(
    "found",
    [
        Restrictions(),
        # A limit above the capacity of the machine has no effect.
        Restrictions(cgroup_memory_bytes=64 * GB, address_bytes=64 * GB),
        Restrictions(cgroup_cpus=8.0, allowed_cpus=4, machine_cpus=4),
        # The defaults of most systems.
        Restrictions(open_files=1024, processes=4096),
    ],
)
def test_a_limit_without_effect_is_not_reported(found: Restrictions) -> None:
    assert restriction_sentences(found, 16 * GB) == []


def test_a_value_without_limit_is_not_recorded() -> None:
    assert Restrictions(nice=3, data_bytes=None).model_dump() == {"nice": 3}
    assert Restrictions(nice=3).model_dump_json() == '{"nice":3}'


def test_the_cpus_of_a_bound_thread_are_no_restriction() -> None:
    code = (
        "import os, threading\n"
        "from perfkit.records.restrictions import restrictions\n"
        "def bound():\n"
        "    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "    print(restrictions().allowed_cpus == len(os.sched_getaffinity(os.getpid())))\n"
        "thread = threading.Thread(target=bound)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert completed.stdout.strip() == "True"
