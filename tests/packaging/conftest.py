"""A source distribution and a wheel of this checkout, and an environment with the wheel alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from perfkit.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]

SOURCES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff")
"""Files in addition to the package that a source distribution is made of."""


@dataclass(frozen=True)
class Distributions:
    """What a release uploads.

    Attributes
    ----------
    sdist, wheel
        Paths of the source distribution, and of the wheel that was built from it.
    """

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel and not the repository.

    Attributes
    ----------
    folder
        Working directory of its commands.
    perfkit
        The console script.
    environment
        Variables of its commands: those of the tests without a path to the repository.
    """

    folder: Path
    perfkit: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``perfkit`` and return its end and output."""
        assert arguments[0] in {*COMMANDS, "--version"}
        return subprocess.run(
            [self.perfkit, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Both distributions; the wheel is built from the unpacked source distribution."""
    # A build writes into its source folder.
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(
        ROOT / "perfkit", source / "perfkit", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in (*SOURCES, "constraints.txt"):
        shutil.copy(ROOT / name, source)
    out = tmp_path_factory.mktemp("distributions")
    # Without isolation: the build needs only setuptools, which the environment has.
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        out,
        source,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    return Distributions(sdist, wheel)


@pytest.fixture(scope="session")
def installed(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A new environment with the wheel.

    The dependencies come from the running environment: installing them takes minutes.
    A path file adds its folders of packages. Path files in these folders are not read, so that the
    repository, which is installed there by such a file, cannot be imported.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (own,) = folder.glob("lib/python*/site-packages")
    shared = [path for path in sys.path if Path(path).name == "site-packages"]
    (own / "shared.pth").write_text("".join(f"{path}\n" for path in shared))
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
    ]
    # perfkit is in a shared folder, too; pip must neither keep nor remove that one.
    command += ["--no-index", "--ignore-installed", distributions.wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    work = tmp_path_factory.mktemp("work")
    found = subprocess.run(
        [python, "-c", "import perfkit; print(perfkit.__file__)"],
        cwd=work,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == own / "perfkit" / "__init__.py"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return Installed(work, folder / "bin" / "perfkit", environment)
