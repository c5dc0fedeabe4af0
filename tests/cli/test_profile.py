"""``perfkit profile`` and ``--observe`` on the command line."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.records.store import read_records

type Perfkit = Callable[..., subprocess.CompletedProcess[str]]

SMALL = ("--model", "gencast", "--resolution", "10", "--mesh", "1")


def test_a_profile_ends_with_the_costliest_modules_and_a_page(
    perfkit: Perfkit, tmp_path: Path
) -> None:
    pytest.importorskip("h5netcdf", reason="profiles run the gencast extra")
    out = tmp_path / "profile"
    finished = perfkit("profile", *SMALL, "--observe", "xla", "--observe", "cpu", "--out", str(out))
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    first, second, third = (
        next(line for line in lines if line.startswith(f"{number}. ")) for number in (1, 2, 3)
    )
    for line in (first, second, third):
        assert "limited by" in line
        assert "of a pass" in line
    assert lines[-1] == f"page: {out / 'profile.html'}"
    (record,) = read_records(out)
    assert set(record.observations) == {"cpu", "xla"}
    assert record.artifacts["xla trace for Perfetto"].startswith(f"trials/{record.id}/xla/")
    assert "Roofline" in (out / "profile.html").read_text()


@pytest.mark.parametrize("command", ["profile", "run", "sweep", "tune"])
def test_an_unknown_observer_is_refused_in_one_sentence(perfkit: Perfkit, command: str) -> None:
    pytest.importorskip("h5netcdf", reason="the workload is made with the gencast extra")
    finished = perfkit(command, *SMALL, "--observe", "memry")
    assert finished.returncode == 2
    assert "unknown observer 'memry'; the nearest is 'mem" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_profile_without_a_timed_pass_is_refused(perfkit: Perfkit) -> None:
    pytest.importorskip("h5netcdf", reason="the workload is made with the gencast extra")
    finished = perfkit("profile", *SMALL, "--passes", "0")
    assert finished.returncode == 2
    assert "--passes takes 1 or more, not 0" in finished.stderr
