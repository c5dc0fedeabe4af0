"""A model that another package adds is fitted, calibrated, planned and drawn like perfkit's own."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.queue.jobs import read_jobs, sized_jobs
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.plan import Plan, make_plan
from perfkit.capacity.queue.plan_files import write_csv, write_json
from perfkit.capacity.queue.what_if import what_if
from perfkit.cluster.slurm import write_scripts
from perfkit.errors import UserError
from perfkit.records.schema import Compilation, Record, WorkloadRecord
from perfkit.report.figures.capacity.feasibility import feasibility_info
from perfkit.report.fit_page import fit_page
from perfkit.report.fit_tables import fit_sentence
from perfkit.report.plan_page import plan_page
from tests.support.plugin import install
from tests.support.records_factory import make_record, make_stage

MACHINE = Machine("node", 1, 2, 16 * 10**9, speed=1.0, price_per_hour=3.6)
START_S = 1.0 + 0.5 + 0.25 + 4.0
"""Import, preparing, tracing and compiling of the planted trials."""


@pytest.fixture(autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(install(tmp_path_factory.mktemp("packages")))


def step_s(edge: int) -> float:
    return 0.001 + 1e-7 * edge**3


def trial(edge: int) -> Record:
    """A trial of 20 steps of a plate, on planted laws."""
    parts = {"step": 20 * step_s(edge), "rest": 0.01}
    whole = sum(parts.values())
    walls = [("import", 1.0), ("prepare", 0.5), ("trace", 0.25), ("compile", 4.0)]
    walls += [("first", whole + 0.125), ("steady", whole), ("check", 0.0625)]
    # The program of 16 bytes a node, and its results of 4 bytes once more.
    peak = 300_000_000 + 20 * edge**2
    stages, clock_s = [], 0.0
    for name, wall_s in walls:
        stages.append(make_stage(name, clock_s, wall_s, peak_rss_bytes=peak))
        clock_s += wall_s
    return make_record(
        {},
        role="parts",
        identifier=f"heat-{edge}",
        workload=WorkloadRecord(
            model="heat",
            name=f"plate-{edge}",
            size=edge,
            source={"edge": edge},
            fidelity={"steps": 20},
            input_digest=f"{edge}",
            notices=[],
            digest=f"{edge}",
        ),
        stages=stages,
        part_times_s=parts,
        compilation=Compilation(
            cache="off",
            temporary_bytes=8 * edge**2,
            argument_bytes=4 * edge**2,
            output_bytes=4 * edge**2,
            code_bytes=0,
            flops=0.0,
            bytes_accessed=0.0,
            parts={"step": 20},
        ),
        peak_rss_bytes=peak,
    )


TRIALS = (64, 96, 128, 192)


def fitted() -> ModelFit:
    return assemble([trial(edge) for edge in TRIALS])


def planned(folder: Path, *, cached: bool = True) -> Plan:
    """A plate in a table, and one in a file."""
    (folder / "jobs.csv").write_text("name,plate,steps\na,100,500\nb,150,\n")
    jobs, rejects = read_jobs(folder / "jobs.csv")
    assert rejects == []
    fit = fitted().model_copy(update={"cached_compile_s": 0.5})
    return make_plan(jobs, Inventory((MACHINE,), "EUR"), [fit], cached=cached)


def test_its_laws_are_found() -> None:
    fit = fitted()
    assert fit_sentence(fit).startswith("heat in stock: 4 trials from 64 to 192 nodes on 2 CPUs")
    assert fit.seconds({"p": 150.0}, {"step": 500})["step"] == pytest.approx(500 * step_s(150))
    assert fit.memory_range({"p": 150.0}, 1).value == pytest.approx(300_000_000 + 20 * 150**2)


def test_a_queue_of_it_is_planned(tmp_path: Path) -> None:
    """The jobs run one after the other on both CPUs, because the fit has no law of CPUs."""
    plan = planned(tmp_path, cached=False)
    times = {each.job.name: each.option.time.value for each in plan.jobs}
    once = START_S + 0.01 + 0.125 + 0.0625
    assert times["a"] == pytest.approx(500 * step_s(100) + once)
    assert times["b"] == pytest.approx(1000 * step_s(150) + once)
    assert plan.price == pytest.approx((times["a"] + times["b"]) * 3.6 / 3600)


def test_jobs_of_similar_size_share_a_padded_program(tmp_path: Path) -> None:
    """Padding a plate from 99 to 100 costs 500 times 3 ms, another program 3.5 s."""
    (tmp_path / "jobs.csv").write_text("name,plate,steps\na,99,500\nb,100,500\n")
    jobs, _ = read_jobs(tmp_path / "jobs.csv")
    fit = fitted().model_copy(update={"cached_compile_s": 0.5})
    plan = make_plan(jobs, Inventory((MACHINE,), "EUR"), [fit])
    assert {each.bucket for each in plan.jobs} == {100}
    write_scripts(tmp_path, plan, cached=True)
    commands = json.loads((tmp_path / "slurm" / "array-1.json").read_text())
    assert all("padded=100" in words for words in commands)
    assert {words[words.index("--edge") + 1] for words in commands} == {"99", "100"}


def test_the_files_of_a_plan_have_its_columns(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    write_csv(tmp_path / "plan.csv", plan)
    write_json(tmp_path / "plan.json", plan)
    rows = {row["name"]: row for row in csv.DictReader((tmp_path / "plan.csv").open())}
    assert (rows["a"]["heat_steps"], rows["b"]["heat_steps"]) == ("500", "1000")
    assert rows["a"]["recycles"] == ""
    for job in json.loads((tmp_path / "plan.json").read_text())["jobs"]:
        assert job["heat_steps"] == int(rows[job["name"]]["heat_steps"])
        assert "recycles" not in job


def test_a_folder_of_its_files_is_a_queue(tmp_path: Path) -> None:
    (tmp_path / "small.plate").write_text("80\n")
    ((job,), rejects) = read_jobs(tmp_path)
    assert rejects == []
    assert (job.name, job.model, job.size) == ("small", "heat", 80)


def test_a_change_of_its_axis_leaves_other_models_alone() -> None:
    """AlphaFold 3 has an axis of the same name, which is not declared changeable."""
    change = what_if({"steps": 7}, "90", "heat")
    plate, fold = (change.applied(sized_jobs(name, "64")[0]) for name in ("heat", "af3"))
    assert (plate.size, plate.fidelity) == (90, {"steps": 7})
    assert (fold.size, fold.fidelity["steps"]) == (64, 200)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,,,8,", "several models have the column steps (af3, heat): name one in the column"),
        ("a,64,9,,", "tokens is a column of af3 and plate of heat: keep one"),
        ("a,64,,,heat", "tokens is a column of af3, but the model of the row is heat: keep one"),
        ("a,,7,,", "plate is '7': input should be greater than or equal to 8"),
        ("a,,,,cold", "model is 'cold': expected one of af3, gencast, heat"),
        ("a,,,,", "it needs an input: tokens or file or sequence (af3), or grid (gencast), or"),
    ],
)
def test_a_row_that_fits_no_model_is_rejected(tmp_path: Path, row: str, reason: str) -> None:
    (tmp_path / "jobs.csv").write_text(f"name,tokens,plate,steps,model\n{row}\n")
    jobs, (reject,) = read_jobs(tmp_path / "jobs.csv")
    assert jobs == []
    assert reason in reject.reason


def test_a_shared_column_belongs_to_the_model_of_the_row(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("name,plate,steps,model\na,64,8,\nb,64,9,heat\n")
    jobs, _ = read_jobs(tmp_path / "jobs.csv")
    assert [(job.model, job.fidelity["steps"]) for job in jobs] == [("heat", 8), ("heat", 9)]


def test_its_sizes_are_on_the_axis_of_what_is_possible() -> None:
    info = feasibility_info(fitted(), MACHINE)
    assert (info.unit, info.sizes) == ("nodes along an edge", ("64", "256", "1024"))
    # Up to twice the largest plate that was measured, 192.
    assert info.measured_to == 1
    assert all(info.fits[0])


def test_its_pages_are_drawn(tmp_path: Path) -> None:
    page = fit_page(fitted(), [trial(edge) for edge in TRIALS])
    for text in ("scaling laws of heat", "1e-07 s p^3"):
        assert text in page
    page = plan_page(planned(tmp_path))
    for text in ("What is possible, heat", "nodes along an edge", "a table of 1822"):
        assert text in page


def test_its_fit_cannot_be_read_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted().save(tmp_path / "fit.json")
    monkeypatch.undo()
    with pytest.raises(UserError, match="the model is 'heat', expected one of af3, gencast"):
        ModelFit.load(tmp_path / "fit.json")
