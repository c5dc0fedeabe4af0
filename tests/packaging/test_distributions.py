"""The source distribution and the wheel hold everything, and run outside the checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from perfkit.version import __version__
from tests.packaging.conftest import ROOT, Distributions, Installed


def _tracked() -> set[str]:
    """Files of the package that are in the repository."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    command = ["git", "-C", str(ROOT), "ls-files", "perfkit"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


def test_both_distributions_hold_every_file_of_the_package(distributions: Distributions) -> None:
    tracked = _tracked()
    with zipfile.ZipFile(distributions.wheel) as archive:
        assert tracked - set(archive.namelist()) == set()
    with tarfile.open(distributions.sdist) as archive:
        unpacked = {name.partition("/")[2] for name in archive.getnames()}
    expected = {*tracked, "LICENSE", "CHANGELOG.md", "CITATION.cff", "constraints.txt"}
    assert expected - unpacked == set()


def test_the_wheel_describes_itself(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as archive:
        info = f"perfkit-{__version__}.dist-info"
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
        assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.12"
    assert {"af3", "gencast", "docs"} <= set(metadata.get_all("Provides-Extra") or ())


def test_presets_and_templates_are_found_outside_the_checkout(
    installed: Installed, tmp_path: Path
) -> None:
    preset = tmp_path / "preset.toml"
    shown = installed.run(
        "recommend", "--size", "76", "--shipped", "af3-ubiquitin-amx", "--preset-out", str(preset)
    )
    assert shown.returncode == 0, shown.stderr
    assert tomllib.loads(preset.read_text())["knobs"]["bucket"] == "exact"
    page = tmp_path / "page.html"
    rendered = installed.run(
        "report", str(ROOT / "reports" / "gencast-1deg-20-levels"), "--html", str(page)
    )
    assert rendered.returncode == 0, rendered.stderr
    assert "</html>" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_tuning_runs_outside_the_checkout(installed: Installed, tmp_path: Path) -> None:
    options = ["--resolution", "10", "--mesh", "1", "--budget", "10s", "--no-extrapolation"]
    options += ["--cold", "--knob", "precision=bfloat16", "--out", str(tmp_path)]
    tuned = installed.run("tune", "--model", "gencast", *options)
    # 10 seconds do not suffice for pairs of processes: there may be nothing to recommend.
    assert tuned.returncode in (0, 1), tuned.stderr
    assert "</html>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    (file,) = tmp_path.glob("records-*.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"ok"} == {record["outcome"] for record in records}
    assert {record["versions"]["perfkit"] for record in records} == {__version__}
