"""What a study leaves in addition to its page is checked before anything is measured."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.api.reporting import ReportOutputs, export_results
from perfkit.records.store import Store
from tests.support.records_factory import make_record

type Finished = subprocess.CompletedProcess[str]

SMALL = ("--model", "gencast", "--resolution", "10", "--mesh", "1")


@pytest.mark.parametrize("command", ["tune", "sweep"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--bundle study.tar", "a bundle is a folder or a file that ends in .zip"),
        ("--bundle missing/study.zip", "there is no folder missing"),
        ("--on slurm --data tables", "give them to 'perfkit report' when the study is done"),
    ],
)
def test_bad_outputs_are_refused_before_a_study(
    perfkit_here: Callable[..., Finished],
    refused: Callable[[Finished, str], None],
    command: str,
    arguments: str,
    message: str,
) -> None:
    refused(perfkit_here(command, *SMALL, *arguments.split()), message)


def test_a_study_leaves_its_data_next_to_its_page(tmp_path: Path) -> None:
    Store(tmp_path / "study").append(make_record())
    page = tmp_path / "study" / "report.html"
    outputs = ReportOutputs(data=tmp_path / "tables", bundle=tmp_path / "bundle")
    assert outputs.check() is None
    result = export_results(tmp_path / "study", "study", page, outputs, None)
    assert (result.page, result.data) == (page, tmp_path / "tables")
    assert (tmp_path / "tables" / "trials.csv").is_file()
    assert (tmp_path / "bundle" / "report.html").is_file()
    assert not page.exists()


def test_a_study_without_outputs_is_not_read_again(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = export_results(tmp_path / "missing", None, page, ReportOutputs(), None)
    assert (result.page, result.bundle, result.remarks) == (page, None, ())
