"""Wheels of a few lines, which pip installs from a folder instead of a registry."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str, requires: Sequence[str] = (), code: str = ""
) -> None:
    """Write a wheel of one package, whose module has the same name.

    Parameters
    ----------
    folder
        Folder to write to.
    name, version
        Name and version.
    requires
        Requirements of the distribution.
    code
        Code of the module.
    """
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    wheel = ["Wheel-Version: 1.0", "Root-Is-Purelib: true", "Tag: py3-none-any"]
    files = {
        f"{name}/__init__.py": code,
        f"{info}/METADATA": "\n".join([*lines, ""]),
        f"{info}/WHEEL": "\n".join([*wheel, ""]),
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, content)
