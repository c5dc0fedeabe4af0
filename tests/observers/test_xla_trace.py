"""The XLA observer reports what it could not observe instead of failing the trial."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from perfkit.errors import PerfkitError
from perfkit.models.workload import Workload
from perfkit.observers.observer import Child, ObservedRun
from perfkit.observers.roofline.ceilings import Ceilings
from perfkit.observers.trace.traced_pass import MARK_FILE, TRACE_FOLDER
from perfkit.observers.trace.xla_trace import XlaTrace

WORKLOAD = Workload("af3", "ubiquitin", 76, {}, {"recycles": 0}, "0123")
NOTHING_RAN = ObservedRun((), None)


def _unknown_ceilings() -> Ceilings:
    raise PerfkitError("the ceilings could not be measured: the child process died")


def _observer(folder: Path) -> XlaTrace:
    observer = XlaTrace(_unknown_ceilings)
    observer.started(Child(1, folder, 0.0, 1, WORKLOAD))
    return observer


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """A folder in which a traced pass has ended."""
    (tmp_path / MARK_FILE).write_text(json.dumps({"begin_s": 0.0}))
    return tmp_path


def test_a_child_without_a_traced_pass_is_a_finding(tmp_path: Path) -> None:
    found = _observer(tmp_path).results(NOTHING_RAN)
    assert found.missing == "the child ended before its traced pass did"


def test_a_pass_without_a_trace_is_a_finding(marked: Path) -> None:
    found = _observer(marked).results(NOTHING_RAN)
    assert found.missing == f"the profiler left no trace in {marked / TRACE_FOLDER}"


def test_unknown_ceilings_are_a_finding(marked: Path) -> None:
    (marked / TRACE_FOLDER).mkdir()
    with gzip.open(marked / TRACE_FOLDER / "vm.trace.json.gz", "wt") as stream:
        json.dump({"traceEvents": []}, stream)
    found = _observer(marked).results(NOTHING_RAN)
    assert found.missing == "the ceilings could not be measured: the child process died"
    assert found.data == {}
