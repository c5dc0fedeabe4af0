"""Fixtures that write asv results with asv's own classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from asv.results import Results
from asv.runner import BenchmarkResult

BENCHMARKS: dict[str, dict[str, Any]] = {
    "toy.time_steady": {"unit": "seconds", "params": [["1", "2"], ["'stock'"]]},
    "toy.track_peakmem": {"unit": "bytes", "params": []},
    "toy.track_agreement_distance": {"unit": "relative distance", "params": []},
    "itself.Setting.track_jaxlib": {"unit": "version", "params": []},
}

type WriteResult = Callable[..., Path]


@pytest.fixture
def results_folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def write_result(results_folder: Path) -> WriteResult:
    """Write one result file: samples for timings, numbers for tracks, None for a failure."""

    def write(
        commit: str,
        measured: Mapping[str, float | Sequence[Sequence[float] | None] | None],
        *,
        day: int = 1,
        machine: str = "box",
        versions: Mapping[str, str] | None = None,
        record_samples: bool = True,
    ) -> Path:
        (results_folder / machine).mkdir(parents=True, exist_ok=True)
        (results_folder / "benchmarks.json").write_text(json.dumps({"version": 2, **BENCHMARKS}))
        (results_folder / machine / "machine.json").write_text(
            json.dumps({"version": 1, "machine": machine})
        )
        params = {"machine": machine, "cpu": "Test CPU", "python": "3.12"}
        results = Results(
            params, {}, commit * 40, day * 86_400_000, "3.12", "virtualenv-py3.12", {}
        )
        for name, value in measured.items():
            timed = isinstance(value, Sequence)
            values = list(value) if isinstance(value, Sequence) else [value]
            results.add_result(
                {"name": name, "version": (versions or {}).get(name, "1"), **BENCHMARKS[name]},
                BenchmarkResult(
                    result=[None if one is None else True if timed else one for one in values],
                    samples=[one if timed else None for one in values],
                    number=[1 if timed and one else None for one in values],
                    errcode=0,
                    stderr="",
                    profile=None,
                ),
                record_samples=record_samples,
            )
        results.save(str(results_folder))
        return results_folder / machine / f"{commit * 8}-virtualenv-py3.12.json"

    return write
