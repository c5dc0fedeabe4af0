"""Run the small tests next to other versions of Python, JAX, jaxlib and tokamax.

`.ci/matrix.toml` has one line for each environment, and the tests. Environments are built once, in
perfkit's cache folder, and run at the same time:

    .venv/bin/python -m scripts.matrix            # all lines
    .venv/bin/python -m scripts.matrix --only 1   # the first line
    .venv/bin/python -m scripts.matrix --build    # environments, without the tests

An environment of the Python that runs this script shares the packages that this Python has; only
those that differ are installed in it. The exit code is 0 if all tests pass.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

from perfkit.paths import cache_folder
from scripts.shared_packages import share_packages

ROOT = Path(__file__).parents[1]
MATRIX = ROOT / ".ci" / "matrix.toml"
CONSTRAINTS = ROOT / "constraints.txt"

FOLLOW_JAX = frozenset({"flax", "jax", "jaxlib", "optax", "orbax-checkpoint", "qwix", "tokamax"})
"""Packages whose pinned versions need the pinned JAX: pip finds those that fit another one."""

EXTRAS = ("af3-colabfold", "gencast")
TEST_TOOLS = ("hypothesis", "pytest")

COMPLETE = ".complete"
"""Name of the file that marks an environment whose installation has ended."""


@dataclass(frozen=True)
class Environment:
    """One line of the matrix.

    Attributes
    ----------
    python
        Version of Python, major and minor, e.g. ``3.12``.
    jax, jaxlib, tokamax
        Versions of the packages.
    """

    python: str
    jax: str
    jaxlib: str
    tokamax: str

    @property
    def label(self) -> str:
        """The versions in one line."""
        return f"Python {self.python}, jax {self.jax}, jaxlib {self.jaxlib}, tokamax {self.tokamax}"

    @property
    def pinned(self) -> list[str]:
        """The packages of the line, as pip takes them."""
        return [f"jax=={self.jax}", f"jaxlib=={self.jaxlib}", f"tokamax=={self.tokamax}"]

    @property
    def shares(self) -> bool:
        """Whether the running Python has the version of the line, so that its packages fit."""
        return self.python == "{}.{}".format(*sys.version_info[:2])


def read_matrix(path: Path = MATRIX) -> tuple[list[Environment], list[str]]:
    """Read the environments and the tests of a matrix file."""
    matrix = tomllib.loads(path.read_text(encoding="utf-8"))
    return [Environment(**line) for line in matrix["environments"]], list(matrix["tests"])


def requirements(project: Mapping[str, object]) -> list[str]:
    """Return what perfkit, the models and their tests need, from a ``pyproject.toml``."""
    table = project["project"]
    assert isinstance(table, dict)
    extras = [name for extra in EXTRAS for name in table["optional-dependencies"][extra]]
    return [*table["dependencies"], *extras, *TEST_TOOLS]


def constraints_for(text: str, environment: Environment) -> str:
    """Return pinned versions with those of a line instead of JAX's and of what follows JAX."""
    kept = [line for line in text.splitlines() if line.split("==")[0].lower() not in FOLLOW_JAX]
    return "\n".join([*kept, *environment.pinned, ""])


def find_python(version: str) -> Path:
    """Return a working Python of a version.

    Raises
    ------
    SystemExit
        There is none.
    """
    roots = [os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv", "/opt/pyenv"]
    installed = [
        path
        for root in roots
        if root
        for path in sorted(Path(root).glob(f"versions/{version}.*/bin/python"))
    ]
    for candidate in (f"python{version}", *map(str, installed)):
        code = "import sys, venv; print(sys.executable, '{}.{}'.format(*sys.version_info[:2]))"
        try:
            done = subprocess.run(
                [candidate, "-c", code], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        executable, _, found = done.stdout.strip().rpartition(" ")
        if found == version:
            return Path(executable)
    raise SystemExit(f"the matrix needs Python {version}, and none was found: install it")


def python_of(environment: Environment, folder: Path) -> Path:
    """Return the Python of an environment, which is built if it is missing or incomplete."""
    python = folder / "bin" / "python"
    if not (folder / COMPLETE).exists():
        base = Path(sys.executable) if environment.shares else find_python(environment.python)
        subprocess.run([base, "-m", "venv", "--clear", "--without-pip", folder], check=True)
    if environment.shares:
        # Each time: the environment outlives the one whose packages it shares.
        share_packages(folder)
    if not (folder / COMPLETE).exists():
        constraints = folder / "constraints.txt"
        pinned = constraints_for(CONSTRAINTS.read_text(encoding="utf-8"), environment)
        constraints.write_text(pinned, encoding="utf-8")
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        pip += ["--constraint", str(constraints)]
        subprocess.run([*pip, *requirements(project)], check=True)
        (folder / COMPLETE).touch()
    return python


def folder_of(environment: Environment) -> Path:
    """Return the folder of an environment; another one if anything that is installed changes."""
    texts = [CONSTRAINTS.read_text(encoding="utf-8"), (ROOT / "pyproject.toml").read_text("utf-8")]
    digest = hashlib.sha256(repr((astuple(environment), texts)).encode()).hexdigest()[:16]
    return cache_folder("matrix", digest)


def build(environment: Environment) -> Path:
    """Return the Python of an environment, which is built in its folder unless it is there."""
    return python_of(environment, folder_of(environment))


def run_tests(environment: Environment, tests: Sequence[str]) -> tuple[bool, str]:
    """Run the tests in an environment; return whether they passed, and the output."""
    begin_s = time.monotonic()
    python = build(environment)
    built_s = time.monotonic() - begin_s
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", "--quiet", *tests]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    tested_s = time.monotonic() - begin_s - built_s
    times = f"environment {built_s:.0f} s, tests {tested_s:.0f} s"
    return done.returncode == 0, f"== {environment.label} ({times}) ==\n{done.stdout}"


def main() -> int:
    """Run the tests in all environments at once; 0 if they pass everywhere."""
    environments, tests = read_matrix()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", type=int, choices=range(1, len(environments) + 1), help="number of a line"
    )
    parser.add_argument("--build", action="store_true", help="only build the environments")
    given = parser.parse_args()
    chosen = environments if given.only is None else [environments[given.only - 1]]
    with ThreadPoolExecutor(len(chosen)) as pool:
        if given.build:
            list(pool.map(build, chosen))
            return 0
        results = list(pool.map(lambda environment: run_tests(environment, tests), chosen))
    for _, output in results:
        print(re.sub(r"\n{3,}", "\n\n", output), flush=True)
    return 0 if all(passed for passed, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
