"""Compiled programs and references of earlier trials: used unless they are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.knobs.configuration import STOCK
from perfkit.models import get_model
from perfkit.records.schema import Outcome, Record
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.request import TrialFiles, TrialRequest

pytest.importorskip("trimesh", reason="trials run the gencast extra")


def _run(folder: Path, files: TrialFiles) -> Record:
    workload = get_model("gencast").workload({"resolution": 10.0, "mesh": 1}, {})
    request = TrialRequest(workload, STOCK, folder, files=files)
    record = run_trial(TrialProcess(request), 0)
    assert record.outcome is Outcome.OK, record.reason
    return record


def _cache(record: Record) -> str:
    assert record.compilation is not None
    return record.compilation.cache


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def test_damaged_programs_and_references_are_reported_and_not_used(tmp_path: Path) -> None:
    programs, reference = tmp_path / "programs", tmp_path / "reference.answers"
    first = _run(tmp_path, TrialFiles(save_compared=reference, compile_cache=programs))
    second = _run(tmp_path, TrialFiles(reference=reference, compile_cache=programs))
    assert (_cache(first), _cache(second)) == ("miss", "hit")
    assert second.agreement is not None
    assert second.agreement.within is True
    for path in (reference, *programs.glob("*/*-cache.*")):
        _flip(path)
    third = _run(tmp_path, TrialFiles(reference=reference, compile_cache=programs))
    assert _cache(third) == "miss"
    assert third.agreement is None
    reported = [notice for notice in third.notices if "damaged" in notice]
    assert any("the compiled program" in notice for notice in reported)
    assert any("the answer was not compared with the reference" in notice for notice in reported)
    # The programs were compiled and published again: the next trial reads them.
    fourth = _run(tmp_path, TrialFiles(compile_cache=programs))
    assert _cache(fourth) == "hit"
    assert not [notice for notice in fourth.notices if "damaged" in notice]
