"""A machine that is busy, throttled, on battery or limited: recorded, and said of results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.observers.load import LoadMeter, load_warnings
from perfkit.observers.process_tree import MachineTimes
from perfkit.records.cgroups import Cgroup
from perfkit.records.disturbances import Load
from perfkit.records.power import (
    Throttling,
    limited_frequency,
    on_battery,
    power_sentences,
    throttling,
)
from perfkit.records.restrictions import Restrictions
from perfkit.records.schema import Record
from perfkit.trial.progress import DROPPED
from perfkit.tuning.choice.recommend import recommend
from perfkit.tuning.conditions import conditions_of
from perfkit.tuning.preset import save_preset
from tests.support.confirmations import TWOFOLD, confirmed
from tests.support.faults.groups import cpu_limited
from tests.support.records_factory import make_record, make_stage


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


BATTERY = {"BAT0/type": "Battery", "BAT0/status": "Discharging"}
MAINS = {"AC/type": "Mains"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (BATTERY | MAINS | {"AC/online": "0"}, True),
        (BATTERY, True),
        (BATTERY | MAINS | {"AC/online": "1"}, False),
        (BATTERY | {"BAT0/status": "Charging"}, False),
        # The battery of a mouse.
        (BATTERY | {"BAT0/scope": "Device"}, False),
        ({}, False),
    ],
)
def test_a_machine_on_its_battery_is_noticed(
    tmp_path: Path, files: dict[str, str], expected: bool
) -> None:
    folder = _write(tmp_path / "power_supply", files)
    assert on_battery(folder) is expected
    assert len(power_sentences(tmp_path / "cpu", folder)) == int(expected)


def test_a_limited_frequency_is_noticed(tmp_path: Path) -> None:
    cpus = _write(
        tmp_path,
        {
            "cpufreq/policy0/scaling_max_freq": "3000000",
            "cpufreq/policy0/cpuinfo_max_freq": "3000000",
            "cpufreq/policy1/scaling_max_freq": "1200000",
            "cpufreq/policy1/cpuinfo_max_freq": "3000000",
        },
    )
    assert limited_frequency(cpus) == pytest.approx(0.4)
    assert power_sentences(cpus, tmp_path / "none") == [
        "the CPUs are limited to 40% of their frequency (scaling_max_freq)"
    ]
    assert limited_frequency(tmp_path / "none") is None


def test_heat_is_counted_by_core_and_once_by_package(tmp_path: Path) -> None:
    cpus = _write(
        tmp_path,
        {
            f"cpu{number}/thermal_throttle/{name}": count
            for number, core in enumerate(("3", "4", "100"))
            for name, count in (("core_throttle_count", core), ("package_throttle_count", "10"))
        },
    )
    # The third CPU is not used.
    found = throttling((0, 1), cpus, tmp_path / "none", tmp_path / "none")
    assert found == Throttling(hot=3 + 4 + 10)


@pytest.mark.parametrize(
    ("version", "line"), [(1, "throttled_time 1500000000"), (2, "throttled_usec 1500000")]
)
def test_the_wait_for_a_quota_is_read_in_both_versions(
    tmp_path: Path, version: int, line: str
) -> None:
    _write(tmp_path, {"cpu.stat": f"nr_periods 9\n{line}"})
    assert Cgroup(tmp_path, version).waited_for_quota_s() == pytest.approx(1.5)
    assert Cgroup(tmp_path / "none", version).waited_for_quota_s() == 0.0


def test_throttling_during_stages_is_recorded_and_warned_of() -> None:
    readings = iter([Throttling(5, 1.0), Throttling(7, 2.0)])
    meter = LoadMeter(
        lambda: MachineTimes(0.0, 0.0), 2, lambda: next(readings), on_battery=lambda: True
    )
    meter.enter()
    meter.leave(make_stage("steady", 0.0, 4.0, cpu_share=0.0))
    load = meter.load()
    assert load is not None
    # One second of the two CPUs' four.
    assert (load.hot, load.quota_fraction, load.on_battery) == (2, 1 / 8, True)
    assert load_warnings(load) == [
        "the CPU quota of the control group made the trial wait for 12% of the CPU time",
        "CPUs were slowed down 2 times because they were too hot",
        "the machine ran on its battery, which slows CPUs down",
    ]


def test_the_load_of_an_older_record_is_read() -> None:
    load = Load.model_validate(
        {"load_average_before": 0.1, "steal_fraction": 0.0, "other_cpu_fraction": 0.0}
    )
    assert load_warnings(load) == []


BUSY = """
import os, sys, time
from pathlib import Path
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
from perfkit.observers.load import LoadMeter, load_warnings
from perfkit.records.machine import restrictions_here
from tests.support.records_factory import make_stage
meter = LoadMeter()
meter.enter()
begin_s = time.monotonic()
while time.process_time() < 0.5 + 0.3:
    pass
meter.leave(make_stage("steady", 0.0, time.monotonic() - begin_s))
print(*load_warnings(meter.load()), *restrictions_here()[1], sep="\\n")
"""


def test_a_container_with_a_cpu_quota_is_warned_of(tmp_path: Path) -> None:
    with cpu_limited(0.4) as group:
        done = subprocess.run(
            [sys.executable, "-c", BUSY, str(group)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
    assert "the CPU quota of the control group made the trial wait for " in done.stdout
    assert "the control group allows the time of 0.4 CPUs" in done.stdout


LIMITED = """
ulimit -n 512
exec taskset -c {cpu} {python} -c '
from perfkit.trial.conditions.inherited import sentences_before_measuring
print(*sentences_before_measuring(), sep="\\n")'
"""


def test_taskset_and_ulimit_are_said_before_measuring() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("a machine with one CPU cannot be limited to one")
    script = LIMITED.format(cpu=allowed[0], python=sys.executable)
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "only 512 open files are allowed (ulimit -n)" in done.stdout
    assert f"this process may run on 1 of {os.cpu_count()} CPUs" in done.stdout


def _disturbed(records: list[Record], count: int, warning: str) -> list[Record]:
    """The records, with a warning in the last ``count`` ones."""
    return [
        *records[:-count],
        *(one.model_copy(update={"warnings": [warning]}) for one in records[-count:]),
    ]


def test_a_recommendation_carries_the_conditions_of_its_trials(tmp_path: Path) -> None:
    limits = Restrictions(cgroup_cpus=1.5, allowed_cpus=4)
    records = [
        one.model_copy(update={"restrictions": limits}) for one in confirmed({"a": "1"}, TWOFOLD)
    ]
    found = recommend(_disturbed(records, 5, "other programs used 31% of the CPUs"))
    expected = (
        "the control group allows the time of 1.5 CPUs, but 4 are visible: XLA starts one thread "
        "per CPU, and the kernel makes them wait",
        f"5 of {len(records)} trials were disturbed, for example: other programs used 31% of the "
        "CPUs",
    )
    assert found.conditions == expected
    path = tmp_path / "preset.toml"
    save_preset(path, "heat", found, {})
    assert "conditions = [" in path.read_text()


def test_a_quiet_machine_and_repeated_passes_are_no_condition() -> None:
    records = [make_record(identifier=str(number)) for number in range(20)]
    repeated = f"{DROPPED}the machine was suspended for 60.0 s"
    assert conditions_of(_disturbed(records, 20, repeated)) == ()
    # One trial of twenty moves no median.
    assert conditions_of(_disturbed(records, 1, "other programs used 31% of the CPUs")) == ()
