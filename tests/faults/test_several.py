"""Two studies at once in one store, which are also two perfkits at once on one machine."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from perfkit.records.schema import Outcome, Record
from perfkit.records.store import read_folder
from tests.support.faults.study import LONGEST_S, KilledStudy
from tests.support.faults.survivors import new_mark

pytest.importorskip("jax", reason="the trials are real")

EDGES = (12, 16)
CELLS = ("exact", "20", "24", "28", "32")
"""Enough trials that the studies overlap although one of them may start later."""


def _by_process(store: Path) -> dict[int, list[Record]]:
    """The records by the process that stored them: each one has a file of its own."""
    records = {record.id: record for record in read_folder(store).records}
    found: dict[int, list[Record]] = defaultdict(list)
    for path in store.glob("records-*.jsonl"):
        text = path.read_text()
        own = [record for identifier, record in records.items() if f'"{identifier}"' in text]
        found[int(path.stem.rpartition("-")[2])] += own
    return found


@pytest.mark.slow
def test_two_studies_in_one_store_are_not_mixed_and_see_each_other(tmp_path: Path) -> None:
    studies = [KilledStudy(tmp_path, edge, CELLS) for edge in EDGES]
    processes = [study.start(new_mark()) for study in studies]
    outputs = [process.communicate(timeout=LONGEST_S) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    by_process = _by_process(tmp_path / "store")
    assert by_process.keys() == {process.pid for process in processes}
    one, other = processes
    for own, neighbour, edge in ((one, other, EDGES[0]), (other, one, EDGES[1])):
        records = by_process[own.pid]
        assert len({record.study for record in records}) == 1
        assert {record.workload.size for record in records} == {edge}
        assert {record.outcome for record in records} == {Outcome.OK}
        # Perfkits of other tests that run at the same time are listed too.
        listed = rf"measuring on this machine \(.*perfkit sweep in process {neighbour.pid}\b"
        assert any(re.search(listed, warning) for record in records for warning in record.warnings)
    # A study that is run again finds its own trials, and measures nothing.
    stored = read_folder(tmp_path / "store").records
    assert studies[0].run().code == 0
    assert read_folder(tmp_path / "store").records == stored
