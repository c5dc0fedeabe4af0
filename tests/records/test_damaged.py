"""Damaged records: a line that is no record is skipped and reported, all others are read."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from perfkit.cli.main import main
from perfkit.history.comparison import compare_snapshots
from perfkit.history.record_snapshot import snapshots_of_records
from perfkit.history.verdicts import Verdict
from perfkit.records.schema import SCHEMA_VERSION, Record
from perfkit.records.settings import FORMER_NAMES
from perfkit.records.store import read_folder
from tests.support.mutations import mutated, thinned

REPORTS = Path(__file__).parents[2] / "reports"
FILES = sorted(REPORTS.rglob("records-*.jsonl"))

FORMER = min(FORMER_NAMES)
"""A name that a knob had in an earlier version."""

LINES = 300
SEED = 20261125


def shipped(name: str) -> list[dict[str, Any]]:
    path = REPORTS / name / "records-vm.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def written(folder: Path, lines: list[bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "records-host-1.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return folder


def common(dumped: Any, data: Any) -> Any:
    """``dumped`` without the fields that ``data`` lacks, as newer versions added them."""
    if isinstance(dumped, dict):
        return {key: common(dumped.get(key), data[key]) for key in data}
    if isinstance(dumped, list):
        return [common(*pair) for pair in zip(dumped, data, strict=True)]
    return dumped


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_every_shipped_record_is_read_and_loses_no_value(path: Path) -> None:
    reading = read_folder(path.parent)
    assert reading.skipped == ()
    plain = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    plain.sort(key=lambda data: data["created"])
    for record, data in zip(reading.records, plain, strict=True):
        read = common(record.model_dump(mode="json"), data)
        # Knobs may be renamed, so the configuration is compared in tests of its own.
        for values in (read, data):
            del values["configuration"]
        assert read == data | {"schema_version": SCHEMA_VERSION}
        assert Record.model_validate_json(record.model_dump_json()) == record


def test_damaged_lines_are_skipped_or_read_and_cause_no_other_error(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    whole = [
        thinned(data)
        for name in ("af3-ubiquitin", "gencast-1deg", "profile-af3-ubiquitin")
        for data in shipped(name)
    ]
    lines = [mutated(chance.choice(whole), chance) for _ in range(LINES)]
    reading = read_folder(written(tmp_path / "damaged", lines))
    # At least a third of the faults hit a bounded value; many hit free text.
    assert LINES / 3 < len(reading.skipped) < LINES
    assert all(one.file == "records-host-1.jsonl" and one.line for one in reading.skipped)
    if reading.records:
        pair = snapshots_of_records(("a", reading), ("b", reading))
        assert {row.verdict for row in compare_snapshots(*pair).rows} == {Verdict.SAME}


def test_the_report_of_a_damaged_folder_counts_the_skipped_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    whole = [thinned(data) for data in shipped("af3-ubiquitin")[:4]]
    lines = [json.dumps(whole[0]).encode(), *(mutated(one, chance) for one in whole * 4)]
    folder = written(tmp_path, lines)
    skipped = len(read_folder(folder).skipped)
    assert skipped > 1
    study = whole[0]["study"]
    assert main(["report", str(folder), "--study", study]) == 0
    assert capsys.readouterr().out.count("not a whole record, skipped") == skipped
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"{skipped} lines could not be read and are left out" in page


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("samples", "cpu_s"), [1.0], "time_s has 2 values, cpu_s 1 and rss_bytes 2"),
        (("agreement", "class"), "float99", "agreement.class"),
        (("agreement", "quantities"), [None], "agreement.quantities.0"),
        (("agreement", "quantities"), [{"name": "x", "distance": float("nan")}], "nan"),
        (("finite", "leaves"), [{"size": 1}], "finite.leaves.0.name"),
        (("machine", "logical_cpus"), -1, "machine.logical_cpus"),
        (("machine", "memory_bytes"), 10**30, "64 bits"),
        (("workload", "name"), "half \ud800", "half of a surrogate pair"),
        (("created",), "2026-13-45T99:99", "created"),
        (("created",), "0001-01-01", "created: the year 1 is not between 1970 and 9998"),
        (("allowed_cpus",), 0, "allowed_cpus"),
        (("peak_rss_bytes",), float("inf"), "inf is not a finite number"),
        (("part_times_s",), {"trunk": -1.0}, "part_times_s.trunk"),
        (("stages", 0, "wall_s"), 0.0, "a pass of 0.0 s is shorter than any measurement (1e-09 s)"),
        (("stages", 0, "wall_s"), 1e300, "stages.0.wall_s"),
        (("schema_version",), 99, "schema version 99"),
        (("id",), "../../x", "id: it cannot be part of the name of a file"),
        (("id",), "a\0b", "id: it cannot be part of the name of a file"),
        (("configuration", "settings"), {FORMER: {}}, "configuration.settings"),
        (("study",), "x" * 201, "study: it cannot be part of the name of a file"),
    ],
)
def test_a_line_with_an_impossible_value_is_skipped(
    tmp_path: Path, place: tuple[str | int, ...], value: object, expected: str
) -> None:
    good = thinned(shipped("af3-ubiquitin")[1])
    good["stages"] = [stage for stage in good["stages"] if stage["name"] == "first"] or [
        {**good["stages"][0], "name": "first"}
    ]
    good["samples"] = {"time_s": [0.0, 1.0], "cpu_s": [0.0, 1.0], "rss_bytes": [1, 2]}
    bad: Any = json.loads(json.dumps(good))
    holder = bad
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    folder = written(tmp_path, [json.dumps(one).encode() for one in (good, bad)])
    reading = read_folder(folder)
    assert len(reading.records) == 1
    (skipped,) = reading.skipped
    assert skipped.sentence().startswith(
        "records-host-1.jsonl, line 2: not a whole record, skipped"
    )
    assert expected in skipped.reason


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b'{"id": ' + b"9" * 5000 + b"}", b"\xff\xfe", b"7"]
)
def test_a_line_that_breaks_the_parser_is_skipped(tmp_path: Path, line: bytes) -> None:
    good = json.dumps(thinned(shipped("af3-ubiquitin")[1])).encode()
    reading = read_folder(written(tmp_path, [line, good]))
    assert len(reading.records) == 1
    assert [one.line for one in reading.skipped] == [1]


def test_a_folder_named_like_a_file_of_records_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "records-odd-1.jsonl").mkdir()
    (skipped,) = read_folder(tmp_path).skipped
    assert skipped.sentence() == (
        "records-odd-1.jsonl: not a file of records, skipped (Is a directory)"
    )


def test_unknown_fields_of_another_version_are_kept(tmp_path: Path) -> None:
    data = thinned(shipped("af3-ubiquitin")[1])
    data["machine"] |= {"node": "n17", "numa_nodes": 2}
    data["restrictions"] = {"nice": 3, "io_priority": 4}
    (record,) = read_folder(written(tmp_path, [json.dumps(data).encode()])).records
    again = json.loads(record.model_dump_json())
    assert again["machine"] == data["machine"]
    assert again["restrictions"] == {"nice": 3, "io_priority": 4}
