"""``perfkit preset show`` prints a preset that works without perfkit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.cli.commands import preset as preset_command
from perfkit.errors import UserError
from perfkit.tuning.foreign_runs.shown import FORMS

KNOBS = """
bucket = "exact"
cpus = 1
allocator = "glibc-keep"
xla_cpu_prefer_vector_width = 512
xla_cpu_max_isa = "AVX2"
"""
FLAGS = "--xla_cpu_max_isa=AVX2 --xla_cpu_prefer_vector_width=512"
VARIABLES = {
    "PJRT_NPROC": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "70368744177664",
}
"""What glibc-keep sets; 2^46 bytes."""

PRINTS = "import json, os; print(json.dumps([dict(os.environ), sorted(os.sched_getaffinity(0))]))"


@pytest.fixture
def preset(tmp_path: Path) -> str:
    path = tmp_path / "preset.toml"
    path.write_text(f"model = 'af3'\n[knobs]\n{KNOBS}", encoding="utf-8")
    return str(path)


def shown(preset: str, form: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert preset_command.main(["show", preset, "--as", form]) == 0
    return capsys.readouterr().out


def printed(command: list[str], **variables: str) -> tuple[dict[str, str], list[int]]:
    """Variables and CPUs that a program sees."""
    environment = {"PATH": os.environ["PATH"], **variables}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seen, cpus = json.loads(finished.stdout)
    return seen, cpus


@pytest.mark.parametrize("form", list(FORMS))
def test_settings_of_the_model_are_named_as_missing(
    preset: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(preset, form, capsys)
    (comment,) = [line for line in text.splitlines() if "Not included" in line]
    assert comment.startswith("# ")
    assert "settings of the model and no variables: bucket=exact" in comment


@pytest.mark.parametrize("form", ["bash", "slurm", "docker"])
def test_scripts_are_clean(
    preset: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    script = tmp_path / "script"
    script.write_text(shown(preset, form, capsys), encoding="utf-8")
    checked = subprocess.run(
        ["shellcheck", str(script)], capture_output=True, text=True, check=False
    )
    assert checked.stdout == ""


def test_bash_sets_variables_and_cpus_and_keeps_flags(
    preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if 0 not in os.sched_getaffinity(0):
        pytest.skip("this process may not use the first CPU")
    script = f"{shown(preset, 'bash', capsys)}exec {sys.executable} -c '{PRINTS}'"
    seen, cpus = printed(["bash", "-c", script], XLA_FLAGS="--own=1")
    assert seen["XLA_FLAGS"] == f"--own=1 {FLAGS}"
    assert seen.items() >= VARIABLES.items()
    assert cpus == [0]


def test_slurm_requests_the_cpus_and_runs_the_command(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, srun = tmp_path / "job.sh", tmp_path / "srun"
    script.write_text(shown(preset, "slurm", capsys), encoding="utf-8")
    srun.write_text('#!/bin/bash\nexec "$@"\n', encoding="utf-8")
    srun.chmod(0o755)
    # Slurm reads the options that come before the first command.
    assert script.read_text().splitlines()[:2] == ["#!/bin/bash", "#SBATCH --cpus-per-task=1"]
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    seen, _ = printed(["bash", str(script), sys.executable, "-c", PRINTS], PATH=path)
    assert seen["XLA_FLAGS"] == FLAGS
    assert seen.items() >= VARIABLES.items()


def test_docker_gets_each_variable_as_one_word(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, docker = tmp_path / "run.sh", tmp_path / "docker"
    script.write_text(shown(preset, "docker", capsys), encoding="utf-8")
    docker.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    docker.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    finished = subprocess.run(
        ["bash", str(script), "image", "two words"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    words = finished.stdout.splitlines()
    assert words[0] == "run"
    assert words[-4:] == ["--cpuset-cpus", "0", "image", "two words"]
    assert f"XLA_FLAGS={FLAGS}" in words


def test_the_lines_of_env_and_python_set_the_same_variables(
    preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(preset, "env", capsys).splitlines()
    pairs = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert pairs == {**VARIABLES, "XLA_FLAGS": FLAGS}
    code = f"{shown(preset, 'python', capsys)}{PRINTS}"
    seen, cpus = printed([sys.executable, "-c", code])
    assert seen.items() >= pairs.items()
    assert len(cpus) == 1


def test_an_unknown_form_is_refused(preset: str) -> None:
    with pytest.raises(UserError, match="invalid choice: 'csh'"):
        preset_command.main(["show", preset, "--as", "csh"])
