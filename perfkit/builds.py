"""Which build of a package is installed: what answers and cache entries depend on."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from importlib import metadata
from pathlib import Path

from perfkit.files import Plain, short_digest


@functools.cache
def installed_build(distribution: str) -> str | None:
    """Version and a digest of the installed files, None where it is not installed.

    The digest is that of the list of files with their checksums that a wheel installs (RECORD):
    two builds of one version differ in it.
    """
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return None
    # Byte code is compiled where it is installed, and says nothing about the build.
    files = [line for line in (found.read_text("RECORD") or "").splitlines() if ".pyc," not in line]
    return f"{found.version}+{short_digest(sorted(files))}"


@functools.cache
def source_digest(package: str) -> str | None:
    """Digest of all Python files of an importable package, None where it cannot be found.

    A package that shadows the installed one, or was changed in place, has another digest although
    the installed version is the same. The package is not imported.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    files: list[Plain] = [
        [str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in sorted(folder.rglob("*.py"))
        if path.is_file()
    ]
    return short_digest(files)
