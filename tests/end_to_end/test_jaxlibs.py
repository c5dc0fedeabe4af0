"""Two real versions of jaxlib, side by side: one is installed from the registry for it."""

from __future__ import annotations

from pathlib import Path

import pytest

import perfkit
from perfkit.environments.environment import running_jaxlib
from perfkit.records.schema import Outcome

pytest.importorskip("jaxlib", reason="versions are compared from an environment with jaxlib")
pytest.importorskip("h5netcdf", reason="the model that is run needs it")

CANDIDATES = ("0.12.0", "0.11.2")
"""Releases next to the one that perfkit is tested with."""


@pytest.mark.slow
def test_a_sweep_runs_each_version_in_its_own_environment(tmp_path: Path) -> None:
    running = running_jaxlib()
    other = next(version for version in CANDIDATES if version != running)
    swept = perfkit.sweep(
        model="gencast",
        resolution=10.0,
        mesh=1,
        jaxlib=[running, other],
        rounds=2,
        out=tmp_path,
    )
    cells = [record for record in swept.records if record.role != "reference"]
    assert [record.outcome for record in swept.records] == [Outcome.OK] * 3
    assert {record.versions["jaxlib"] for record in cells} == {running, other}
    assert {record.versions["jax"] for record in cells} == {running, other}
    # The answer under the other version was compared with that of the first.
    assert all(r.agreement is not None and r.agreement.reached != "none" for r in cells)
    (comparison,) = swept.jaxlibs
    assert {row.jaxlib for row in comparison.rows} == {running, other}
    assert {version: each.total for version, each in comparison.known.items()} == {
        running: 13,
        other: 13,
    }
    ratio = next(row.ratio for row in comparison.rows if row.jaxlib == other)
    assert ratio is not None
    assert ratio.count == 2
    page = (tmp_path / "report.html").read_text()
    assert "Versions of jaxlib" in page
    # The page is the same without JAX, from what is in the folder.
    again = perfkit.render_report(tmp_path, html=tmp_path / "again.html").page.read_text()
    assert comparison.sentence.split(".")[0] in again
