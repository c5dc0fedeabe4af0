"""Records as a data frame: one row per trial, units in the names of columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from perfkit.errors import UserError
from perfkit.records.disturbances import Load
from perfkit.records.findings import AgreementRecord, FiniteRecord, GuardRecord, LeafRecord
from perfkit.records.frame import COLUMNS, frame_of, read_frame
from perfkit.records.roles import Role
from perfkit.records.schema import Compilation, Outcome
from perfkit.records.store import Store, read_folder
from tests.records.conftest import MakeRecord
from tests.support.records_factory import make_stage

REPORTS = Path(__file__).parents[2] / "reports"


def test_a_row_has_the_values_of_its_record(tmp_path: Path, make_record: MakeRecord) -> None:
    record = make_record("a", "2026-01-02T03:04:05+01:00")
    agreement = {
        "class": "bfloat16",
        "quantities": [{"name": "x", "distance": 0.25}, {"name": "y", "distance": 0.5}],
        "declared": "bfloat16",
        "within": True,
    }
    leaves = [LeafRecord(name="x", size=9, bad=2), LeafRecord(name="y", size=9, bad=1)]
    changes = {
        "role": Role.SCREEN,
        "block": "b",
        "outcome": Outcome.NONFINITE,
        "reason": "three elements are not finite",
        "stages": [
            make_stage("import", 0.0, 2.0, cpu_share=1.5),
            make_stage("compile", 5.0, 3.0, cpu_share=1.5),
            make_stage("first", 8.0, 6.0, cpu_share=1.5),
            make_stage("steady", 14.0, 4.0, cpu_share=1.5),
            make_stage("steady", 18.0, 5.0, cpu_share=1.5),
            make_stage("steady", 23.0, 9.0, cpu_share=1.5),
        ],
        "configuration": record.configuration.model_copy(
            update={"settings": {"bucket": "exact"}, "label": "bucket=exact"}
        ),
        "compilation": Compilation(
            cache="miss",
            temporary_bytes=2000,
            argument_bytes=0,
            output_bytes=0,
            code_bytes=0,
            flops=0.0,
            bytes_accessed=0.0,
            parts={},
        ),
        "peak_rss_bytes": 3000,
        "agreement": AgreementRecord.model_validate(agreement),
        "finite": FiniteRecord(finite=False, leaves=leaves),
        "guard": GuardRecord(mode="lift", lifted=7, zeroed=0),
        "load": Load(load_average_before=1.0, steal_fraction=0.01, other_cpu_fraction=0.2),
        "part_times_s": {"trunk_pass": 1.5},
        "warnings": ["other programs used 20% of the CPUs"],
    }
    Store(tmp_path).append(record.model_copy(update=changes))
    frame = read_frame(tmp_path)
    assert len(frame) == 1
    row: dict[str, Any] = {
        str(name): value for name, value in frame.iloc[0].items() if pd.notna(value)
    }
    assert row == {
        "id": "a",
        "created": pd.Timestamp("2026-01-02T02:04:05Z"),
        "role": "screen",
        "block": "b",
        "outcome": "nonfinite",
        "reason": "three elements are not finite",
        "model": "af3",
        "workload": "x",
        "size": 12,
        "workload_digest": "11",
        "depth": "full",
        "shared_process": False,
        "configuration": "bucket=exact",
        "configuration_digest": "22",
        "cpu": "any",
        "allowed_cpus": 2,
        "wall_s": 32.0,
        "import_s": 2.0,
        "compile_s": 3.0,
        "first_s": 6.0,
        "steady_s": 5.0,
        "passes": 3,
        "disturbed_passes": 0,
        "steady_cpus": 1.5,
        "peak_rss_bytes": 3000,
        "temporary_bytes": 2000,
        "compilation_cache": "miss",
        "agreement": "bfloat16",
        "agreement_declared": "bfloat16",
        "agreement_within": True,
        "distance": 0.5,
        "finite": False,
        "bad_elements": 3,
        "guard": "lift",
        "lifted": 7,
        "zeroed": 0,
        "other_cpu_fraction": 0.2,
        "steal_fraction": 0.01,
        "warnings": 1,
        "fidelity.steps": 1,
        "knob.bucket": "exact",
        "part.trunk_pass_s": 1.5,
        "version.jax": "1",
    }


def test_a_trial_that_ended_early_has_missing_values(make_record: MakeRecord) -> None:
    crashed = make_record("a").model_copy(update={"stages": [], "outcome": Outcome.CRASHED})
    frame = frame_of([crashed, make_record("b", "2026-01-02T00:00:00+00:00")])
    assert list(frame["id"]) == ["a", "b"]
    assert frame["steady_s"].isna().tolist() == [True, False]
    assert frame["passes"].tolist() == [0, 1]
    assert frame["agreement"].isna().all()
    assert frame["guard"].tolist() == ["off", "off"]


def test_an_empty_folder_has_no_rows_and_all_common_columns(tmp_path: Path) -> None:
    frame = read_frame(tmp_path)
    assert len(frame) == 0
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == dict(COLUMNS)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        read_frame(tmp_path / "none")


def test_the_columns_are_described() -> None:
    described = read_frame.__doc__ or ""
    assert [name for name in COLUMNS if f"``{name}``" not in described] == []


def test_shipped_records_make_frames_that_can_be_grouped() -> None:
    folder = REPORTS / "af3-ubiquitin"
    frame = read_frame(folder)
    lines = (folder / "records-vm.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(frame) == len(lines) == len(read_folder(folder).records)
    roles = [json.loads(line)["role"] for line in lines]
    assert frame.groupby("role").size().to_dict() == {role: roles.count(role) for role in roles}
