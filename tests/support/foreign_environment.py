"""Environments as labs have them: another distribution of a model, and not all packages."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from perfkit.paths import CACHE_VARIABLE

ROOT = Path(__file__).parents[2]

WHOLE_READER = """

@functools.cache
def _load_ccd_pickle_cached(path):
  with open(path, 'rb') as f:
    return safe_pickle.load(f)

del write_ccd_index
"""
"""Code for ``alphafold3.constants.chemical_components`` to read its dictionary whole."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment in which perfkit can be imported.

    Attributes
    ----------
    folder
        Folder of the environment.
    """

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Folder of its packages."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run its interpreter, with a cache of its own."""
        hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        environment = {name: text for name, text in os.environ.items() if name not in hidden}
        environment[CACHE_VARIABLE] = str(self.folder / "perfkit-cache")
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder if cwd is None else cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


def make_environment(folder: Path, *, without: Collection[str]) -> Environment:
    """Make an environment with links to the packages of this one.

    Parameters
    ----------
    folder
        Folder of the new environment.
    without
        Names of files and folders to leave out, up to the first hyphen or dot.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    made = Environment(folder)
    for found in _package_folders():
        for entry in found.iterdir():
            target = made.packages / entry.name
            name = entry.name.replace(".", "-").partition("-")[0]
            if name in without or entry.suffix == ".pth" or target.exists():
                continue
            target.symlink_to(entry)
    (made.packages / "checkout.pth").write_text(f"{ROOT}\n")
    return made


def add_alphafold3(
    environment: Environment, version: str, *, edit: Callable[[Path], None] = lambda folder: None
) -> Path:
    """Copy the installed AlphaFold 3 into an environment, as the distribution ``alphafold3``.

    Parameters
    ----------
    environment
        Environment that has no ``alphafold3``.
    version
        Version of the distribution.
    edit
        Changes the copied package, given its folder.

    Returns
    -------
    Path
        Folder of the package.
    """
    spec = find_spec("alphafold3")
    assert spec is not None
    assert spec.submodule_search_locations
    package = environment.packages / "alphafold3"
    shutil.copytree(spec.submodule_search_locations[0], package)
    about = environment.packages / f"alphafold3-{version}.dist-info"
    about.mkdir()
    lines = ("Metadata-Version: 2.1", "Name: alphafold3", f"Version: {version}")
    (about / "METADATA").write_text("\n".join((*lines, "Requires-Dist: biotite>=1.0")) + "\n")
    (about / "RECORD").write_text("")
    edit(package)
    return package


def _package_folders() -> list[Path]:
    """Folders of this environment that hold packages."""
    own = {Path(folder).resolve() for folder in site.getsitepackages()}
    found = [Path(folder).resolve() for folder in sys.path if folder.endswith("-packages")]
    return [folder for folder in dict.fromkeys((*found, *own)) if folder.is_dir()]
