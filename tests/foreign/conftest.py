"""A foreign program, a model with an adapter for it, and ``perfkit exec`` in its environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.cli.commands import exec_command
from tests.support.heatlab import write_heatlab
from tests.support.plugin import install

type Finished = subprocess.CompletedProcess[str]


class Lab:
    """A folder with the program ``heatlab`` and a model of it that is installed for perfkit.

    Parameters
    ----------
    folder
        An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = write_heatlab(folder / "program")
        packages = folder / "packages"
        packages.mkdir()
        install(packages)
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")]),
            "PERFKIT_CACHE": str(folder / "cache"),
            "JAX_PLATFORMS": "cpu",
        }

    def preset(self, knobs: str, model: str = "heat") -> str:
        """Write a preset and return its path."""
        path = self.folder / f"{abs(hash((model, knobs)))}.toml"
        path.write_text(f"model = '{model}'\n[knobs]\n{knobs}\n", encoding="utf-8")
        return str(path)

    def exec(self, *words: str) -> Finished:
        """Run ``perfkit exec`` with these words in a process of its own."""
        return subprocess.run(
            self.exec_command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def exec_command(self, *words: str) -> list[str]:
        """The command line of ``perfkit exec`` with these words."""
        return [sys.executable, "-m", "perfkit", "exec", *words]


class Here:
    """``perfkit exec`` in this process, which spares its start.

    Parameters
    ----------
    capture
        Captures what perfkit and the command print.
    """

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def exec(self, *words: str) -> Finished:
        """Run ``perfkit exec`` with these words."""
        code = exec_command.main(list(words))
        printed = self._capture.readouterr()
        return subprocess.CompletedProcess(words, code, printed.out, printed.err)


@pytest.fixture
def here(lab: Lab, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """The environment and the folder of the lab, in this process."""
    for name in ("PYTHONPATH", "PERFKIT_CACHE", "JAX_PLATFORMS"):
        monkeypatch.setenv(name, lab.environment[name])
    monkeypatch.syspath_prepend(str(lab.folder / "packages"))
    monkeypatch.chdir(lab.folder)
    return Here(capfd)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))
