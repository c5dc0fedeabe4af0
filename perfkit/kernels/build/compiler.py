"""Finds a C++ compiler and compiles sources into a shared library."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import ConfigurationRefusedError

COMPILER_VARIABLE = "CXX"
"""Environment variable with the command of the C++ compiler; it may contain options."""

COMMANDS = ("g++", "clang++", "c++")
"""Commands of C++ compilers, in the order in which they are looked for."""

OPTIONS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
)
"""Options for every level. ``-ffast-math`` is not among them: NaN and infinities must pass."""

ANSWER_LIMIT_S = 30.0
"""Longest time in seconds that a compiler may take to state its version."""


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler.

    Attributes
    ----------
    command
        The program and options that the user gives with it.
    version
        Its version line without the name of the program, which differs from link to link.
    """

    command: tuple[str, ...]
    version: str


def command_here(environment: Mapping[str, str] = os.environ) -> tuple[str, ...] | None:
    """The command of the C++ compiler; None if there is none.

    Parameters
    ----------
    environment
        Environment variables. :data:`COMPILER_VARIABLE`, if set, is the only candidate.
    """
    chosen = environment.get(COMPILER_VARIABLE)
    candidates = [tuple(shlex.split(chosen))] if chosen else [(name,) for name in COMMANDS]
    path = environment.get("PATH")
    return next((each for each in candidates if each and shutil.which(each[0], path=path)), None)


def identified(command: tuple[str, ...]) -> Compiler:
    """Ask a compiler for its version.

    Raises
    ------
    ConfigurationRefusedError
        The compiler does not answer.
    """
    try:
        answer = subprocess.run(
            [*command, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_LIMIT_S,
            check=True,
            env=_plain_environment(),
        )
        first_line = answer.stdout.splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        raise ConfigurationRefusedError(
            f"the C++ compiler {command[0]} does not state its version ({error})"
        ) from error
    return Compiler(command, _without_program(first_line))


def compile_library(
    compiler: Compiler,
    sources: Sequence[Path],
    include_folders: Sequence[Path],
    options: Sequence[str],
    exported: Sequence[str],
) -> bytes:
    """Compile C++ files in parallel and link them into a shared library.

    Parameters
    ----------
    compiler
        The compiler.
    sources
        The files.
    include_folders
        Folders of headers.
    options
        Options for every file.
    exported
        Symbols that the library exports. All others are local, so that the libraries of two levels
        in one process share no static variable.

    Returns
    -------
    bytes
        Content of the library.

    Raises
    ------
    ConfigurationRefusedError
        A file does not compile, or the library cannot be linked. The message holds the first error
        of the compiler.
    """
    includes = [f"-I{folder}" for folder in include_folders]
    with tempfile.TemporaryDirectory(prefix="perfkit-kernels-") as name:
        folder = Path(name)

        def compiled(source: Path) -> Path:
            target = folder / f"{source.stem}.o"
            _run(compiler, [*options, *includes, "-c", str(source), "-o", str(target)], source.name)
            return target

        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            objects = list(pool.map(compiled, sources))
        symbols = folder / "symbols.map"
        listed = "".join(f"{symbol}; " for symbol in exported)
        symbols.write_text(f"{{ global: {listed} local: *; }};\n")
        library = folder / "kernels.so"
        script = f"-Wl,--version-script={symbols}"
        _run(
            compiler,
            [*options, "-shared", *map(str, objects), script, "-o", str(library)],
            "the library",
        )
        return library.read_bytes()


def _run(compiler: Compiler, arguments: Sequence[str], subject: str) -> None:
    try:
        done = subprocess.run(
            [*compiler.command, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=_plain_environment(),
        )
    except OSError as error:
        raise ConfigurationRefusedError(
            f"the native kernels cannot be compiled: {compiler.command[0]} cannot be run "
            f"({error.strerror})"
        ) from error
    if done.returncode != 0:
        raise ConfigurationRefusedError(
            f"the native kernels cannot be compiled: {compiler.command[0]} fails on {subject}: "
            f"{first_error(done.stderr, done.returncode)}"
        )


def first_error(output: str, status: int) -> str:
    """The first line of a compiler's output that reports an error.

    Parameters
    ----------
    output
        What it wrote to its standard error.
    status
        Its exit status, which is reported if it wrote nothing.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    # gcc's driver collect2 reports no more than that the linker failed.
    errors = [line for line in lines if "error:" in line and not line.startswith("collect2")]
    return next(iter(errors or lines), f"exit status {status}")


def _plain_environment() -> dict[str, str]:
    """The environment with messages in English, and without the allocator that a trial preloads."""
    kept = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return kept | {"LC_ALL": "C"}


def _without_program(line: str) -> str:
    """``g++ (Debian 12.2.0-14) 12.2.0`` and the same of ``c++`` without the program's name."""
    first, _, rest = line.partition(" ")
    return rest if rest.startswith("(") else f"{first} {rest}".strip()
