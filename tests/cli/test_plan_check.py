"""``perfkit plan check`` on the command line, from a plan to a corrected plan."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from perfkit.api.planning import plan
from perfkit.capacity.laws.assemble import assemble
from tests.cli.conftest import Perfkit
from tests.support.planted import study

MACHINES = '[[machine]]\nname = "node"\ncount = 1\ncores = 2\nmemory = "16GB"\nspeed = 1.0\n'
PLAN = "plan --fit ../fit.json --jobs ../jobs.csv --machines ../machines.toml --out planned"
HEADER = "JobID|JobName|State|Elapsed|MaxRSS\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fit whose trials scatter by a few per cent, a queue, machines and a plan."""
    folder = tmp_path_factory.mktemp("made")
    noise = itertools.cycle((0.96, 1.03, 1.0, 1.05, 0.98))
    fit = assemble(study(noise=lambda: next(noise)))
    overhead = fit.overhead.model_copy(update={"residuals": (0.05, -0.05, 0.02) * 3})
    fit.model_copy(update={"overhead": overhead}).save(folder / "fit.json")
    (folder / "machines.toml").write_text(MACHINES)
    (folder / "jobs.csv").write_text("name,tokens\na,80\n<b>,40\nc,60\n")
    plan(
        fit=folder / "fit.json",
        jobs=folder / "jobs.csv",
        machines=folder / "machines.toml",
        deadline="12h",
        out=folder / "work" / "planned",
    )
    return folder


@pytest.fixture
def planned(tmp_path: Path, made: Path) -> dict[str, Any]:
    """Jobs of a plan by name; the plan is in the folder ``planned`` of the commands."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    data = json.loads((tmp_path / "work" / "planned" / "plan.json").read_text())
    assert data["deadline_s"] == 43200.0
    return {job["name"]: job for job in data["jobs"]}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"


def _accounts(folder: Path, planned: dict[str, Any]) -> None:
    """The first job took half as long again and twice the memory, the second ran out of memory,
    the third has not begun."""
    a, b, c = (planned[name] for name in ("a", "<b>", "c"))
    kilobytes = round(2 * a["memory_bytes"] / 1024)
    (folder / "jobs.txt").write_text(
        f"{HEADER}"
        f"9_{a['task']}|{a['array']}|COMPLETED|{_clock(1.5 * a['time_s'])}|\n"
        f"9_{a['task']}.batch|batch|COMPLETED|{_clock(1.5 * a['time_s'])}|{kilobytes}K\n"
        f"9_{b['task']}|{b['array']}|OUT_OF_MEMORY|00:01:00|\n"
        f"9_{b['task']}.batch|batch|OUT_OF_MEMORY|00:01:00|10M\n"
        f"9_[{c['task']}]|{c['array']}|PENDING|00:00:00|\n"
    )


def test_a_plan_is_checked_and_the_next_plan_is_corrected(
    perfkit_here: Perfkit, tmp_path: Path, planned: dict[str, Any]
) -> None:
    _accounts(tmp_path, planned)
    done = perfkit_here("plan", "check", "planned", "--sacct", "../jobs.txt")
    assert done.returncode == 0, done.stderr
    assert "outside (+50 %)" in done.stdout
    assert "outside (+100 %)" in done.stdout
    assert "1 of 3 jobs finished (1 out of memory, 1 queued)" in done.stdout
    assert "past the deadline (12 h)" in done.stdout
    folder = tmp_path / "work" / "planned" / "check"
    jobs = {job["name"]: job for job in json.loads((folder / "check.json").read_text())["jobs"]}
    assert [jobs[name]["state"] for name in ("a", "<b>", "c")] == [
        "finished",
        "out of memory",
        "queued",
    ]
    assert jobs["c"]["out_of_memory_risk"] > 0.1
    page = (folder / "report.html").read_text()
    assert "Measured time over predicted" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page.split("</head>")[-1]
    again = perfkit_here(*PLAN.split(), "--correction", "planned/check/correction.json")
    assert again.returncode == 0, again.stderr
    assert "corrected by 2 finished jobs" in again.stdout
    data = json.loads((tmp_path / "work" / "planned" / "plan.json").read_text())
    after = {job["name"]: job for job in data["jobs"]}
    assert after["c"]["time_s"] > 1.3 * planned["c"]["time_s"]
    assert after["c"]["memory_request_bytes"] > planned["c"]["memory_request_bytes"]


def test_a_check_has_its_jobs_in_json_and_imports_no_jax(
    perfkit: Perfkit, tmp_path: Path, planned: dict[str, Any]
) -> None:
    _accounts(tmp_path, planned)
    command = ("plan", "check", "planned/plan.json", "--sacct", "../jobs.txt", "--json")
    message = (
        "import atexit\natexit.register(lambda: print('jax' in sys.modules, file=sys.stderr))\n"
    )
    done = perfkit(*command, before=message)
    assert done.returncode == 0, done.stderr
    checked = json.loads(done.stdout)
    assert [job["name"] for job in checked["check"]["jobs"]] == list(planned)
    assert (tmp_path / "work" / checked["files"]["correction"]).exists()
    assert done.stderr.splitlines()[-1] == "False"


def test_requests_follow_the_stated_risks(
    perfkit_here: Perfkit, tmp_path: Path, planned: dict[str, Any]
) -> None:
    done = perfkit_here(*PLAN.split(), "--memory-risk", "0.2", "--time-risk", "0.2")
    assert done.returncode == 0, done.stderr
    assert "out of memory with 20 %, out of time with 20 %" in " ".join(done.stdout.split())
    data = json.loads((tmp_path / "work" / "planned" / "plan.json").read_text())
    for job in data["jobs"]:
        assert job["time_request_s"] < planned[job["name"]]["time_request_s"]
        assert job["memory_request_bytes"] < planned[job["name"]]["memory_request_bytes"]
    script = (tmp_path / "work" / "planned" / "slurm" / "submit.sh").read_text()
    most = max(job["memory_request_bytes"] for job in data["jobs"])
    assert f" --mem={-(-most // 2**20)}M " in script


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("plan check planned", "there is nothing to check the plan against: give --records DIR"),
        ("plan check nowhere --sacct ../jobs.txt", "the plan nowhere cannot be read"),
        ("plan check ../fit.json --sacct ../jobs.txt", "is not a plan of 'perfkit plan'"),
        ("plan check planned --sacct none.txt", "the accounts none.txt cannot be read"),
        ("plan check planned --sacct ../jobs.csv", "jobs.csv is not the output of sacct"),
        (
            "plan check planned --sacct ../other.txt",
            "no job in ../other.txt is a task of",
        ),
        ("plan check planned --records none", "there is no folder none to read records from"),
        ("plan check planned --records planned", "nothing of the plan planned has begun: planned"),
        ("plan check planned --sacct ../jobs.txt --deadline soon", "is not a duration"),
        ("plan check planned --sacct ../jobs.txt --correction ../fit.json", "not a correction of"),
        (f"{PLAN} --correction none.json", "the correction none.json cannot be read"),
        (f"{PLAN} --memory-risk 0", "--memory-risk takes a probability from 1e-06 to 0.5, not 0"),
        (f"{PLAN} --time-risk nan", "--time-risk takes a probability"),
        (f"{PLAN} --msa-command search", "--msa-command needs {input} and {output}"),
    ],
)
def test_bad_input_is_one_sentence(
    perfkit_here: Perfkit, tmp_path: Path, planned: dict[str, Any], arguments: str, message: str
) -> None:
    _accounts(tmp_path, planned)
    (tmp_path / "other.txt").write_text(f"{HEADER}5|other|COMPLETED|00:01:00|\n")
    done = perfkit_here(*arguments.split())
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("perfkit: ")
    assert message in line
    assert not (tmp_path / "work" / "planned" / "check").exists()
