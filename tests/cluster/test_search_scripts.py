"""Genetic searches in the scripts of a plan: dependencies, and words of any characters."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.queue.jobs import production
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.plan import make_plan
from perfkit.cluster.search_command import SearchCommand, parse_search_command
from perfkit.cluster.slurm import write_scripts
from perfkit.cluster.task import CPUS_VARIABLE, TASK_VARIABLE, write_list
from perfkit.errors import UserError
from perfkit.models.costs import Job, Search
from tests.support.local_slurm import Slurm
from tests.support.planted import study

NAMES = (
    "plain",
    "$(touch canary)",
    "'; touch canary; '",
    "line\nbreak; touch canary",
    "-rf",
    "{output}",
    "*",
    "--help",
)
"""An even number, so that searches on halves of a machine fill it."""

FOLDER = "out $(touch canary) 'x' \"y\"; touch canary\n -z {input} é"
SEARCH = Search(1800.0, 1, 10**9)
COMMAND = "search --in={input} --out {output} '$(touch canary)' --cpu {cpus}"


@pytest.fixture
def wild(tmp_path: Path) -> Path:
    """A folder with shell syntax in its name."""
    return tmp_path / FOLDER


def _write(out: Path, inputs: Path, command: SearchCommand | None, names: Sequence[str]) -> Path:
    """Write the scripts of a plan with one job per name, each with a search, and a job without."""
    jobs = []
    for name in names:
        options = {"input": str(inputs / f"{name}.json")}
        jobs.append(Job(name, "af3", 40, production("af3"), options, "test", search=SEARCH))
    jobs.append(Job("without", "af3", 40, production("af3"), {"size": "40"}, "test"))
    inventory = Inventory((Machine("node", 1, 2, 8000 * 2**20),), "EUR")
    plan = make_plan(jobs, inventory, [assemble(study())])
    return write_scripts(out, plan, cached=False, search=command)


def _fake_sbatch(folder: Path) -> dict[str, str]:
    """A program ``sbatch`` that notes its words and answers with a job, as ``--parsable`` does."""
    fake = folder / "bin" / "sbatch"
    fake.parent.mkdir()
    note = (
        "import json, sys; "
        f"open({str(folder / 'called')!r}, 'a').write(json.dumps(sys.argv[1:]) + chr(10)); "
        "print('77;cluster' if '--parsable' in sys.argv else 'Submitted batch job 78')"
    )
    fake.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{note}" "$@"\n')
    fake.chmod(0o755)
    return {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"}


def _submit(script: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(script), "--account=a b"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _called(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "called").read_text().splitlines()]


def test_predictions_wait_for_the_searches_of_the_same_tasks(wild: Path, tmp_path: Path) -> None:
    script = _write(wild, tmp_path, parse_search_command(COMMAND), NAMES)
    done = _submit(script, _fake_sbatch(tmp_path))
    assert done.returncode == 0, done.stderr
    calls = _called(tmp_path)
    (search,) = (words for words in calls if "--parsable" in words)
    (waiting,) = (words for words in calls if "--dependency=aftercorr:77" in words)
    (free,) = (words for words in calls if words not in (search, waiting))
    assert calls.index(search) < calls.index(waiting)
    assert f"--array=1-{len(NAMES)}" in search
    assert f"--array=1-{len(NAMES)}" in waiting
    assert [word for word in search if word.startswith(("--cpus", "--mem", "--time"))] == [
        "--cpus-per-task=1",
        "--mem=954M",
        "--time=60",
    ]
    assert "--kill-on-invalid-dep=yes" in waiting
    assert not any(word.startswith("--dependency") for word in free)
    assert all("--account=a b" in words for words in calls)
    assert [path for path in tmp_path.rglob("*") if path.name == "canary"] == []


def test_a_search_gets_its_words_unchanged_and_the_prediction_its_file(
    wild: Path, tmp_path: Path
) -> None:
    dump = "import json, sys; print(json.dumps(sys.argv[1:]))"
    command = SearchCommand((sys.executable, "-c", dump, "{input}", "{output}", "-n{cpus}"))
    folder = _write(wild, tmp_path, command, NAMES).parent
    number = next(path for path in folder.glob("msa-*.json")).stem.partition("-")[2]
    predictions = json.loads((folder / f"array-{number}.json").read_text())
    inputs = set()
    for task, words in enumerate(predictions, 1):
        done = subprocess.run(
            ["sh", "task.sh", f"msa-{number}.json"],
            cwd=folder,
            env={**os.environ, TASK_VARIABLE: str(task), CPUS_VARIABLE: "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        given, output, cpus = json.loads(done.stdout)
        inputs.add(given)
        assert output == words[words.index("--input") + 1]
        assert Path(output).parent == folder / "msa"
        assert cpus == "-n1"
    assert inputs == {str(tmp_path / f"{name}.json") for name in NAMES}
    assert [path for path in tmp_path.rglob("*") if path.name == "canary"] == []


def test_without_a_command_the_predictions_wait_for_jobs_that_are_named(
    wild: Path, tmp_path: Path
) -> None:
    script = _write(wild, tmp_path, None, NAMES)
    environment = _fake_sbatch(tmp_path)
    for bad in ({}, {"PERFKIT_MSA_JOBS": "1; touch canary"}):
        done = _submit(script, {**environment, **bad})
        assert done.returncode == 2
        assert "set PERFKIT_MSA_JOBS to the Slurm jobs" in done.stderr
    assert not (tmp_path / "called").exists()
    done = _submit(script, {**environment, "PERFKIT_MSA_JOBS": "12:13_4"})
    assert done.returncode == 0, done.stderr
    waiting = [words for words in _called(tmp_path) if "--dependency=afterok:12:13_4" in words]
    assert [f"--array=1-{len(NAMES)}" in words for words in waiting] == [True]


@pytest.mark.parametrize("command", [None, COMMAND])
def test_the_scripts_with_searches_pass_shellcheck(
    wild: Path, tmp_path: Path, command: str | None
) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: apt install shellcheck")
    parsed = None if command is None else parse_search_command(command)
    script = _write(wild, tmp_path, parsed, NAMES)
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "--enable=all", str(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("search {input}", "needs {input} and {output}"),
        ("search '{input} {output}", "--msa-command is not a command: no closing quotation"),
        ("", "{input} is missing"),
    ],
)
def test_an_incomplete_command_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_search_command(text)
    assert message in str(refused.value)


def test_a_job_without_an_input_cannot_be_searched(tmp_path: Path) -> None:
    job = Job("sized", "af3", 40, production("af3"), {"size": "40"}, "test", search=SEARCH)
    inventory = Inventory((Machine("node", 1, 2, 8000 * 2**20),), "EUR")
    plan = make_plan([job], inventory, [assemble(study())])
    with pytest.raises(UserError, match="the job 'sized' has no fold input of its own"):
        write_scripts(tmp_path, plan, cached=False, search=parse_search_command(COMMAND))


def test_slurm_predicts_with_what_the_search_has_written(
    slurm: Slurm, wild: Path, tmp_path: Path
) -> None:
    """On a real Slurm: the stand-in of a prediction shows the file that its search wrote."""
    search = "import pathlib, sys; pathlib.Path(sys.argv[2]).write_text(f'of {sys.argv[1]}')"
    show = (
        "import os, pathlib, sys; words = sys.argv[2:]; "
        "text = pathlib.Path(words[words.index('--input') + 1]).read_text(); "
        "number = os.environ['SLURM_ARRAY_TASK_ID']; "
        "pathlib.Path(sys.argv[1], number).write_text(text)"
    )
    command = SearchCommand((sys.executable, "-c", search, "{input}", "{output}"))
    script = _write(wild, tmp_path, command, NAMES[:2])
    number = next(script.parent.glob("msa-*.json")).stem.partition("-")[2]
    for listed in script.parent.glob("array-*.json"):
        stand_in = [sys.executable, "-c", show, str(tmp_path / "shown")]
        words = json.loads(listed.read_text())
        if listed.stem != f"array-{number}":
            # The job without a search is not what is tested here.
            write_list(listed, [[sys.executable, "-c", ""]])
            continue
        write_list(listed, [[*stand_in, *each] for each in words])
    (tmp_path / "shown").mkdir()
    slurm.run("sh", str(script))
    slurm.wait_until_empty(120)
    shown = {path.read_text() for path in (tmp_path / "shown").iterdir()}
    assert shown == {f"of {tmp_path}/{name}.json" for name in NAMES[:2]}
