"""The products observer: what it measures alone, and what it reports as missing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from perfkit.errors import PerfkitError
from perfkit.models.workload import Workload
from perfkit.observers.observer import Child, ObservedRun
from perfkit.observers.products.counting import CountedProduct
from perfkit.observers.products.observer import ONEDNN_MODULE, XLA_MODULE, Products
from perfkit.observers.products.product import Product
from perfkit.observers.products.result import ProductsResult
from perfkit.observers.products.timing import Task, Timing, measure_alone
from perfkit.observers.roofline.ceilings import Ceilings
from perfkit.observers.trace.events import PASS_MARK
from perfkit.observers.trace.traced_pass import (
    HLO_FILE,
    MARK_FILE,
    PRODUCTS_FILE,
    TRACE_FOLDER,
)

WORKLOAD = Workload("af3", "ubiquitin", 76, {}, {"recycles": 0}, "0123")
RUN = ObservedRun((), None)
SHAPE = Product((4, 8), (8, 2), ((1,), (0,)), ((), ()), "float32", "float32", "float32")
HLO = """
ENTRY %main (a: f32[4,8], b: f32[8,2]) -> f32[4,2] {
  %a = f32[4,8]{1,0} parameter(0)
  %b = f32[8,2]{1,0} parameter(1)
  ROOT %dot = f32[4,2]{1,0} dot(%a, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={op_name="jit(f)/dot_general"}
}
"""  # noqa: E501


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a child that ran one product of one second in its traced pass."""
    (tmp_path / HLO_FILE).write_text(HLO)
    (tmp_path / MARK_FILE).write_text(json.dumps({"begin_s": 0.0}))
    counted = CountedProduct(SHAPE, "dot_general", 1)
    (tmp_path / PRODUCTS_FILE).write_text(json.dumps([asdict(counted)]))
    (tmp_path / TRACE_FOLDER).mkdir()
    events = [
        {"ph": "X", "name": PASS_MARK, "ts": 0.0, "dur": 1e6},
        {"ph": "X", "name": "dot", "ts": 0.0, "dur": 1e6, "args": {"hlo_op": "dot"}},
    ]
    with gzip.open(tmp_path / TRACE_FOLDER / "vm.trace.json.gz", "wt") as stream:
        json.dump({"traceEvents": events}, stream)
    return tmp_path


def _alone(module: str, task: Task, environment: Mapping[str, str] | None) -> list[Timing | None]:
    assert environment is not None
    assert environment["OMP_NUM_THREADS"] == "2"
    seconds = {XLA_MODULE: 0.5, ONEDNN_MODULE: 0.25}[module]
    return [Timing(seconds, seconds, 3) for _ in task.products]


def _observer(folder: Path, *, has_onednn: bool) -> Products:
    observer = Products(lambda: Ceilings(1e3, 2e3, 1e2), _alone, lambda: has_onednn)
    observer.started(Child(1, folder, 0.0, 2, WORKLOAD))
    return observer


def test_both_libraries_are_measured_with_the_settings_of_the_trial(folder: Path) -> None:
    found = _observer(folder, has_onednn=True).results(RUN)
    assert found.missing == ""
    seen = ProductsResult.model_validate(found.data)
    assert (seen.found_s, seen.xla_s, seen.floor_s) == (1.0, 0.5, 0.25)


def test_without_onednn_its_package_is_named_and_xla_sets_the_floor(folder: Path) -> None:
    observer = _observer(folder, has_onednn=False)
    found = observer.results(RUN)
    assert "pip install onednn-cpu-gomp==2023.2.0" in found.missing
    seen = ProductsResult.model_validate(found.data)
    assert (seen.floor_s, seen.has_onednn) == (0.5, False)
    # Ctrl-C while it measured asks for the results again, which must not measure again.
    assert observer.results(RUN).missing == "interrupted"


def test_a_child_without_a_traced_pass_is_a_finding(tmp_path: Path) -> None:
    found = _observer(tmp_path, has_onednn=True).results(RUN)
    assert found.missing == "the child ended before its traced pass did"


def test_a_process_that_measures_nothing_is_an_error_with_its_last_line() -> None:
    with pytest.raises(PerfkitError, match=r"measured alone: .*No module named"):
        measure_alone("perfkit.observers.products.nothing", Task((SHAPE,), 1, 1.0), None)
