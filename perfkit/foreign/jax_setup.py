"""Prepares JAX in this process once it is imported: its flags, its cache, and what it reports.

Imports the standard library only, as the modules of perfkit that it uses; JAX is passed in.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Container, Iterable, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from perfkit.builds import installed_build
from perfkit.foreign.plan import ForeignPlan
from perfkit.foreign.settings_report import JournalReport

REQUESTS, HITS, UNCACHED = "requests", "hits", "uncached"
"""Events: a program was looked up in the compile cache, was read from it, or was compiled without
a cache."""

COMPILE = "compile"
"""Event with a duration: a program was compiled, or read from the compile cache."""

_REQUEST = "/jax/compilation_cache/compile_requests_use_cache"
_HIT = "/jax/compilation_cache/cache_hits"
_COMPILED = "/jax/core/compile/backend_compile_duration"

_CACHE_OPTIONS = (
    "jax_persistent_cache_enable_xla_caches",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
    "jax_compilation_cache_max_size",
)
"""Options of JAX's persistent cache that perfkit sets for its own folder."""

_LEAST: Mapping[str, float] = {
    "jax_persistent_cache_min_compile_time_secs": 1e-9,
    "jax_persistent_cache_min_entry_size_bytes": 0,
}
"""Option -> least seconds or bytes of a program that is kept. A program of others may set the time
to 0 itself, which is not undone."""

KEPT_BYTES = 5 * 10**9
"""Bytes of compiled programs that are kept for each preset and version. A program of AlphaFold 3
takes 0.7 MB, but one that holds its parameters as constants has their size."""

_BLOCK_BYTES = 1 << 24
_KEY_DIGITS = 8


def prepare_jax(jax: Any, plan: ForeignPlan, report: JournalReport) -> None:
    """Report versions, drop flags that jaxlib lacks, set up the cache, and count what is compiled.

    Parameters
    ----------
    jax
        The module ``jax``, which has just been imported.
    plan
        The plan of this process.
    report
        What became of the settings.
    """
    versions = {"python": platform.python_version(), **_versions(("jaxlib", *plan.packages))}
    report.note({"versions": versions})
    _report_process_settings(plan, report)
    missing = _drop_missing_flags(plan, report, versions.get("jaxlib", ""))
    flags = {name: value for name, value in plan.flags.items() if name not in missing}
    report.note(
        {
            "jaxlib": {
                "python": sys.executable,
                "build": installed_build("jaxlib"),
                "xla_flags": os.environ.get("XLA_FLAGS", ""),
            }
        }
    )
    cache = None
    if plan.programs is not None:
        cache = _use_cache(jax, Path(plan.programs) / programs_key(versions), report)
    _Compilations(jax, flags, report, cache).listen()


def keep_programs(jax: Any, folder: Path, unless: Container[str] = ()) -> None:
    """Have JAX keep all compiled programs in a folder, however small they are.

    Parameters
    ----------
    jax
        The module ``jax``.
    folder
        The folder.
    unless
        Names of environment variables whose options are left as they are.
    """
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # XLA's own caches are for GPUs. In jax 0.10 their path is part of the key of a program, so that
    # another folder finds none.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    for option, least in _LEAST.items():
        if option.upper() not in unless:
            jax.config.update(option, least)


def programs_key(versions: Mapping[str, str]) -> str:
    """Name of the folder of compiled programs for versions of Python and packages."""
    text = json.dumps(sorted(versions.items()))
    digest = hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]
    return f"jaxlib-{versions.get('jaxlib', 'unknown')}-{digest}"


def flags_in(text: str) -> dict[str, str]:
    """Flags in ``XLA_FLAGS``, the last of each name; a flag without a value is true."""
    pairs = (word.lstrip("-").partition("=") for word in text.split())
    return {name: value if equals else "true" for name, equals, value in pairs}


def flags_missing_from(names: Iterable[str], libraries: Iterable[Path]) -> set[str]:
    """Names of XLA flags that no shared library of jaxlib holds as a zero-terminated string.

    jaxlib aborts a process that is started with a flag that it does not know.

    Parameters
    ----------
    names
        Names without dashes.
    libraries
        The shared libraries. Without any, nothing is missing: it cannot be known.
    """
    wanted = {name: name.encode() + b"\0" for name in names}
    overlap = max(map(len, wanted.values()), default=0)
    found: set[str] = set()
    looked = False
    for library in libraries:
        with library.open("rb") as stream:
            looked, tail = True, b""
            while found != wanted.keys() and (block := stream.read(_BLOCK_BYTES)):
                text = tail + block
                found |= {name for name in wanted.keys() - found if wanted[name] in text}
                tail = text[-overlap:]
    return wanted.keys() - found if looked else set()


def _versions(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _report_process_settings(plan: ForeignPlan, report: JournalReport) -> None:
    """Check the settings that take effect when a process starts."""
    for setting, variables in plan.variables.items():
        changed = [name for name, value in variables.items() if os.environ.get(name) != value]
        if changed:
            report.could_not(setting, f"the program itself changed {' and '.join(changed)}")
        elif plan.library is not None and setting == "allocator" and not _is_loaded(plan.library):
            report.could_not(setting, f"{plan.library} was not loaded into the process")
        elif plan.cpus is not None and setting == "cpus" and _cpus() != plan.cpus:
            report.could_not(setting, f"the process is bound to {_cpus()} CPUs")
        else:
            report.took_effect(setting)


def _cpus() -> int:
    return len(os.sched_getaffinity(0))


def _is_loaded(library: str) -> bool:
    try:
        return os.path.realpath(library) in Path("/proc/self/maps").read_text(errors="replace")
    except OSError:
        return True


def _drop_missing_flags(plan: ForeignPlan, report: JournalReport, version: str) -> set[str]:
    """Take flags of the preset that the installed jaxlib lacks out of ``XLA_FLAGS``."""
    jaxlib = sys.modules.get("jaxlib")
    folders = [] if jaxlib is None else list(jaxlib.__path__)
    try:
        libraries = [path for folder in folders for path in sorted(Path(folder).glob("*.so"))]
        missing = flags_missing_from(plan.flags, libraries) if plan.flags else set()
    except OSError:
        return set()
    if missing:
        words = os.environ.get("XLA_FLAGS", "").split()
        kept = [word for word in words if not flags_in(word).keys() & missing]
        os.environ["XLA_FLAGS"] = " ".join(kept)
    for name in sorted(missing):
        report.could_not(name, f"jaxlib {version} has no such flag")
    return missing


def _use_cache(jax: Any, folder: Path, report: JournalReport) -> _OwnCache | None:
    """Turn JAX's persistent cache on, unless the user has set it up or disabled it."""
    if jax.config.jax_compilation_cache_dir:
        own = jax.config.jax_compilation_cache_dir
        report.say(f"the compile cache is that of JAX_COMPILATION_CACHE_DIR ({own})")
        return None
    if not jax.config.jax_enable_compilation_cache:
        report.say("the compile cache is off: JAX_ENABLE_COMPILATION_CACHE disables it")
        return None
    return _OwnCache(jax, folder, report)


class _OwnCache:
    """JAX's persistent cache in a folder of perfkit, until the program names another folder.

    ``run_alphafold.py`` has an option for the folder and applies it after it has imported JAX. That
    cache is the user's: perfkit's limit of its size would delete programs from it.

    Parameters
    ----------
    jax
        The module ``jax``.
    folder
        The folder.
    report
        What became of the settings.
    """

    def __init__(self, jax: Any, folder: Path, report: JournalReport) -> None:
        self._config = jax.config
        self._folder = str(folder)
        self._report = report
        before = self._options()
        keep_programs(jax, folder, unless=os.environ)
        # JAX drops the programs that were not used for the longest time, but locks its folder with
        # a package that it does not require.
        if "JAX_COMPILATION_CACHE_MAX_SIZE" not in os.environ and find_spec("filelock") is not None:
            jax.config.update("jax_compilation_cache_max_size", KEPT_BYTES)
        own = self._options()
        self._changed = {
            name: (value, own[name]) for name, value in before.items() if value != own[name]
        }

    def leave_to_program(self) -> None:
        """Undo the options of the cache if the program has named a folder of its own.

        JAX announces that it looks for a program before it does so, and keeps the folder of the
        first one, which may have been compiled while the program was imported.
        """
        folder = self._config.jax_compilation_cache_dir
        if folder == self._folder or not self._changed:
            return
        for name, (before, own) in self._changed.items():
            if getattr(self._config, name) == own:
                self._config.update(name, before)
        self._changed = {}
        from jax.experimental.compilation_cache import compilation_cache

        compilation_cache.reset_cache()
        self._report.say(f"the compile cache is that of the program ({folder})")

    def _options(self) -> dict[str, object]:
        return {name: getattr(self._config, name) for name in _CACHE_OPTIONS}


class _Compilations:
    """Counts compilations, and the flags that are in force when XLA reads them.

    Parameters
    ----------
    jax
        The module ``jax``.
    flags
        XLA flags of the preset.
    report
        What became of the settings.
    cache
        The compile cache of perfkit; None if it is not in use.
    """

    def __init__(
        self,
        jax: Any,
        flags: Mapping[str, str],
        report: JournalReport,
        cache: _OwnCache | None,
    ) -> None:
        self._jax = jax
        self._flags = flags
        self._report = report
        self._cache = cache
        self._in_force: list[str] | None = None

    def listen(self) -> None:
        """Listen to JAX's monitoring events."""
        monitoring = self._jax.monitoring
        monitoring.register_event_listener(self._event)
        monitoring.register_event_duration_secs_listener(self._duration)

    def _event(self, event: str, **_: object) -> None:
        if event == _REQUEST:
            if self._cache is not None:
                self._cache.leave_to_program()
            kept = bool(self._jax.config.jax_compilation_cache_dir)
            self._report.happened(REQUESTS if kept else UNCACHED)
        elif event == _HIT:
            self._report.happened(HITS)

    def _duration(self, event: str, duration_s: float, **_: object) -> None:
        if event == _COMPILED:
            self._report.happened(COMPILE, duration_s)
            for name in self._flags_in_force():
                self._report.took_effect(name)

    def _flags_in_force(self) -> list[str]:
        """Flags that XLA got; it reads them once per process, before it compiles."""
        if self._in_force is None:
            present = flags_in(os.environ.get("XLA_FLAGS", ""))
            wanted = self._flags
            self._in_force = [name for name in wanted if present.get(name) == wanted[name]]
            for name in sorted(wanted.keys() - set(self._in_force)):
                self._report.could_not(name, "the program itself set XLA_FLAGS to something else")
        return self._in_force
