"""Damaged asv results are skipped with a warning or read. No other error occurs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from perfkit.errors import UserError
from perfkit.history.asv_results import read_results
from perfkit.history.comparison import compare_snapshots
from perfkit.history.series import series_of_results
from perfkit.history.verdicts import Verdict
from perfkit.report.history.page import history_page
from tests.support.mutations import mutated

type WriteResult = Callable[..., Path]

TRIES = 150
PAGES = 5
SEED = 20261125


def test_damaged_results_are_skipped_or_read_without_any_other_error(
    write_result: WriteResult, results_folder: Path
) -> None:
    chance = random.Random(SEED)
    for number, commit in enumerate("abcd"):
        write_result(
            commit,
            {
                "toy.time_steady": [[1.0, 1.1, 1.2 + number], [2.0, 2.1, 2.2]],
                "toy.track_agreement_distance": 1e-6,
                "toy.track_peakmem": 1e9,
                "itself.Setting.track_jaxlib": 12.0001,
            },
            day=number + 1,
            record_samples=number % 2 == 0,
        )
    paths = [*sorted((results_folder / "box").glob("*.json")), results_folder / "benchmarks.json"]
    whole = {path: json.loads(path.read_text()) for path in paths}
    read = skipped = 0
    for attempt in range(TRIES):
        for path, data in whole.items():
            damaged = chance.random() < 0.5
            path.write_bytes(mutated(data, chance) if damaged else json.dumps(data).encode())
        try:
            reading = read_results(results_folder)
        except UserError:
            continue
        read += len(reading.results)
        skipped += len(reading.skipped)
        series_of_results(reading.results)
        for result in reading.results:
            rows = compare_snapshots(result.snapshot, result.snapshot).rows
            assert {row.verdict for row in rows} <= {Verdict.SAME}
        compare_snapshots(reading.results[0].snapshot, reading.results[-1].snapshot)
        if attempt < PAGES:
            page = history_page(reading.results, reading.skipped)
            assert "Regression history" in page
            assert ("could not be read" in page) == bool(reading.skipped)
    assert read > TRIES
    assert skipped > TRIES / 2
