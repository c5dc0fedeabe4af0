"""Settings of older records are read under the present names of their knobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.capacity.laws.fit import ModelFit
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.jaxlib import jaxlib_knob
from perfkit.models import get_model
from perfkit.records.schema import Record
from perfkit.records.upgrades import read_record

REPOSITORY = Path(__file__).parents[2]
SHIPPED = sorted((REPOSITORY / "reports").glob("**/records-*.jsonl"))

type MakeRecord = Callable[..., Record]
# Studies of several versions of jaxlib have one more knob.
COMPARED_JAXLIBS = (jaxlib_knob(("0.10.2", "0.11.0"), "0.12.0.1"),)
RENAMED_IN = ("af3-256", "af3-ubiquitin", "af3-ubiquitin-amx")


@pytest.mark.parametrize(
    ("settings", "present", "label"),
    [
        ({"bfloat16": "none"}, {"precision": "float32"}, "precision=float32"),
        (
            {"bfloat16": "none", "bucket": "exact"},
            {"bucket": "exact", "precision": "float32"},
            "bucket=exact precision=float32",
        ),
        ({"bfloat16": "all"}, {"precision": "bfloat16"}, "precision=bfloat16"),
    ],
)
def test_a_renamed_knob_is_read_under_its_present_name(
    make_record: MakeRecord, settings: dict[str, str], present: dict[str, str], label: str
) -> None:
    data = make_record().model_dump(mode="json")
    data["configuration"] = {"settings": settings, "digest": "0123", "label": "old"}
    configuration = read_record(data).configuration
    assert configuration.settings == present
    assert configuration.label == label


def test_a_read_record_has_the_digest_of_the_same_configuration_today(
    make_record: MakeRecord,
) -> None:
    data = make_record().model_dump(mode="json")
    data["configuration"] = {"settings": {"bfloat16": "none"}, "digest": "0123", "label": "old"}
    today = Catalogue(get_model("af3").knobs).configuration({"precision": "float32"})
    assert read_record(data).configuration.digest == today.digest


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_records_name_knobs_of_today(path: Path) -> None:
    renamed = 0
    for line in path.read_text().splitlines():
        data = json.loads(line)
        record = read_record(data)
        knobs = (*get_model(record.workload.model).knobs, *COMPARED_JAXLIBS)
        configuration = Catalogue(knobs).configuration(record.configuration.settings)
        assert configuration.as_dict() == record.configuration.settings
        assert configuration.digest == record.configuration.digest
        assert configuration.label == record.configuration.label
        renamed += record.configuration.digest != data["configuration"]["digest"]
    # In each tuning of AlphaFold 3 that predates the renaming, two trials are in float32.
    assert renamed == (2 if path.parent.name in RENAMED_IN else 0)


def test_a_fit_of_a_renamed_knob_is_read_under_its_present_name(tmp_path: Path) -> None:
    data = json.loads((REPOSITORY / "reports/plan-accuracy/af3/fit.json").read_text())
    path = tmp_path / "fit.json"
    path.write_text(json.dumps(data | {"settings": {"bfloat16": "none", "bucket": "exact"}}))
    assert ModelFit.load(path).settings == {"bucket": "exact", "precision": "float32"}


def test_shipped_records_are_found() -> None:
    assert len(SHIPPED) == 22
