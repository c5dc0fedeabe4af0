"""The notebooks under ``examples/`` run, and their stored output is that of a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="notebooks are run by the dev extra")

import nbclient
import nbformat

pytestmark = pytest.mark.long

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))

SHORTENED = {"rounds=5": "rounds=2", 'budget="45s"': 'budget="20s"'}
"""Parts of the source that make a run long -> what the test runs instead; the kinds of output are
the same."""

CELL_TIMEOUT_S = 900
"""Seconds that a cell may take: on an idle machine the slowest takes one minute."""


def _kinds(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """Types of the output of each code cell: names of streams, and the media types of values."""
    return [
        [
            output.name if output.output_type == "stream" else ", ".join(sorted(output.data))
            for output in cell.outputs
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_there_is_a_notebook() -> None:
    assert [path.name for path in NOTEBOOKS] == ["first_steps.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_gives_the_kinds_of_output_that_are_stored(
    path: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ipykernel", reason="notebooks are run by the dev extra")
    pytest.importorskip("h5netcdf", reason="the notebook runs the gencast extra")
    stored = nbformat.read(path, as_version=4)
    fresh = nbformat.read(path, as_version=4)
    sources = "\n".join(cell.source for cell in fresh.cells)
    assert all(part in sources for part in SHORTENED)
    for cell in fresh.cells:
        for part, shorter in SHORTENED.items():
            cell.source = cell.source.replace(part, shorter)
    client = nbclient.NotebookClient(
        fresh,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    assert _kinds(fresh) == _kinds(stored)
    assert list(tmp_path.glob("perfkit-results/*/records-*.jsonl"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_stored_output_is_that_of_one_run_from_top_to_bottom(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
