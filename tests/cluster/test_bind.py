"""Binding: tasks that share a machine run on different CPUs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.cluster import bind
from perfkit.errors import UserError

SHOW = (
    "import os, json, sys; print(json.dumps(sorted(os.sched_getaffinity(0))), flush=True); "
    "sys.stdin.read()"
)
CPUS = sorted(os.sched_getaffinity(0))

needs_two = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")


EXEC = (
    "import sys; from perfkit.cluster.bind import exec_on_cpus; "
    "exec_on_cpus(sys.argv[2:], int(sys.argv[1]))"
)


def _start(folder: Path, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", EXEC, str(count), sys.executable, "-c", SHOW],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def _cpus(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    cpus: list[int] = json.loads(process.stdout.readline())
    return cpus


@needs_two
def test_two_instances_get_different_cpus_and_a_third_waits(tmp_path: Path) -> None:
    first, second = _start(tmp_path, 1), _start(tmp_path, 1)
    taken = [_cpus(first), _cpus(second)]
    assert sorted(cpu for (cpu,) in taken) == CPUS[:2] or len(CPUS) > 2
    assert taken[0] != taken[1]
    if len(CPUS) == 2:
        third = _start(tmp_path, 1)
        assert third.stderr is not None
        assert third.stderr.readline() == (
            "perfkit: waiting for 1 of this machine's 2 CPUs: other tasks hold them "
            f"(locks in {tmp_path}/perfkit-cpus-{os.getuid()})\n"
        )
        first.communicate()
        assert _cpus(third) == taken[0]
        assert third.communicate()[1] == ""
    else:
        first.communicate()
    second.communicate()


def test_cpus_that_the_batch_system_has_bound_are_kept(tmp_path: Path) -> None:
    all_of_them = _start(tmp_path, len(CPUS))
    assert _cpus(all_of_them) == CPUS
    all_of_them.communicate()


@needs_two
def test_a_worker_runs_only_on_cpus_of_the_set_that_it_was_given(tmp_path: Path) -> None:
    """Slurm grants two CPUs, and the control group of the job allows only the last one."""
    last = CPUS[-1]
    code = (
        f"import os, sys; os.sched_setaffinity(0, {{{last}}}); os.execv(sys.argv[1], sys.argv[1:])"
    )
    worker = [sys.executable, "-m", "perfkit.cluster.start_worker", sys.executable, "-c", SHOW]
    done = subprocess.run(
        [sys.executable, "-c", code, *worker],
        env={**os.environ, "SLURM_CPUS_PER_TASK": "2", "TMPDIR": str(tmp_path)},
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [last]


@pytest.mark.parametrize(
    ("command", "count", "expected"),
    [
        (["true"], 100_000, "100000 CPUs are requested"),
        (["/no/such/program"], len(CPUS), "'/no/such/program' cannot be run"),
        (["nul\0"], len(CPUS), "cannot be run"),
    ],
)
def test_impossible_commands_and_counts_are_refused(
    command: list[str], count: int, expected: str
) -> None:
    with pytest.raises(UserError, match=expected):
        bind.exec_on_cpus(command, count)


def test_only_the_owner_can_use_the_lock_folder(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    for _ in range(2):
        os.close(bind.open_lock_folder(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_lock_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    folder = tmp_path / "locks"
    folder.symlink_to(tmp_path / "target")
    with pytest.raises(UserError, match="locks is a link: remove it, or set TMPDIR"):
        bind.open_lock_folder(folder)


def test_a_lock_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(UserError, match=r"can be written by others \(mode 777\)"):
        bind.open_lock_folder(folder)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_a_lock_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(UserError, match=r"belongs to user 12345, not to you \(0\)"):
        bind.open_lock_folder(folder)


def test_a_lock_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("")
    with pytest.raises(UserError, match="cannot be used"):
        bind.open_lock_folder(tmp_path / "locks")


@needs_two
def test_a_lock_that_is_a_link_is_refused_and_its_target_kept(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    folder.mkdir(mode=0o700)
    (folder / f"{CPUS[0]}.lock").symlink_to(tmp_path / "made")
    with pytest.raises(UserError, match=f"{CPUS[0]}.lock cannot be used"):
        bind.acquire_cpus(1, folder)
    assert not (tmp_path / "made").exists()
