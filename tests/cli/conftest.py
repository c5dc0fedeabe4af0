"""Fixtures that run the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

type Finished = subprocess.CompletedProcess[str]
type Perfkit = Callable[..., Finished]
type Refused = Callable[[Finished, str], None]


@pytest.fixture
def perfkit(tmp_path: Path) -> Perfkit:
    """Run ``perfkit`` with arguments in an empty folder, after the Python code ``before``."""

    def run(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        code = f"import sys\n{before}\nfrom perfkit.cli.main import entry_point\nentry_point()"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=work,
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Assert that a command ended with one sentence that holds ``message``, and wrote no file."""

    def check(finished: Finished, message: str) -> None:
        assert finished.returncode == 2, finished.stderr
        lines = finished.stderr.splitlines()
        assert len(lines) == 1, finished.stderr
        assert lines[0].startswith("perfkit: ")
        assert message in lines[0]
        assert finished.stdout == ""
        assert list((tmp_path / "work").iterdir()) == []

    return check
