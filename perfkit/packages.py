"""Which packages are missing, and which distribution provides a package that is there.

perfkit runs in environments of others. Its advice names the missing package alone: an extra of
perfkit that brings a model would replace the model's package that is installed.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

from perfkit.errors import MissingDependencyError
from perfkit.version import __version__

DISTRIBUTION_NAMES = {"haiku": "dm-haiku", "sklearn": "scikit-learn"}
"""Import name -> name of the distribution, where the two differ."""

PROVIDERS = {"alphafold3": ("alphafold3", "alphafold3-colabfold"), "weathernext": ("weathernext",)}
"""Import name of a model's package -> distributions that provide it."""

OWN = "perfkit"
"""Name of perfkit, both of the package and of the distribution."""


type Version = tuple[int, ...]
"""The leading numbers of a version."""


def parse_version(text: str) -> Version:
    """Return the leading numbers of a version: (0, 10, 2) for ``0.10.2.dev3``."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


@dataclass(frozen=True)
class Package:
    """A package that is installed, or that was installed where something was measured.

    Attributes
    ----------
    import_name
        Name under which it is imported.
    distribution
        Name of the distribution that provides it; empty where none does, e.g. for a checkout on
        ``PYTHONPATH``.
    version
        Version of the distribution; empty where it is unknown.
    """

    import_name: str
    distribution: str = ""
    version: str = ""

    @property
    def text(self) -> str:
        """The package for a sentence: ``alphafold3-colabfold 3.1.18``."""
        if not self.distribution:
            return f"{self.import_name} without a distribution"
        return f"{self.distribution} {self.version}".strip()


def distribution_name(import_name: str) -> str:
    """Name of the distribution to install for a package."""
    return DISTRIBUTION_NAMES.get(import_name, import_name)


def missing_packages(import_names: Iterable[str]) -> list[str]:
    """Those of the packages that cannot be found; none is imported."""
    return [name for name in import_names if importlib.util.find_spec(name) is None]


def require_packages(
    purpose: str, import_names: Iterable[str], alongside: str | None = None
) -> None:
    """Check that packages are installed, without importing them.

    Parameters
    ----------
    purpose
        What needs the packages, as the subject of a sentence with *needs*.
    import_names
        Import names of the packages.
    alongside
        Import name of a package that is installed. Where its distribution asks for certain
        versions of a missing package, the advice names these.

    Raises
    ------
    MissingDependencyError
        A package is missing. The message names every missing one, and the command that installs
        these alone.
    """
    missing = missing_packages(import_names)
    if missing:
        raise MissingDependencyError(missing_sentence(purpose, missing, alongside))


def missing_sentence(purpose: str, missing: Iterable[str], alongside: str | None = None) -> str:
    """The sentence about missing packages; see :func:`require_packages`."""
    names = [distribution_name(name) for name in missing]
    asked = {} if alongside is None else _requirements(alongside)
    wanted = [asked.get(_normalised(name), name) for name in names]
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    are = "is" if len(names) == 1 else "are"
    return f"{purpose} needs {listed}, which {are} not installed: pip install {shlex.join(wanted)}"


def _requirements(import_name: str) -> dict[str, str]:
    """Distribution -> requirement with its versions, of the distribution that has a package."""
    from packaging.requirements import InvalidRequirement, Requirement

    provider = provider_of(import_name)
    found: dict[str, str] = {}
    if provider is None or not provider.distribution:
        return found
    for text in metadata.requires(provider.distribution) or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            name = _normalised(requirement.name)
            found.setdefault(name, f"{requirement.name}{requirement.specifier}")
    return found


@functools.cache
def provider_of(import_name: str) -> Package | None:
    """The package of an import name, and the distribution whose files are imported.

    Two distributions may claim one package: the files of the later installed one overwrite those
    of the other. A checkout that comes first on the path belongs to neither.

    Parameters
    ----------
    import_name
        Import name of a top-level package.

    Returns
    -------
    Package or None
        None if the package cannot be found.
    """
    if import_name == OWN:
        return Package(OWN, OWN, __version__)
    spec = importlib.util.find_spec(import_name)
    if spec is None:
        return None
    folders = [Path(folder).resolve() for folder in spec.submodule_search_locations or ()]
    claims = [
        found
        for found in _candidates(import_name)
        if any(_provides(found, import_name, folder) for folder in folders)
    ]
    if not claims:
        return Package(import_name)
    best = max(claims, key=lambda found: _same_files(found, import_name))
    return Package(import_name, best.metadata["Name"], best.version)


def measured_package(import_name: str, versions: Mapping[str, str | None]) -> Package | None:
    """The package that something was measured with, from the versions that were noted.

    Parameters
    ----------
    import_name
        Import name of a model's package.
    versions
        Versions by distribution.

    Returns
    -------
    Package or None
        None where the versions name no distribution of the package, or several of them.
    """
    known = [name for name in PROVIDERS.get(import_name, (import_name,)) if versions.get(name)]
    if len(known) != 1:
        return None
    return Package(import_name, known[0], versions[known[0]] or "")


def _candidates(import_name: str) -> Iterator[metadata.Distribution]:
    """Installed distributions that may provide a package; those of the usual names first."""
    names = PROVIDERS.get(import_name, (distribution_name(import_name),))
    known = [found for name in names if (found := _distribution(name)) is not None]
    yield from known
    if not known:
        # Reads the metadata of every distribution, which takes half a second in large environments.
        for name in dict.fromkeys(metadata.packages_distributions().get(import_name, ())):
            if (found := _distribution(name)) is not None:
                yield found


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _provides(found: metadata.Distribution, import_name: str, folder: Path) -> bool:
    """Whether a distribution has installed the package in a folder."""
    if Path(str(found.locate_file(import_name))).resolve() == folder:
        return True
    # An editable installation points to the source folder instead.
    address = json.loads(found.read_text("direct_url.json") or "{}")
    url = urlparse(str(address.get("url", "")))
    editable = bool(address.get("dir_info", {}).get("editable"))
    return editable and url.scheme == "file" and Path(unquote(url.path)).resolve() in folder.parents


def _same_files(found: metadata.Distribution, import_name: str) -> float:
    """Share of a distribution's Python files in a package that have the size it installed."""
    files = [
        file
        for file in found.files or ()
        if file.suffix == ".py" and file.parts[0] == import_name and file.size is not None
    ]
    if not files:
        return 0.0
    return sum(_size(Path(str(file.locate()))) == file.size for file in files) / len(files)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _normalised(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
