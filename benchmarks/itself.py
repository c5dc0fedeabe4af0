"""What perfkit itself costs: start-up, a trial against a bare script, ten thousand records."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import trials
from benchmarks.attributes import attributes

if TYPE_CHECKING:
    from perfkit.records.schema import Record

RECORDS = JOBS = int(os.environ.get("PERFKIT_BENCH_RECORDS", "10000"))
"""Number of records that are loaded, and of jobs that are planned. A quick run, whose results are
not kept, takes fewer."""

ROUNDS = min(8, trials.PASSES * trials.PROCESSES)
"""Interleaved passes of each side of an overhead."""

RECORDED = trials.HERE.parent / "reports" / "af3-ubiquitin" / "records-vm.jsonl"
"""Real records; the benchmarks copy them until there are :data:`RECORDS`."""


class StartUp:
    """``perfkit --help`` in a fresh process, as a shell starts it."""

    number, warmup_time, rounds = 1, 0, 1
    repeat = 10

    def time_help(self) -> None:
        command = [sys.executable, "-m", "perfkit", "--help"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class TrialOverhead:
    """The same small AlphaFold 3 prediction in a trial and in a bare script, pass by pass."""

    size = 16
    timeout = 600

    @attributes(unit="ratio")
    def track_trial_over_bare(self) -> float:
        """Median of the paired ratios: 1 is no overhead."""
        from benchmarks.scripts.trial_overhead import measure

        bare_s, trial_s = measure(self.size, ROUNDS)
        return statistics.median(mine / bare for mine, bare in zip(trial_s, bare_s, strict=True))


class ObserverOverhead:
    """The same small GenCast forecast with the observers of the timed pass and without."""

    timeout = 600

    @attributes(unit="ratio")
    def track_observed_over_bare(self) -> float:
        """Median of the paired ratios of CPU seconds: 1 is no overhead."""
        from benchmarks.scripts.observer_overhead import measure

        _, cpu_s = measure("gencast", {"resolution": 10, "mesh": 1}, ROUNDS)
        pairs = zip(cpu_s["observed"], cpu_s["bare"], strict=True)
        return statistics.median(observed / bare for observed, bare in pairs)


class TenThousandRecords:
    """Loading and drawing of a store of ten thousand trials."""

    number, warmup_time, rounds = 1, 0, 1
    repeat = (1, 3, 20.0)
    timeout = 600

    @attributes(timeout=600)
    def setup_cache(self) -> None:
        lines = RECORDED.read_text(encoding="utf-8").splitlines()
        recorded = [json.loads(line) for line in lines]
        folder = Path("store")
        folder.mkdir()
        with (folder / "records-copies-1.jsonl").open("w", encoding="utf-8") as stream:
            for number in range(RECORDS):
                # One block per study, so that passes of different studies are not compared.
                study, place = divmod(number, len(recorded))
                copy = recorded[place] | {"id": f"copy-{number}", "block": f"study-{study}"}
                stream.write(json.dumps(copy) + "\n")

    def time_load(self) -> None:
        self._load()

    def peakmem_load(self) -> None:
        self._load()

    def time_report(self) -> None:
        """Loads the records and renders the page, as `perfkit report` does."""
        from perfkit.api.reporting import page_of_records

        page_of_records(self._load(), None)

    def _load(self) -> list[Record]:
        from perfkit.records.store import read_records

        records = read_records(Path("store"))
        assert len(records) == RECORDS
        return records


class LongSearch(TenThousandRecords):
    """The same for a search that tried thousands of configurations in one block."""

    @attributes(timeout=600)
    def setup_cache(self) -> None:
        from benchmarks.large_study import write_large_study

        write_large_study(Path("store"), RECORDS)

    @attributes(unit="bytes")
    def track_page_bytes(self) -> int:
        """Size of the page, which holds plotly.js."""
        from perfkit.api.reporting import page_of_records

        return len(page_of_records(self._load(), None).encode())


class Setting:
    """The jaxlib that was measured, stored as a result: asv only knows what it installed itself."""

    @attributes(unit="version")
    def track_jaxlib(self) -> float:
        """Version of jaxlib as a number, e.g. 12.0304 for 0.12.3.4."""
        from perfkit.history.asv_results import jaxlib_number

        return jaxlib_number(metadata.version("jaxlib"))


class TenThousandJobs:
    """Planning of ten thousand jobs on a hundred machines, under laws of the usual shape."""

    number, warmup_time, rounds = 1, 0, 1
    repeat = (1, 3, 20.0)
    timeout = 600

    def setup(self) -> None:
        from benchmarks.scripts import plan_queue

        self.fit = plan_queue.made_up_fit()
        self.jobs, self.machines = plan_queue.queue(JOBS), plan_queue.machines(100)

    def time_plan(self) -> None:
        from perfkit.capacity.queue.plan import make_plan

        make_plan(self.jobs, self.machines, [self.fit])
