"""`scripts/find_python.sh` prints a working Python, even if the PATH starts with broken ones."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "find_python.sh"


def find(path: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path, "HOME": "/nonexistent", **variables}
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)], env=environment, capture_output=True, text=True, check=False
    )


def make_shim(folder: Path, name: str, text: str) -> None:
    shim = folder / name
    shim.write_text(f"#!/bin/sh\n{text}\n")
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def pyenv(tmp_path: Path) -> Path:
    """A pyenv root whose 3.12.9 is the Python of the tests."""
    folder = tmp_path / "pyenv" / "versions" / "3.12.9" / "bin"
    folder.mkdir(parents=True)
    make_shim(folder, "python", f'exec {sys.executable} "$@"')
    return tmp_path / "pyenv"


def test_a_failing_shim_is_skipped_in_favour_of_a_pyenv_version(
    tmp_path: Path, pyenv: Path
) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in ("python3.12", "python3.13", "python3", "python"):
        make_shim(shims, name, "exit 127")

    found = find(str(shims), PYENV_ROOT=str(pyenv))

    assert found.returncode == 0
    assert found.stdout.strip() == sys.executable


def test_an_older_python_is_skipped(tmp_path: Path, pyenv: Path) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    # An older Python answers the version check with a failing exit code.
    make_shim(shims, "python3", "exit 1")

    assert find(str(shims), PYENV_ROOT=str(pyenv)).stdout.strip() == sys.executable


def test_a_python_named_by_the_user_is_used() -> None:
    assert find("", PYTHON=sys.executable).stdout.strip() == sys.executable


def test_an_unusable_python_named_by_the_user_is_refused_in_one_sentence(tmp_path: Path) -> None:
    make_shim(tmp_path, "old", "exit 1")

    refused = find(os.defpath, PYTHON=str(tmp_path / "old"))

    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert str(tmp_path / "old") in refused.stderr
