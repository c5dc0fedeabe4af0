"""Slurm: the options of the scripts, and a real Slurm that runs a plan of real predictions."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.parallel import CpuLaw
from perfkit.capacity.queue.arrays import arrays, folder_names
from perfkit.capacity.queue.jobs import production
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.plan import Plan, make_plan
from perfkit.cluster.slurm import write_scripts
from perfkit.models.costs import Job
from perfkit.records.schema import Outcome
from perfkit.records.store import read_records
from perfkit.tuning.preset import load_preset
from tests.support.local_slurm import Slurm
from tests.support.planted import study

MACHINE = Machine("node", 1, 2, 8000 * 2**20, partition="main")
PARALLEL = CpuLaw(serial=0.5, crosstalk=0.0, measured=(1, 2))


@pytest.fixture(scope="module")
def fit() -> ModelFit:
    """A fit with poor scaling over CPUs, so that two instances of one CPU are faster."""
    laws = {"running_cpus": PARALLEL, "starting_cpus": PARALLEL, "contention": 0.0}
    return assemble(study()).model_copy(update={**laws, "cached_compile_s": 0.5})


def _plan(fit: ModelFit, *jobs: Job, machine: Machine = MACHINE) -> Plan:
    return make_plan(jobs, Inventory((machine,), "EUR"), [fit])


def _fold(name: str, tokens: int, **fidelity: int) -> Job:
    chosen = production("af3", **fidelity)
    return Job(name, "af3", tokens, chosen, {"size": str(tokens)}, "test")


def _folds(count: int) -> list[Job]:
    return [_fold(f"job {number}", 40) for number in range(count)]


def test_jobs_with_equal_requirements_are_one_array(fit: ModelFit) -> None:
    (array,) = arrays(_plan(fit, *_folds(4)))
    assert (len(array.jobs), array.cpus) == (4, 1)
    needed = max(each.option.memory.high for each in array.jobs)
    assert needed / 2**20 <= array.mebibytes <= 4000


def test_a_preset_with_instances_runs_in_instances_of_that_size(fit: ModelFit) -> None:
    """Two instances of one CPU would be faster, but the preset was measured with two CPUs each."""
    wide = fit.model_copy(update={"instance_cpus": 2})
    (array,) = arrays(_plan(wide, *_folds(4)))
    assert array.cpus == 2
    (array,) = arrays(_plan(fit.model_copy(update={"instance_cpus": 1}), *_folds(4)))
    assert array.cpus == 1


def test_instances_that_are_impossible_here_leave_the_choice_to_the_plan(fit: ModelFit) -> None:
    needed = max(each.option.memory.high for each in _plan(fit, *_folds(4)).jobs)
    narrow = fit.model_copy(update={"instance_cpus": 1})
    small = dataclasses.replace(MACHINE, memory_bytes=int(1.5 * needed))
    (array,) = arrays(_plan(narrow, *_folds(4), machine=small))
    assert array.cpus == 2
    (array,) = arrays(_plan(fit.model_copy(update={"instance_cpus": 3}), *_folds(4)))
    assert array.cpus == 1


def test_arrays_are_not_longer_than_slurm_allows(fit: ModelFit) -> None:
    plan = _plan(fit, *_folds(1200))
    assert [len(array.jobs) for array in arrays(plan)] == [1000, 200]


def test_the_time_limit_of_the_machine_is_never_exceeded(fit: ModelFit) -> None:
    """The job takes 287 s: at least ten minutes are requested, and no more than the machine
    gives."""
    (free,) = arrays(_plan(fit, _fold("a", 40)))
    assert free.minutes == 10
    limited = dataclasses.replace(MACHINE, time_limit_s=300.0)
    (array,) = arrays(_plan(fit, _fold("a", 40), machine=limited))
    assert array.minutes == 5


def test_a_command_runs_the_job_under_its_preset_and_bucket(fit: ModelFit, tmp_path: Path) -> None:
    plan = _plan(fit, _fold("a b/c", 39, seeds=1), _fold("d", 40))
    write_scripts(tmp_path, plan, cached=True)
    folder = tmp_path / "slurm"
    commands = json.loads((folder / "array-1.json").read_text())
    command = next(words for words in commands if words[words.index("--size") + 1] == "39")
    options = dict(zip(command[5::2], command[6::2], strict=False))
    assert options["--knob"] == "bucket=40"
    assert (options["--recycles"], options["--steps"], options["--samples"]) == ("10", "200", "5")
    assert options["--compile-cache"] == str(folder / "compile-cache")
    assert command[-1] == str(tmp_path / "results" / "a_bc")
    preset = load_preset(Path(options["--preset"]))
    assert preset.configuration.as_dict() == fit.settings
    submit = (folder / "submit.sh").read_text()
    assert "sbatch --job-name=perfkit-node-1-" in submit
    assert " --array=1-2 --ntasks=1 --cpus-per-task=1" in submit
    assert "--partition=main" in submit


def test_an_input_with_too_few_seeds_is_written_with_more(fit: ModelFit, tmp_path: Path) -> None:
    pytest.importorskip("alphafold3", reason="inputs are written by the af3 extra")
    write_scripts(tmp_path, _plan(fit, _fold("many", 40, seeds=3)), cached=False)
    (command,) = json.loads((tmp_path / "slurm" / "array-1.json").read_text())
    written = tmp_path / "slurm" / "inputs" / "many.json"
    assert command[command.index("--input") + 1] == str(written)
    assert command[command.index("--seeds") + 1] == "3"
    assert "--compile-cache" not in command
    assert '"modelSeeds": [' in written.read_text()


def test_a_sequence_of_the_table_becomes_an_input(fit: ModelFit, tmp_path: Path) -> None:
    document = '{"name": "a", "modelSeeds": [1], "sequences": []}'
    job = dataclasses.replace(_fold("a/b", 40, seeds=2), options={}, details={"document": document})
    write_scripts(tmp_path, _plan(fit, job), cached=False)
    (command,) = json.loads((tmp_path / "slurm" / "array-1.json").read_text())
    written = Path(command[command.index("--input") + 1])
    assert written.parent == tmp_path / "slurm" / "inputs"
    assert json.loads(written.read_text())["modelSeeds"] == [1, 2]


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["a/b", "ab", "plain"], ["ab-2", "ab", "plain"]),
        (["a b", "a_b", "a_b-2"], ["a_b-3", "a_b", "a_b-2"]),
        (["Lysozyme", "lysozyme"], ["Lysozyme", "lysozyme-2"]),
    ],
)
def test_names_with_the_same_folder_name_are_numbered(names: list[str], folders: list[str]) -> None:
    assert folder_names(names) == dict(zip(names, folders, strict=True))


@pytest.mark.parametrize("names", [["../x", "..", ".", "/etc/passwd"], ["a" * 300, "a" * 301]])
def test_folders_stay_below_the_results(names: list[str]) -> None:
    folders = folder_names(names).values()
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert Path(folder).name == folder
        assert folder not in ("", ".", "..")
        assert len(folder.encode()) < 200


def test_a_limit_below_a_minute_is_rounded_up_to_one(fit: ModelFit) -> None:
    """Slurm interprets ``--time=0`` and ``--mem=0`` as unlimited."""
    (array,) = arrays(_plan(fit, _fold("a", 40)))
    limited = dataclasses.replace(MACHINE, time_limit_s=30.0, memory_bytes=2**19)
    array = dataclasses.replace(array, machine=limited)
    assert (array.minutes, array.mebibytes) == (1, 1)


def test_slurm_runs_the_plan(slurm: Slurm, fit: ModelFit, tmp_path: Path) -> None:
    """Two small forecasts, one CPU each, at the same time on the two CPUs of the node."""
    pytest.importorskip("jax", reason="the predictions need the gencast extra")
    base = fit.model_copy(update={"model": "gencast", "settings": {}, "label": "stock"})
    plan = _forecast_plan(base)
    script = write_scripts(tmp_path, plan, cached=True)
    slurm.run("sh", str(script))
    slurm.wait_until_empty(240)
    logs = "\n".join(path.read_text() for path in (tmp_path / "slurm" / "logs").iterdir())
    records = [
        record for name in ("one", "two") for record in read_records(tmp_path / "results" / name)
    ]
    assert [record.outcome for record in records] == [Outcome.OK, Outcome.OK], logs
    assert [record.allowed_cpus for record in records] == [1, 1]
    for name in ("one", "two"):
        assert (tmp_path / "results" / name / "forecast.nc").exists()


def _forecast_plan(base: ModelFit) -> Plan:
    """A plan with constant laws."""
    constant = base.laws["import"].model_copy(update={"fixed": {}})
    parts = ("denoiser_call", "noise_set", "step_setup", "compile", "import")
    light = constant.model_copy(update={"coefficients": (1.2e9,), "quantity": "memory"})
    nothing = constant.model_copy(update={"coefficients": (1.0,)})
    fit = base.model_copy(
        update={
            "laws": dict.fromkeys(parts, constant),
            "covariance": ((0.0,) * 5,) * 5,
            "compiled": light,
            "overhead": light,
            "output_bytes": nothing,
            "compiled_exactly": (),
        }
    )
    fidelity = {"levels": 2, "steps": 1, "members": 1}
    options = {"resolution": "10", "mesh": "1"}
    jobs = [Job(name, "gencast", 684, fidelity, options, "test") for name in ("one", "two")]
    plan = _plan(fit, *jobs)
    assert [each.option.instances for each in plan.jobs] == [2, 2]
    return plan
