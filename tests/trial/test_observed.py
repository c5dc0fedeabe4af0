"""A small GenCast with all observers: its record, its artifacts and its page."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model
from perfkit.models.workload import Workload
from perfkit.observers.clocks import ClocksResult
from perfkit.observers.cpu import CpuResult
from perfkit.observers.memory import MemoryResult
from perfkit.observers.memray_heap import HeapResult
from perfkit.observers.observer import Child, Finding, ObservedRun, Observer, Process
from perfkit.observers.products.onednn import installed_library
from perfkit.observers.products.result import ProductsResult
from perfkit.observers.py_spy import PythonResult
from perfkit.observers.reading import found
from perfkit.observers.registry import OBSERVERS, make_observers
from perfkit.observers.trace.xla_trace import XlaResult
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import StageName
from perfkit.report.profile.page import profile_page
from perfkit.report.profile.summary import profile_summary
from perfkit.trial.launcher import run_trial
from perfkit.trial.observed import ObservedTrial
from perfkit.trial.request import TrialRequest
from tests.support.three_numbers import start_three_numbers, three_numbers

pytest.importorskip("jax", reason="trials run the gencast extra")
pytest.importorskip("h5netcdf", reason="trials run the gencast extra")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def workload() -> Workload:
    return get_model("gencast").workload({"resolution": 10.0, "mesh": 1}, {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profile")


def _observed(workload: Workload, folder: Path, names: Iterable[str]) -> ObservedTrial:
    observers = tuple(make_observers(names))
    return ObservedTrial(TrialRequest(workload, STOCK, folder, observers=observers))


@pytest.fixture(scope="module")
def record(workload: Workload, folder: Path) -> Record:
    record = run_trial(_observed(workload, folder, OBSERVERS), 1)
    # What is kept is what is read: a line of JSON.
    return Record.model_validate_json(record.model_dump_json())


def test_the_timed_trial_has_the_stages_of_a_trial_without_observers(record: Record) -> None:
    assert record.outcome is Outcome.OK
    assert [stage.name for stage in record.stages] == list(StageName)
    assert set(record.observations) == set(OBSERVERS)


def test_timed_observers_agree_with_the_stages(record: Record) -> None:
    clocks, cpu = found(record, "clocks", ClocksResult), found(record, "cpu", CpuResult)
    memory = found(record, "memory", MemoryResult)
    assert clocks is not None
    assert cpu is not None
    assert memory is not None
    steady = record.steady[0]
    assert clocks.stages["steady"].user_s == pytest.approx(steady.user_s)
    spent_s = sum(stage.cpu_s for stage in record.stages)
    windows = zip(cpu.tree, [cpu.begin_s, *cpu.time_s], cpu.time_s, strict=False)
    assert sum(use * (b - a) for use, a, b in windows) == pytest.approx(spent_s, rel=0.25)
    stages = max(stage.peak_rss_bytes for stage in record.stages)
    assert memory.peak_rss == pytest.approx(stages, rel=0.02)
    assert 200_000_000 < max(memory.anonymous) < memory.peak_rss


def test_the_traced_pass_is_divided_without_a_rest(record: Record) -> None:
    seen = found(record, "xla", XlaResult)
    assert seen is not None
    assert sum(seen.kinds.values()) == pytest.approx(seen.pass_s)
    assert sum(module.share for module in seen.modules) == pytest.approx(1.0)
    names = {module.name for module in seen.modules}
    assert {"grid2mesh", "mesh2grid", "mesh transformer"} <= names
    assert record.compilation is not None
    # The loop over the sampler's calls runs its body three times, which XLA counts once.
    flops = sum(module.flops for module in seen.modules)
    assert flops == pytest.approx(3 * record.compilation.flops, rel=0.1)


def test_the_products_are_those_of_the_traced_pass(record: Record) -> None:
    seen, traced = found(record, "products", ProductsResult), found(record, "xla", XlaResult)
    assert seen is not None
    assert traced is not None
    # Elementwise work and reductions are the small rest of XLA's count.
    whole = sum(module.flops for module in traced.modules)
    assert 0.9 * whole < seen.flops < whole
    assert 0.5 * seen.traced_s < seen.found_s <= seen.traced_s
    assert 0 < seen.floor_s <= seen.xla_s
    # Blocks of the mesh transformer: 16 in the network, in three calls of the denoiser.
    (widening,) = (row for row in seen.rows if row.label.endswith("[42,512] x kn[512,2048]"))
    assert (widening.modules, widening.times) == (["mesh transformer/feed-forward"], 48)
    assert widening.found == widening.times
    assert all(row.xla is not None and row.xla.best_s <= row.xla.median_s for row in seen.rows)
    assert seen.has_onednn == (installed_library() is not None)


def test_observers_of_further_children_see_heap_and_python(record: Record) -> None:
    heap, python = found(record, "memray", HeapResult), found(record, "py-spy", PythonResult)
    assert heap is not None
    # The synthetic weights, 56 million numbers of four bytes, are held at the peak.
    assert heap.peak_bytes > 200_000_000
    assert heap.file_bytes < 50_000_000
    assert python is not None
    assert any("backend_compile" in name for name in python.innermost)


def test_every_artifact_is_a_file_next_to_the_page(record: Record, folder: Path) -> None:
    expected = {"memray capture", "memray flamegraph", "memray table", "py-spy speedscope"}
    expected |= {"py-spy flamegraph", "xla trace for Perfetto", "optimised HLO", "log"}
    assert expected <= set(record.artifacts)
    assert not any(Path(path).is_absolute() for path in record.artifacts.values())
    assert all(
        (folder / path).stat().st_size for name, path in record.artifacts.items() if name != "log"
    )
    trace = folder / record.artifacts["xla trace for Perfetto"]
    with gzip.open(trace, "rt") as stream:
        events = json.load(stream)["traceEvents"]
    complete = [event for event in events if event.get("ph") == "X"]
    assert all({"name", "ts", "dur", "pid", "tid"} <= set(event) for event in complete)


def test_the_summary_names_three_modules_with_their_limits(record: Record) -> None:
    sentences = profile_summary(record)
    assert any(sentence.startswith("floor: the matrix products") for sentence in sentences)
    seen = found(record, "xla", XlaResult)
    assert seen is not None
    for number, module in enumerate(seen.modules[:3], start=1):
        assert sentences[number - 1].startswith(f"{number}. {module.name}: ")
        assert f"limited by {module.limit.value} (" in sentences[number - 1]


def test_the_page_links_every_artifact(record: Record, folder: Path) -> None:
    page = profile_page(record, folder)
    for path in record.artifacts.values():
        assert f'href="{path.replace("+", "%2B")}"' in page
    for heading in (
        "Matrix products by shape",
        "Roofline",
        "Time by module of the model",
        "CPUs in use over time",
    ):
        assert heading in page


class Unavailable(Observer):
    """An observer whose tool is not installed."""

    name = "microscope"
    process = Process.OWN
    summary = "nothing"

    def unavailable(self) -> str:
        return "no microscope is installed"


def test_an_unavailable_observer_leaves_its_reason_and_the_others_findings(
    tmp_path: Path,
) -> None:
    observers = (*make_observers(["clocks"]), Unavailable())
    request = TrialRequest(three_numbers(), STOCK, tmp_path, observers=observers)
    record = run_trial(ObservedTrial(request, start_child=start_three_numbers), 1)
    assert record.outcome is Outcome.OK
    assert record.observations["microscope"].missing == "no microscope is installed"
    assert record.observations["clocks"].missing == ""


class Breaking(Observer):
    """An observer that kills its child as soon as it sees it."""

    name = "hammer"
    process = Process.OWN
    summary = "nothing"

    def started(self, child: Child) -> None:
        os.kill(child.pid, signal.SIGKILL)

    def results(self, run: ObservedRun) -> Finding:
        return Finding(missing="nothing was seen")


def test_a_further_child_that_dies_costs_its_finding_and_not_the_record(tmp_path: Path) -> None:
    request = TrialRequest(three_numbers(), STOCK, tmp_path, observers=(Breaking(),))
    record = run_trial(ObservedTrial(request, start_child=start_three_numbers), 1)
    assert record.outcome is Outcome.OK
    assert len(record.steady) == 1
    assert record.observations["hammer"].missing.startswith(
        "nothing was seen; its own child ended early: killed by signal 9; "
    )


def test_ctrl_c_in_a_further_child_keeps_the_timed_record(
    workload: Workload, tmp_path: Path
) -> None:
    trial = _observed(workload, tmp_path, ["clocks", "xla"])

    def interrupt(stage: str) -> None:
        if stage.startswith("xla: prepare"):
            raise KeyboardInterrupt

    trial.on_stage = interrupt
    record = run_trial(trial, 1)
    assert trial.interrupted
    assert record.outcome is Outcome.OK
    assert len(record.steady) == 1
    assert record.observations["xla"].missing == "interrupted"
