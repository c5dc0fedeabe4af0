"""What a sweep over several kinds of machines shows."""

from __future__ import annotations

from pathlib import Path

from perfkit.api.studies.sweep_page import finish_sweep
from perfkit.knobs.configuration import STOCK, Catalogue
from perfkit.records.schema import Record, WorkloadRecord
from perfkit.records.store import Store
from perfkit.tuning.studies.sweep import SweepPlan
from tests.support.records_factory import MACHINE, make_record
from tests.support.replay import MODEL, RECORDED

CATALOGUE = Catalogue(MODEL.knobs)
ONE = CATALOGUE.configuration({"cpus": "1"})


def _block(cpu: str, stock_s: float, one_s: float) -> list[Record]:
    """A block of stock and one change on a node of a kind."""
    machine = MACHINE | {"cpu": cpu, "digest": f"digest of {cpu}", "node": cpu[:3]}
    workload = WorkloadRecord(**RECORDED.as_dict())
    return [
        make_record(
            settings,
            identifier=f"{cpu} {role}",
            steady_s=[seconds] * 3,
            role=role,
            block=cpu,
            workload=workload,
            machine=machine,
        )
        for settings, role, seconds in (({}, "base", stock_s), (ONE.as_dict(), "sweep", one_s))
    ]


def test_kinds_of_machines_are_ranked_and_shown_apart(tmp_path: Path) -> None:
    """Stock needs 10 and 4 s: a ratio over both kinds would mean nothing."""
    plan = SweepPlan(MODEL, CATALOGUE, (RECORDED,), (STOCK, ONE), Store(tmp_path))
    records = [*_block("Old CPU", 10.0, 20.0), *_block("New CPU", 4.0, 5.0)]
    result = finish_sweep(plan, records, tmp_path)
    found = {
        title.rpartition(", ")[2]: {
            row.label: row.speedup.median for row in ranking.rows if row.speedup
        }
        for title, ranking in result.rankings
    }
    assert found == {
        "Old CPU": {"stock": 1.0, "cpus=1": 0.5},
        "New CPU": {"stock": 1.0, "cpus=1": 0.8},
    }
    pages = sorted(path.name for path in tmp_path.glob("*.html"))
    assert pages == ["report-New_CPU.html", "report.html"]
    assert "different machines" not in (tmp_path / "report.html").read_text()
