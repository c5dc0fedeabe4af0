"""Every XLA flag that the installed jaxlib accepts, with its stock value.

``XLA_FLAGS=--help`` does not list them all: jaxlib writes the list as one log message, and its log
cuts a message at 15,000 bytes, after about 75 of more than 300 flags. The names are therefore
collected from the strings of jaxlib's shared libraries, and jaxlib itself decides which of them are
flags: it aborts a process with unknown flags or impossible values, and its log names them.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from perfkit.builds import installed_build
from perfkit.cache import Entry, cached_value
from perfkit.errors import UserError
from perfkit.files import JsonData
from perfkit.knobs.inherited import inherited_variables
from perfkit.records.interpreter import Interpreter

FORMAT_VERSION = 2
"""Version of the cached list; raised whenever the list is read differently."""

FLAG_SERVER = """
import json, os, resource, signal, sys, tempfile
from jaxlib import xla_client

# Ctrl-C ends the parent, which ends this process. Aborts must not leave core dumps.
signal.signal(signal.SIGINT, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
for line in sys.stdin:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as log:
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(60)
                os.dup2(log.fileno(), 2)
                os.environ["XLA_FLAGS"] = json.loads(line)
                options = xla_client.CompileOptions().executable_build_options
                output.write(str(options.debug_options).encode())
                output.flush()
                os._exit(0)
            finally:
                os._exit(1)
        accepted = os.waitpid(child, 0)[1] == 0
        texts = []
        for file in (output, log):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    print(json.dumps([accepted, *texts]), flush=True)
"""
"""Program that reads a value of ``XLA_FLAGS`` per line and writes a :class:`Reply` as JSON.

jaxlib parses its flags once per process and aborts over a bad one. The program therefore imports
jaxlib once, which takes most of the time, and parses each value in a child of its own. It ends when
its standard input is closed, so it never outlives its parent.
"""

_NAME = re.compile(rb"(xla_[a-z0-9_]+)\0")
_HELP = re.compile(r"^\s*--(xla_\w+)=(\S*)\s*\t\w+\t", re.MULTILINE)
_FIELD = re.compile(r"^(xla_\w+): (.*)$", re.MULTILINE)
_NOT_TEXT = re.compile(r"for flag (xla_\w+)")
_REFUSED = re.compile(r"(?:for flag |Illegal value for --)(xla_\w+)")
_UNKNOWN = re.compile(r"Unknown flags? in XLA_FLAGS: (.*)")


@dataclass(frozen=True)
class Reply:
    """Output of a process in which jaxlib parsed flags.

    Attributes
    ----------
    accepted
        Whether the process ended well, so that all flags and values are possible.
    output
        Its standard output.
    log
        Its standard error.
    """

    accepted: bool
    output: str
    log: str


type Ask = Callable[[str], Reply]
"""Has jaxlib parse this text as ``XLA_FLAGS`` in a new process, and returns its output."""


def installed_flags(interpreter: Interpreter | None = None) -> dict[str, str]:
    """Name and stock value of every flag of an installed jaxlib.

    An unknown flag aborts the process that XLA runs in, so names are looked up here first. The
    list is read once for each build of jaxlib, which takes a few seconds, and cached.

    Parameters
    ----------
    interpreter
        The Python whose jaxlib is meant; None for this one.

    Raises
    ------
    UserError
        jaxlib is not installed, or its flags cannot be read.
    """
    if interpreter is None:
        return cached_flags(installed_build("jaxlib"), read_flags)
    return cached_flags(interpreter.jaxlib_build, lambda: read_flags(interpreter.python))


@cache
def lacking_flags(
    names: tuple[str, ...], interpreter: Interpreter | None = None
) -> tuple[str, ...]:
    """The flags among ``names`` that a jaxlib does not have, in this order.

    Parameters
    ----------
    names
        Names of flags. Without any, nothing is looked up.
    interpreter
        The Python whose jaxlib is meant; None for this one.

    Raises
    ------
    UserError
        jaxlib is not installed, or its flags cannot be read.
    """
    if not names:
        return ()
    installed = installed_flags(interpreter)
    return tuple(name for name in names if name not in installed)


def lacking_sentence(flags: Sequence[str], jaxlib: str) -> str:
    """Why settings are not possible with a jaxlib that lacks these flags, without a full stop."""
    listed = ", ".join(flags)
    return f"jaxlib {jaxlib} has no flag{'' if len(flags) == 1 else 's'} {listed}"


def cached_flags(build: str | None, read: Callable[[], Mapping[str, str]]) -> dict[str, str]:
    """The flags of one build of jaxlib, from the cache where it holds them.

    Parameters
    ----------
    build
        Version and build of jaxlib, or None where it is not installed.
    read
        Reads the flags.

    Raises
    ------
    UserError
        jaxlib is not installed, or ``read`` finds no flag.
    """
    if build is None:
        raise UserError("jaxlib is not installed: pip install jax")

    def found() -> dict[str, JsonData]:
        flags = read()
        if not flags:
            raise UserError(f"the XLA flags of jaxlib {build} cannot be read")
        return {**flags}

    entry = Entry("xla-flags", "list of XLA flags", {"format": FORMAT_VERSION, "jaxlib": build})
    cached = cached_value(entry, found, _are_flags)
    assert isinstance(cached, Mapping)
    return {name: str(value) for name, value in cached.items()}


def _are_flags(value: JsonData) -> bool:
    return isinstance(value, Mapping) and all(isinstance(flag, str) for flag in value.values())


def read_flags(python: Path | None = None) -> dict[str, str]:
    """The flags of an installed jaxlib, from its libraries and from what it accepts.

    Parameters
    ----------
    python
        The Python whose jaxlib is meant; None for this one.
    """
    folders = subprocess.run(
        [python or sys.executable, "-c", "import jaxlib; print(*jaxlib.__path__, sep='\\n')"],
        env=_server_environment(),
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    libraries = [path for folder in folders for path in Path(folder).glob("*.so")]
    with flag_server(python) as ask:
        return flags_among(names_in(libraries), ask)


def _server_environment() -> dict[str, str]:
    return {**inherited_variables(), "JAX_PLATFORMS": "cpu"}


def names_in(libraries: Iterable[Path]) -> set[str]:
    """Zero-terminated strings of shared libraries that may be names of flags."""
    names: set[str] = set()
    for library in libraries:
        if not library.stat().st_size:
            continue  # An empty file cannot be mapped.
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as m:
            names.update(name.decode() for name in set(_NAME.findall(m)))
    return names


def flags_text(flags: Mapping[str, str]) -> str:
    """The value of ``XLA_FLAGS`` that sets ``flags``, in order of their names."""
    return " ".join(f"--{name}={value}" for name, value in sorted(flags.items()))


@contextlib.contextmanager
def flag_server(python: Path | None = None) -> Iterator[Ask]:
    """A process of an installed jaxlib that parses flags; it ends with the block.

    Parameters
    ----------
    python
        The Python whose jaxlib is meant; None for this one.

    Raises
    ------
    UserError
        The process has ended early, for example because jaxlib cannot be imported.
    """
    executable = str(python or sys.executable)
    process = subprocess.Popen(
        [executable, "-W", "ignore", "-c", FLAG_SERVER],
        env=_server_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    questions, answers = process.stdin, process.stdout
    assert questions is not None
    assert answers is not None

    def ask(text: str) -> Reply:
        with contextlib.suppress(BrokenPipeError):
            questions.write(json.dumps(text) + "\n")
            questions.flush()
        line = answers.readline()
        if not line:
            raise UserError(
                "the XLA flags of jaxlib cannot be read: the process that parses them has ended; "
                f"check that {executable} -c 'import jaxlib.xla_client' works"
            )
        return Reply(*json.loads(line))

    try:
        yield ask
    finally:
        process.kill()
        process.wait()
        answers.close()
        with contextlib.suppress(BrokenPipeError):
            questions.close()


def flags_among(names: Iterable[str], ask: Ask) -> dict[str, str]:
    """The names that are flags, with their stock values.

    Parameters
    ----------
    names
        Candidates, of which many may be no flags.
    ask
        Has the jaxlib in question parse flags.

    Returns
    -------
    dict of str to str
        By name, sorted. A flag's stock value is the one that its help shows, else the one of
        XLA's DebugOptions, which leave out zero, false and empty values.
    """
    in_help = {name: value.strip('"') for name, value in _HELP.findall(ask("--help").log)}
    options = _debug_options(ask("").output)
    # No number and no truth value is written as a question mark, and no number as "true".
    not_text = set(_NOT_TEXT.findall(ask(flags_text(dict.fromkeys(names, "?"))).log))
    numbers = set(_NOT_TEXT.findall(ask(flags_text(dict.fromkeys(not_text, "true"))).log))
    rest = sorted(set(names) - not_text - in_help.keys())
    texts = _known({name: options.get(name, "") for name in rest}, ask)
    zeros = {name: "0" if name in numbers else "false" for name in not_text}
    found = dict.fromkeys(texts, "") | zeros
    found |= {name: value for name, value in options.items() if name in found} | in_help
    return dict(sorted(found.items()))


def _debug_options(text: str) -> dict[str, str]:
    """Values in protobuf's text format; several values of one field are joined by commas."""
    values: dict[str, list[str]] = {}
    for name, value in _FIELD.findall(text):
        values.setdefault(name, []).append(value.strip('"'))
    return {name: ",".join(listed) for name, listed in values.items()}


def _known(flags: Mapping[str, str], ask: Ask) -> set[str]:
    """The names that are flags, whether or not the values are possible.

    jaxlib lists unknown flags only where all values of the others are possible, and does not name
    every flag whose value is not. Where it names none, the flags are halved: a single one that is
    refused without being called unknown is a flag. The log may cut the list of unknown flags, so
    the flags that it does not name are parsed again.
    """
    if not flags:
        return set()
    reply = ask(flags_text(flags))
    if reply.accepted:
        return set(flags)
    unknown = _UNKNOWN.search(reply.log)
    words = [] if unknown is None else unknown[1].split()
    pairs = (word.lstrip("-").partition("=") for word in words)
    not_flags = {name for name, equals, _ in pairs if equals} & flags.keys()
    refused = set(_REFUSED.findall(reply.log)) & flags.keys() - not_flags
    if not_flags or refused:
        judged = not_flags | refused
        return refused | _known({n: v for n, v in flags.items() if n not in judged}, ask)
    if len(flags) == 1:
        return set(flags)
    names = list(flags)
    half = len(names) // 2
    return _known({name: flags[name] for name in names[:half]}, ask) | _known(
        {name: flags[name] for name in names[half:]}, ask
    )
