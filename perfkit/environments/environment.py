"""An environment for a version of jaxlib: built once, kept in the user's cache.

It is a virtual environment with jax and jaxlib of its own. All other packages, among them that of
the model, are shared with the running environment, except those that do not work with this jaxlib.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import secrets
import site
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from perfkit.builds import installed_build
from perfkit.environments.installers import Installer, reason_in, this_installer
from perfkit.environments.requirements import distributions_by_name, requirements
from perfkit.errors import UserError
from perfkit.files import JsonData, reason_of, remove, short_digest
from perfkit.knobs.inherited import inherited_variables
from perfkit.paths import CACHE_VARIABLE, cache_folder
from perfkit.records.interpreter import Interpreter
from perfkit.records.machine import package_versions

FOLDER = "environments"
"""Folder of the environments below the cache's root."""

MARK = "perfkit-environment.json"
"""File in a finished environment with what the probe found there."""

SHARED_FILE = "perfkit-shared.pth"
"""File by which an environment finds perfkit and the shared packages, after its own."""

_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")


@dataclass(frozen=True)
class Environment:
    """A Python with a version of jaxlib.

    Attributes
    ----------
    jaxlib
        The version.
    interpreter
        The Python, or None for the running one.
    replaced
        Packages that are not shared because they do not work with this jaxlib, in addition to jax
        and jaxlib, e.g. ``tokamax 0.0.12 instead of 0.0.17``.
    """

    jaxlib: str
    interpreter: Interpreter | None = None
    replaced: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        """The executable."""
        return Path(sys.executable) if self.interpreter is None else self.interpreter.python


def parse_versions(text: str | Sequence[str]) -> list[str]:
    """Versions of jaxlib from a list such as ``0.10.2,0.11.0``, without duplicates.

    Raises
    ------
    UserError
        There is none, or one is no version.
    """
    words = text.split(",") if isinstance(text, str) else text
    versions = list(dict.fromkeys(word.strip() for word in words))
    for version in versions:
        if not _VERSION.fullmatch(version):
            raise UserError(f"--jaxlib takes versions such as 0.11.0,0.12.0, not {version!r}")
    return versions


def running_jaxlib() -> str:
    """Version of the jaxlib of the running environment.

    Raises
    ------
    UserError
        It has none.
    """
    version = package_versions().get("jaxlib")
    if version is None:
        raise UserError(
            "jaxlib is not installed here; versions are compared from an environment that runs "
            "the model"
        )
    return version


def environments_for(
    versions: Sequence[str],
    say: Callable[[str], object] = lambda sentence: None,
    install: Installer | None = None,
) -> tuple[Environment, ...]:
    """An environment for each version of jaxlib, see :func:`environment_for`."""
    return tuple(environment_for(version, say, install) for version in versions)


def environment_for(
    jaxlib: str,
    say: Callable[[str], object] = lambda sentence: None,
    install: Installer | None = None,
) -> Environment:
    """The environment with a version of jaxlib, which is built if the cache has none.

    Parameters
    ----------
    jaxlib
        The version; that of the running environment needs no other one.
    say
        Called with a sentence before something is installed, which takes a minute or more.
    install
        Installs packages; by default uv, or pip.

    Raises
    ------
    UserError
        There is no such version, it does not install, or JAX cannot be imported with it.
    """
    if jaxlib == running_jaxlib():
        return Environment(jaxlib)
    folder = cache_folder(FOLDER) / f"jaxlib-{jaxlib}-{_key(jaxlib)}"
    found = _finished(folder)
    if found is None:
        with _alone(folder):
            # Another process may have built it meanwhile.
            found = _finished(folder)
            if found is None:
                say(f"jaxlib {jaxlib} is installed into {folder}")
                found = _build(folder, jaxlib, this_installer() if install is None else install)
    versions = {str(name): str(version) for name, version in found["versions"].items()}
    own = package_versions()
    interpreter = Interpreter(
        python=_python(folder),
        python_version=str(found["python_version"]),
        versions=tuple(sorted(versions.items())),
        builds=tuple(sorted((str(name), str(build)) for name, build in found["builds"].items())),
    )
    replaced = tuple(
        f"{name} {version} instead of {own.get(name)}"
        for name, version in versions.items()
        if name not in ("jax", "jaxlib") and own.get(name) != version
    )
    return Environment(jaxlib, interpreter, replaced)


def _key(jaxlib: str) -> str:
    """Digest of everything that an environment depends on."""
    same: list[JsonData] = [
        jaxlib,
        sys.version,
        sys.base_prefix,
        _shared_folders(),
        str(_perfkit_root()),
        [[name, installed_build(name)] for name in sorted(package_versions())],
        requirements(jaxlib, metadata.distributions()),
    ]
    return short_digest(same)


def _perfkit_root() -> Path:
    """Folder that this perfkit is imported from."""
    return Path(__file__).resolve().parents[2]


def _shared_folders() -> list[str]:
    """Folders in which the running Python finds installed packages, in its order."""
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [path for path in (*user, *site.getsitepackages()) if Path(path).is_dir()]


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _finished(folder: Path) -> dict[str, Any] | None:
    """What the probe found in a finished environment; None without one."""
    try:
        found = json.loads((folder / MARK).read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(found, dict) and {"python_version", "versions", "builds"} <= found.keys()
    return found if whole and _python(folder).exists() else None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from building the same environment.

    File systems without locks let both build; the one that finishes last is kept.
    """
    with contextlib.ExitStack() as held:
        # A folder that nothing can be written to fails where the environment is made.
        with contextlib.suppress(OSError):
            stream = held.enter_context(folder.with_name(f"{folder.name}.lock").open("w"))
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _build(folder: Path, jaxlib: str, install: Installer) -> dict[str, Any]:
    """Build an environment under another name, and give it its name once it works."""
    draft = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        try:
            venv.EnvBuilder(symlinks=True, with_pip=install.needs_pip).create(draft)
            _share(draft)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else "ensurepip fails"
            raise UserError(
                f"the environment of jaxlib {jaxlib} cannot be created in {draft.parent} "
                f"({reason}); set {CACHE_VARIABLE} to a writable folder with enough space"
            ) from error
        installed = list(metadata.distributions())
        shared = {name: found.version for name, found in distributions_by_name(installed).items()}
        try:
            install(_python(draft), requirements(jaxlib, installed), shared)
        except UserError as error:
            raise UserError(f"jaxlib {jaxlib} cannot be installed: {error}") from error
        found = _probed(draft, jaxlib)
        (draft / MARK).write_text(json.dumps(found))
        # What a killed process left half-built, or what was damaged later.
        remove(folder)
        draft.rename(folder)
    finally:
        remove(draft)
    return found


def _share(folder: Path) -> None:
    """Let an environment find perfkit and the packages of the running one."""
    (packages,) = folder.glob("lib/python*/site-packages")
    # addsitedir also follows the .pth files of the shared folders, e.g. of editable packages.
    paths = _shared_folders()
    lines = [str(_perfkit_root()), f"import site; [site.addsitedir(path) for path in {paths!r}]"]
    (packages / SHARED_FILE).write_text("\n".join(lines) + "\n")


def _probed(folder: Path, jaxlib: str) -> dict[str, Any]:
    """What the environment finds when it imports JAX.

    Raises
    ------
    UserError
        JAX cannot be imported, or another jaxlib is found.
    """
    done = subprocess.run(
        [str(_python(folder)), "-m", "perfkit.environments.probe"],
        env={**inherited_variables(), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = reason_in((done.stderr.strip().splitlines() or ["without a message"])[-1])
        raise UserError(f"jaxlib {jaxlib} is installed but cannot be imported: {last}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    imported = found["versions"].get("jaxlib")
    if imported != jaxlib:
        raise UserError(
            f"jaxlib {jaxlib} is installed, but Python imports {imported}; check PYTHONPATH"
        )
    return found
