"""Installers of packages: uv where it is on the PATH, else pip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from packaging.utils import canonicalize_name

from perfkit.errors import UserError
from perfkit.lifeline import run_tied
from perfkit.units import cut

_TREE = re.compile(r"^\W+")
"""The lines of uv's tree, in front of its words."""

REASON_CHARACTERS = 300
"""Longest reason of an installer that is passed on."""


class Installer(Protocol):
    """Installs packages into an environment that shares those of another one."""

    needs_pip: bool
    """Whether the environment has to be created with a pip of its own."""

    def __call__(
        self, python: Path, requirements: Sequence[str], shared: Mapping[str, str]
    ) -> None:
        """Install packages.

        Parameters
        ----------
        python
            Executable of the environment.
        requirements
            What has to be installed. A shared package that fits is not installed again.
        shared
            Version of each shared package, by normalised name.

        Raises
        ------
        UserError
            The packages cannot be installed; the message is the installer's reason.
        """
        ...


class Pip:
    """pip of the environment itself, which sees the shared packages as installed.

    It replaces a shared package only where that does not fit, and never uninstalls one: shared
    packages lie outside its environment.

    Attributes
    ----------
    needs_pip
        Whether the running environment, whose packages are shared, has no pip.
    """

    def __init__(self) -> None:
        self.needs_pip = find_spec("pip") is None

    def __call__(
        self, python: Path, requirements: Sequence[str], shared: Mapping[str, str]
    ) -> None:
        """Install packages; see :class:`Installer`."""
        command = [python, "-m", "pip", "install", "--quiet", "--no-input", *requirements]
        _run([*map(str, command)], "pip", {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})


class Uv:
    """uv, which does not see shared packages.

    They are given as preferred versions of the resolution, and what it finds among them is left
    out of the installation.

    Parameters
    ----------
    executable
        The program.

    Attributes
    ----------
    needs_pip
        False.
    """

    needs_pip = False

    def __init__(self, executable: str) -> None:
        self._executable = executable

    def __call__(
        self, python: Path, requirements: Sequence[str], shared: Mapping[str, str]
    ) -> None:
        """Install packages; see :class:`Installer`."""
        wanted, resolved = python.parent / "wanted.txt", python.parent / "resolved.txt"
        wanted.write_text("\n".join(requirements) + "\n")
        # uv prefers the versions that its output file holds already.
        pins = {name: f"{name}=={version}" for name, version in shared.items()}
        resolved.write_text("\n".join(pins.values()) + "\n")
        target = ["--quiet", "--python", str(python)]
        plain = ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        output = ["--output-file", str(resolved), str(wanted)]
        _run([self._executable, "pip", "compile", *target, *plain, *output], "uv")
        found = [line.split(";")[0].strip() for line in resolved.read_text().splitlines()]
        own = [line for line in found if "==" in line and line != pins.get(_name_of(line))]
        _run([self._executable, "pip", "install", *target, "--no-deps", *own], "uv")


def this_installer() -> Installer:
    """uv where it is on the PATH, else pip."""
    uv = shutil.which("uv")
    return Pip() if uv is None else Uv(uv)


def _name_of(pin: str) -> str:
    return canonicalize_name(pin.partition("==")[0].partition("[")[0])


def _run(command: Sequence[str], name: str, variables: Mapping[str, str] | None = None) -> None:
    try:
        done = run_tied(
            command,
            env={**os.environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except OSError as error:
        raise UserError(f"{name} does not start ({error.strerror})") from error
    if done.returncode:
        reason = reason_in(done.stderr) or f"code {done.returncode}"
        raise UserError(f"{name}: {cut(reason, REASON_CHARACTERS)}")


def reason_in(log: str) -> str:
    """The reason in what pip or uv wrote to standard error, on one line; empty without any.

    pip marks it by ``ERROR:``, the last one being the conclusion. uv draws it as a tree below its
    first line.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    if errors:
        return errors[-1]
    words = " ".join(_TREE.sub("", line) for line in lines if not line.startswith("warning:"))
    return words.removeprefix("error: ")
