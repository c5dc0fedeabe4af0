"""Fixtures that run the command line, in a process of its own or in that of the tests."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.cli.main import PrintedWarnings, main

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
def perfkit_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Perfkit:
    """Run ``perfkit`` in an empty folder like ``perfkit``, but in the process of the tests.

    For commands that neither start a trial nor replace the process: they take milliseconds where
    Python and the packages of the models need not start.
    """

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        monkeypatch.chdir(work)
        monkeypatch.setenv("COLUMNS", "200")
        warnings, logger = PrintedWarnings(), logging.getLogger("perfkit")
        logger.addHandler(warnings)
        capfd.readouterr()
        try:
            code = _exit_code(arguments)
        finally:
            logger.removeHandler(warnings)
        printed = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    return run


def _exit_code(arguments: tuple[str, ...]) -> int:
    """The exit code of a command, also of one that argparse ends."""
    try:
        return main(list(arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


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
