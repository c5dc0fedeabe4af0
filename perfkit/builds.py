"""Identify the installed build of a package, on which outputs and cache entries depend."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from importlib import metadata
from pathlib import Path

from perfkit.files import JsonData, short_digest


@functools.cache
def installed_build(distribution: str) -> str | None:
    """Version of a distribution and a digest of its installed files.

    The digest covers the list of files with their checksums that a wheel installs (RECORD), so it
    distinguishes two builds of one version.

    Parameters
    ----------
    distribution
        Name of the distribution.

    Returns
    -------
    str or None
        For example ``0.12.0+1a2b3c4d5e6f``; None if the distribution is not installed.
    """
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return None
    # Byte code is compiled on installation and does not depend on the build.
    files = [line for line in (found.read_text("RECORD") or "").splitlines() if ".pyc," not in line]
    return f"{found.version}+{short_digest(sorted(files))}"


@functools.cache
def source_digest(package: str) -> str | None:
    """Digest of all Python files of an importable package, without importing it.

    The digest also changes if the package is edited in place, or if another package shadows the
    installed one, although the installed version stays the same.

    Parameters
    ----------
    package
        Name of the package.

    Returns
    -------
    str or None
        The digest; None if the package cannot be found.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    files: list[JsonData] = [
        [str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in sorted(folder.rglob("*.py"))
        if path.is_file()
    ]
    return short_digest(files)
