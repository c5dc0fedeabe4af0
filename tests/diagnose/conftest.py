"""Fixtures for the diagnosis of records."""

from __future__ import annotations

import pytest

from perfkit.models import get_model
from perfkit.records.findings import GuardRecord
from perfkit.records.schema import Outcome, Record, WorkloadRecord
from tests.support.recording_search import RecordingSearch, found_in_call
from tests.support.records_factory import make_record


@pytest.fixture
def search() -> RecordingSearch:
    return found_in_call(1)


@pytest.fixture
def record() -> Record:
    """A trial of a small workload that ended with NaN."""
    workload = get_model("gencast").workload({"resolution": 10.0, "mesh": 1}, {"steps": 3})
    made = make_record(
        {"xla_cpu_max_isa": "AVX", "precision": "bfloat16"},
        workload=WorkloadRecord(**workload.as_dict()),
        outcome=Outcome.NONFINITE,
        reason="worst is x",
    )
    return made.model_copy(update={"guard": GuardRecord(mode="zero", lifted=0, zeroed=0)})
