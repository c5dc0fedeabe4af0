"""Running the scripts of a plan: names with any characters remain words of one command."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.queue.jobs import production
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.plan import make_plan
from perfkit.cluster.slurm import submit_scripts, write_scripts
from perfkit.cluster.task import CPUS_VARIABLE, TASK_VARIABLE, command_of, write_list
from perfkit.errors import UserError
from perfkit.models.costs import Job
from tests.support.local_slurm import Slurm
from tests.support.planted import study

NAMES = (
    "plain",
    "two words",
    "$(touch canary)",
    "`touch canary`",
    "'; touch canary; '",
    '"; touch canary; "',
    "line\nbreak; touch canary",
    "a\n\ntouch canary\n",
    "-rf",
    "--help",
    "%j-%A-%a",
    "*",
    "~root",
    "back\\slash\\n",
    "${HOME}",
    "#SBATCH --time=1",
    "tab\tand\rreturn",
    "Ünïcode 蛋白質",
    "\udcff no UTF-8",
)
FOLDER = "out $(touch canary) 'x' \"y\"; touch canary\n -z * `touch canary` é"

DUMP = (
    "import json, os, pathlib, sys; "
    f"number = os.environ[{TASK_VARIABLE!r}]; "
    "pathlib.Path(f'{sys.argv[1]}/task-{number}').write_text(json.dumps(sys.argv[2:]))"
)
"""Replaces the prediction: writes its words to a file."""


def _plan_in(
    out: Path, inputs: Path, *, machine: str = "node", names: Sequence[str] = NAMES
) -> list[list[str]]:
    """Write the scripts of one job per name, and return the commands."""
    jobs = []
    for name in names:
        path = str(inputs / f"{name}.json")
        jobs.append(Job(name, "af3", 40, production("af3"), {"input": path}, "test"))
    machines = Inventory((Machine(machine, 1, 2, 8000 * 2**20, speed=1.0),), "EUR")
    fit = assemble(study())
    write_scripts(out, make_plan(jobs, machines, [fit]), cached=True)
    commands: list[list[str]] = json.loads((out / "slurm" / "array-1.json").read_text())
    return commands


def _stand_in(out: Path, shown: Path, commands: list[list[str]]) -> None:
    """Let the tasks write their words below ``shown`` instead of predicting."""
    stand_in = [sys.executable, "-c", DUMP, str(shown)]
    write_list(out / "slurm" / "array-1.json", [[*stand_in, *words] for words in commands])


def _shown(shown: Path, count: int) -> list[list[str]]:
    return [json.loads((shown / f"task-{number}").read_text()) for number in range(1, count + 1)]


def _canaries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name == "canary"]


@pytest.fixture
def wild(tmp_path: Path) -> Path:
    """A folder with shell syntax in its name, and a folder for the output of tasks."""
    (tmp_path / "shown").mkdir()
    return tmp_path / FOLDER


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_every_task_gets_its_words_unchanged(wild: Path, tmp_path: Path, shell: str) -> None:
    commands = _plan_in(wild, tmp_path / "inputs")
    assert {words[words.index("--input") + 1] for words in commands} == {
        f"{tmp_path}/inputs/{name}.json" for name in NAMES
    }
    _stand_in(wild, tmp_path / "shown", commands)
    for number in range(1, len(commands) + 1):
        done = _task(shell, wild, {TASK_VARIABLE: str(number), CPUS_VARIABLE: "1"})
        assert done.returncode == 0, done.stderr
    assert _shown(tmp_path / "shown", len(commands)) == commands
    assert _canaries(tmp_path) == []


def _task(shell: str, out: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shell, "task.sh", "array-1.json"],
        cwd=out / "slurm",
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_job_has_its_own_folder_of_results(wild: Path, tmp_path: Path) -> None:
    commands = _plan_in(wild, tmp_path)
    folders = {Path(words[words.index("--out") + 1]) for words in commands}
    assert len(folders) == len(NAMES)
    assert {folder.parent for folder in folders} == {wild / "results"}


def test_the_submission_is_one_sbatch_with_the_options_that_were_given(
    wild: Path, tmp_path: Path
) -> None:
    _plan_in(wild, tmp_path, machine="big; touch canary $(touch canary)")
    fake = tmp_path / "bin" / "sbatch"
    fake.parent.mkdir()
    show = "import json, os, sys; print(json.dumps([os.getcwd(), *sys.argv[1:]]))"
    fake.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{show}' \"$@\"\n")
    fake.chmod(0o755)
    done = subprocess.run(
        ["sh", str(wild / "slurm" / "submit.sh"), "--account=a b"],
        env={**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}", "CDPATH": "/"},
        capture_output=True,
        text=True,
        check=True,
    )
    cwd, *words = json.loads(done.stdout)
    assert cwd == str(wild / "slurm")
    assert words[0].startswith("--job-name=perfkit-big_touch_canary_touch_canary")
    assert words[-3:] == ["--account=a b", "task.sh", "array-1.json"]
    assert all(word.startswith("--") for word in words[:-2])
    assert _canaries(tmp_path) == []


def test_a_plan_is_submitted_with_further_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plan_in(tmp_path / "out", tmp_path, names=["plain"])
    fake = tmp_path / "sbatch"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    script = tmp_path / "out" / "slurm" / "submit.sh"
    (said,) = submit_scripts(script, {"account": "a b", "hold": None})
    assert said.endswith("--account=a b --hold task.sh array-1.json")
    with pytest.raises(UserError, match="not 'x y'"):
        submit_scripts(script, {"x y": None})
    fake.write_text("#!/bin/sh\necho no such account >&2\nexit 1\n")
    with pytest.raises(UserError, match="Slurm refused the plan: no such account"):
        submit_scripts(script, {})


def test_the_scripts_pass_shellcheck(wild: Path, tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: apt install shellcheck")
    _plan_in(wild, tmp_path, machine="big; rm -rf $HOME")
    for name in ("submit.sh", "task.sh"):
        script = wild / "slurm" / name
        assert script.stat().st_mode & stat.S_IXUSR
        done = subprocess.run(
            ["shellcheck", "--shell=sh", "--enable=all", str(script)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == ""
        assert done.returncode == 0


def test_slurm_runs_what_was_planned(slurm: Slurm, wild: Path, tmp_path: Path) -> None:
    """The same on a real Slurm, which also expands the name of the folder of its logs."""
    out = wild / "50%j"
    commands = _plan_in(out, tmp_path / "inputs", names=NAMES[2:11:2])
    _stand_in(out, tmp_path / "shown", commands)
    slurm.run("sh", str(out / "slurm" / "submit.sh"))
    slurm.wait_until_empty(120)
    logs = sorted((out / "slurm" / "logs").iterdir())
    assert [log.read_text() for log in logs] == [""] * len(commands)
    assert _shown(tmp_path / "shown", len(commands)) == commands
    assert _canaries(tmp_path) == []


def test_a_folder_that_slurm_cannot_log_to_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the name holds a backslash; give another folder"):
        _plan_in(tmp_path / "back\\slash", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "SLURM_ARRAY_TASK_ID is '', but Slurm sets it"),
        ({TASK_VARIABLE: "0"}, "SLURM_ARRAY_TASK_ID is '0'"),
        ({TASK_VARIABLE: "-1"}, "SLURM_ARRAY_TASK_ID is '-1'"),
        ({TASK_VARIABLE: "9" * 5000}, "SLURM_ARRAY_TASK_ID is '999"),
        ({TASK_VARIABLE: "3"}, "has no task 3"),
    ],
)
def test_an_impossible_task_number_is_refused(
    tmp_path: Path, variables: dict[str, str], expected: str
) -> None:
    write_list(tmp_path / "list.json", [["a"], ["b"]])
    with pytest.raises(UserError, match=expected):
        command_of(tmp_path / "list.json", variables)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "has no task 1"),
        ("[[]]", "is not a command"),
        ('["a"]', "is not a command"),
        ("[[1]]", "is not a command"),
    ],
)
def test_another_file_is_refused_as_a_task_list(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(UserError, match=expected):
        command_of(tmp_path / "list.json", {TASK_VARIABLE: "1"})
    with pytest.raises(UserError, match="cannot be read"):
        command_of(tmp_path / "none.json", {TASK_VARIABLE: "1"})
