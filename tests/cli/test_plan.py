"""``perfkit plan`` and ``perfkit calibrate`` on the command line."""

from __future__ import annotations

import csv
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.records.store import Store
from tests.support.planted import record, study

type Perfkit = Callable[..., subprocess.CompletedProcess[str]]

MACHINES = """
[[machine]]
name = "node"
count = 2
cores = 2
memory = "16GB"
speed = 1.0
price_per_hour = 0.5
watts = 200
"""

GOOD = "plan --fit ../fit.json --jobs ../jobs.csv --machines ../machines.toml --out out"

CALIBRATION = 'calibration = "none.toml"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with a fit, an inventory and a queue; commands run in its folder ``work``."""
    assemble(study()).save(tmp_path / "fit.json")
    (tmp_path / "machines.toml").write_text(MACHINES)
    (tmp_path / "jobs.csv").write_text("name,tokens\na,40\nb,80\nc,60\n")
    return tmp_path


def _refused(finished: subprocess.CompletedProcess[str], message: str) -> None:
    assert finished.returncode == 2, finished.stderr
    (line,) = finished.stderr.splitlines()
    assert line.startswith("perfkit: ")
    assert message in line


def test_a_queue_is_planned(perfkit: Perfkit, folder: Path) -> None:
    finished = perfkit(*GOOD.split())
    assert finished.returncode == 0, finished.stderr
    assert re.search(r"3 jobs done after .* \[.*\], 0\.\d+ EUR \[0\.\d+, 0\.\d+\]", finished.stdout)
    assert "no packing ends before" in finished.stdout
    out = folder / "work" / "out"
    rows = list(csv.DictReader((out / "plan.csv").open()))
    assert sorted(row["name"] for row in rows) == ["a", "b", "c"]
    page = (out / "report.html").read_text()
    for heading in ("What runs where and when", "Sizes and memory", "Against accelerators"):
        assert heading in page
    assert (out / "slurm" / "submit.sh").exists()


def test_a_plan_imports_no_jax(perfkit: Perfkit, folder: Path) -> None:
    message = "import atexit\natexit.register(lambda: print('jax' in sys.modules))\n"
    finished = perfkit(*GOOD.split(), before=message)
    assert finished.stdout.splitlines()[-1] == "False"


def test_a_change_of_the_queue_is_compared_with_the_queue_as_given(
    perfkit_here: Perfkit, folder: Path
) -> None:
    finished = perfkit_here(*GOOD.split(), "--seeds", "3")
    assert "this is with seeds 3; the queue as given: 3 jobs done after" in finished.stdout


def test_a_deadline_and_a_budget_give_numbers_of_machines(
    perfkit_here: Perfkit, folder: Path
) -> None:
    finished = perfkit_here(*GOOD.split(), "--deadline", "24h", "--budget", "100")
    assert finished.returncode == 0, finished.stderr
    (_, needed) = finished.stdout.split("Machines needed if only one kind is used")
    # Machines, then hours and money with their intervals.
    assert re.search(r"node .* 1 .* min \d+ s \[\d+ min .*\] .* EUR \[0\.\d+, 0\.\d+\]", needed)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("jobs.csv", "name,tokns\na,4\n", "column 'tokns' is unknown; the nearest is 'tokens'"),
        ("jobs.csv", "name,tokens\na,-4\n", "jobs.csv, row 2: tokens is '-4'"),
        ("jobs.csv", "name,tokens\na,four\n", "jobs.csv, row 2: tokens is 'four'"),
        ("jobs.csv", "name,tokens\na,4\na,5\n", "jobs.csv, row 3: the name 'a' is taken by"),
        ("jobs.csv", "name,tokens\na,4000\n", "row 2: job 'a' fits on no machine: needs up to"),
        ("jobs.csv", "name,grid\na,1\n", "there is no fit of gencast"),
        (
            "machines.toml",
            MACHINES.replace('memory = "16GB"\n', ""),
            "machine 'node': memory field required",
        ),
        ("machines.toml", MACHINES.replace("speed = 1.0\n", ""), "it needs either calibration"),
        ("machines.toml", MACHINES.replace("speed = 1.0", CALIBRATION), "none.toml cannot be read"),
        ("fit.json", "{}", "is not a fit of 'perfkit plan fit'"),
    ],
)
def test_bad_input_is_one_sentence(
    perfkit_here: Perfkit, folder: Path, file: str, text: str, message: str
) -> None:
    (folder / file).write_text(text)
    _refused(perfkit_here(*GOOD.split()), message)
    assert not (folder / "work" / "out").exists()


def test_keep_going_plans_the_rest_and_lists_the_rejects(
    perfkit_here: Perfkit, folder: Path
) -> None:
    (folder / "jobs.csv").write_text("name,tokens\na,40\nbad,-1\nhuge,4000\na,50\n")
    (folder / "machines.toml").write_text(MACHINES + '[[machine]]\nname = "x"\ncores = 2\n')
    finished = perfkit_here(*GOOD.split(), "--keep-going")
    assert finished.returncode == 0, finished.stderr
    assert "1 job done after" in finished.stdout
    listed = finished.stdout.split("Not planned")[1]
    for message in ("memory field required", "tokens is '-1'", "fits on no machine", "is taken by"):
        assert message in " ".join(listed.replace("│", " ").split())
    skipped = list(csv.DictReader((folder / "work" / "out" / "skipped.csv").open()))
    assert [row["name"] for row in skipped] == ["x", "bad", "a", "huge"]
    assert "tokens is '-1'" in skipped[1]["reason"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("plan --here --size 40", "a plan needs a fit: give one with --fit"),
        ("plan --fit none.json --here --size 40", "none.json cannot be read"),
        ("plan --fit ../fit.json --size 40", "either --machines FILE or --here"),
        ("plan --fit ../fit.json --machines ../machines.toml", "there is nothing to plan"),
        ("plan --fit ../fit.json --machines ../machines.toml --size 0", "tokens is '0'"),
        ("plan --fit ../fit.json --machines none.toml --size 8", "none.toml cannot be read"),
        ("plan --fit ../fit.json --here --size 40", "the fit of af3 was measured on Test CPU"),
        ("plan --fit ../fit.json --here --size 40 --speed 0", "--speed takes more than 0"),
        ("plan --fit ../fit.json --here --speed 1 --size 40 --seeds 0", "--seeds takes 1 or more"),
        ("plan --fit ../fit.json --here --size 8 --deadline soon", "is not a duration"),
        ("plan --fit ../fit.json --here --size 8 --budget -1", "--budget takes more than 0"),
        ("plan --fit ../fit.json --here --size 8 --budget nan", "--budget takes more than 0"),
        ("plan --fit ../fit.json --here --size 40 --speed inf", "--speed takes more than 0.0001"),
        (f"{GOOD} --speed 2", "--speed goes with --here; write speed into ../machines.toml"),
        (f"{GOOD} --seeds 1000000000000000", "--seeds takes 1 or more, up to 100000"),
        (f"{GOOD} --size 40,50", "--size takes one size with --jobs, not '40,50'"),
        (f"{GOOD} --size {'9' * 5000}", "--size: tokens is '999"),
        ("plan fit --from nowhere", "there is no folder nowhere"),
        ("plan fit --size 8 --rounds 0", "--rounds takes 1 or more"),
        ("plan fit --size 8 --sizes 8,x", "takes whole numbers"),
        ("calibrate --size 8 --rounds 0", "--rounds takes 1 or more"),
        ("plan fit --model gencast --engine weathernext", "plans count the calls of perfkit's own"),
        ("calibrate --model gencast --engine weathernext", "not those of 'weathernext': measure"),
    ],
)
def test_a_bad_command_line_is_one_sentence(
    perfkit_here: Perfkit, folder: Path, arguments: str, message: str
) -> None:
    _refused(perfkit_here(*arguments.split()), message)


TABLE = "plan table --fit ../fit.json --machines ../machines.toml --compile-up-to none --out out"


def test_a_table_has_every_size_on_every_machine(perfkit: Perfkit, folder: Path) -> None:
    (folder / "machines.toml").write_text(MACHINES + MACHINES.replace('"node"', '"other"'))
    message = "import atexit\natexit.register(lambda: print('jax' in sys.modules))\n"
    finished = perfkit(*TABLE.split(), before=message)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[-1] == "False"
    out = folder / "work" / "out"
    rows = list(csv.DictReader((out / "table.csv").open()))
    assert [row["machine"] for row in rows] == ["node"] * 12 + ["other"] * 12
    assert [row["size"] for row in rows[:12:11]] == ["64", "5120"]
    # 5,120 tokens need 900 MB + 2 MB and 8 kB for each token and pair of tokens.
    needed = 1_000_000_000 + 2_000_000 * 5120 + 8000 * 5120**2
    assert float(rows[11]["memory_bytes"]) == pytest.approx(needed, rel=1e-3)
    assert (rows[11]["feasible"], rows[11]["memory_source"]) == ("False", "law")
    assert "<h1>capacity of af3</h1>" in (out / "report.html").read_text()
    assert (out / "table.md").read_text().startswith("# Capacity of af3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("plan table", "the following arguments are required: --fit"),
        ("plan table --fit none.json", "the fit none.json cannot be read"),
        ("plan table --model gencast --fit ../fit.json", "is of af3, not of gencast"),
        (f"{TABLE} --model af4", "af4"),
        (f"{TABLE} --sizes ,", "--sizes names no size"),
        (f"{TABLE} --sizes 0", "--size: tokens is '0'"),
        (f"{TABLE} --sizes 1e9x", "--size: tokens is '1e9x'"),
        (f"{TABLE} --compile-up-to many", "--size: tokens is 'many'"),
        (f"{TABLE} --compile-time soon", "is not a duration"),
        (f"{TABLE} --calibration c.toml", "--calibration is for this machine; write it into"),
        ("plan table --fit ../fit.json --calibration c.toml", "c.toml cannot be read"),
        ("plan table --fit ../fit.json --machines none.toml", "none.toml cannot be read"),
        ("calibrate --fit none.json", "the fit none.json cannot be read"),
        ("calibrate --model gencast --fit ../fit.json", "is of af3, not of gencast"),
        ("calibrate --fit ../fit.json --knob bucket=exact", "leave out --knob and --preset"),
        ("plan fit --sizes 16,32 --knob bucket=128", "the sizes 16, 32 are all padded alike in"),
        ("plan fit --sizes 16,32 --budget never", "is not a duration"),
        ("plan fit --sizes 16,32 --shallow-sizes x", "takes whole numbers"),
    ],
)
def test_a_bad_table_fit_or_calibration_is_one_sentence(
    perfkit_here: Perfkit, folder: Path, arguments: str, message: str
) -> None:
    _refused(perfkit_here(*arguments.split()), message)
    assert not (folder / "work" / "out").exists()


@pytest.mark.parametrize("text", ["", "machine = 3", "[[machine]]\nname = 1\n", "[[machin]]\n"])
def test_machines_that_are_none_are_refused(perfkit_here: Perfkit, folder: Path, text: str) -> None:
    (folder / "machines.toml").write_text(text)
    _refused(perfkit_here(*TABLE.split()), "machine")


def _store(folder: Path, sizes: tuple[int, ...]) -> None:
    store = Store(folder / "records")
    for size in sizes:
        store.append(record(size))


def test_records_of_the_published_implementation_are_not_fitted(
    perfkit_here: Perfkit, folder: Path
) -> None:
    one = record(16)
    workload = one.workload.model_copy(
        update={"model": "gencast", "source": {"engine": "weathernext"}}
    )
    Store(folder / "records").append(one.model_copy(update={"workload": workload}))
    _refused(perfkit_here("plan", "fit", "--from", "../records"), "not those of 'weathernext'")


def test_existing_records_are_fitted(perfkit_here: Perfkit, folder: Path) -> None:
    _store(folder, (16, 24, 32, 48, 64, 96))
    finished = perfkit_here("plan", "fit", "--from", "../records", "--out", "fitted")
    assert finished.returncode == 0, finished.stderr
    assert "Held out" in finished.stdout
    assert (folder / "work" / "fitted" / "fit.json").exists()
    page = (folder / "work" / "fitted" / "report.html").read_text()
    assert "Time of each part against size" in page


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((16, 24, 32), "the law of trunk_pass has 4 terms (1, n, n^2, n^3), but only 3"),
        ((16, 16, 16, 16, 16), "a law needs several sizes with traced parts, only 16 was measured"),
    ],
)
def test_too_few_or_equal_points_are_refused(
    perfkit_here: Perfkit, folder: Path, sizes: tuple[int, ...], message: str
) -> None:
    _store(folder, sizes)
    _refused(perfkit_here("plan", "fit", "--from", "../records"), message)
