"""Records of known values, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfkit.records.findings import MachineRecord
from perfkit.records.schema import ConfigurationRecord, Outcome, Record, Stage, WorkloadRecord
from perfkit.records.stages import StageName

type MakeRecord = Callable[..., Record]


@pytest.fixture
def make_record() -> MakeRecord:
    """A function that makes a whole record with one steady pass."""

    def make(id: str = "a", created: str = "2026-01-01T00:00:00+00:00", name: str = "x") -> Record:
        workload = WorkloadRecord(
            model="af3",
            name=name,
            size=12,
            source={"size": 12},
            fidelity={"steps": 1},
            input_digest="00",
            notices=[],
            digest="11",
        )
        steady = Stage(
            name=StageName.STEADY,
            begin_s=1.5,
            wall_s=2.0,
            user_s=2.5,
            system_s=0.5,
            minor_faults=7,
            major_faults=1,
            voluntary_switches=3,
            involuntary_switches=4,
            peak_rss_bytes=1000,
            round=0,
        )
        return Record(
            id=id,
            created=created,
            workload=workload,
            configuration=ConfigurationRecord(settings={}, digest="22", label="stock"),
            machine=MachineRecord(cpu="any"),
            versions={"jax": "1", "perfkit_commit": None},
            allowed_cpus=2,
            stages=[steady],
            outcome=Outcome.OK,
        )

    return make
