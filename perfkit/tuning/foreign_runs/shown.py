"""A preset as text for use without perfkit: variables, shell scripts, Python."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from perfkit.errors import unknown_name
from perfkit.knobs.allocators import PRELOAD
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.knobs.knob import Layer
from perfkit.printable import printable
from perfkit.tuning.preset import Preset
from perfkit.units import count_text

XLA_FLAGS = "XLA_FLAGS"

_CACHE_COMMENT = (
    "JAX keeps compiled programs for the next run if JAX_COMPILATION_CACHE_DIR names a folder."
)


@dataclass(frozen=True)
class _Parts:
    """What a preset consists of outside perfkit.

    Attributes
    ----------
    variables
        Environment variables, without those below.
    flags
        Value of ``XLA_FLAGS``; empty without flags.
    library
        Path of the library to preload; empty without one.
    cpus
        Number of CPUs; None for all.
    comments
        What the preset is, and what has no counterpart.
    """

    variables: Mapping[str, str]
    flags: str
    library: str
    cpus: int | None
    comments: tuple[str, ...]


def shown_preset(preset: Preset, form: str) -> str:
    """The settings of a preset in a form that works without perfkit.

    Parameters
    ----------
    preset
        The preset.
    form
        A key of :data:`FORMS`.

    Returns
    -------
    str
        Lines that end with a line break. What has no counterpart is in comments.

    Raises
    ------
    UserError
        There is no such form.
    """
    if form not in FORMS:
        raise unknown_name("form", form, FORMS)
    return "\n".join(FORMS[form](_parts(preset))) + "\n"


def _parts(preset: Preset) -> _Parts:
    configuration = preset.configuration
    variables = configuration.environment()
    cpus = configuration.of_layer(Layer.CPUS).get(CPUS_KNOB.name)
    comments = [f"perfkit preset for {preset.model}: {configuration.label}"]
    missing = configuration.unavailable()
    if missing is not None:
        comments.append(f"Not included: {missing}.")
    overrides = configuration.overrides()
    if overrides:
        settings = ", ".join(f"{name}={value}" for name, value in overrides.items())
        comments.append(
            f"Not included, because they are settings of the model and no variables: {settings}. "
            "'perfkit exec --preset' applies them."
        )
    return _Parts(
        variables={
            name: value for name, value in variables.items() if name not in (XLA_FLAGS, PRELOAD)
        },
        flags=variables.get(XLA_FLAGS, ""),
        library=variables.get(PRELOAD, ""),
        cpus=None if cpus is None else int(cpus),
        comments=(*comments, _CACHE_COMMENT),
    )


def _env(parts: _Parts) -> list[str]:
    """Lines NAME=value, as ``docker run --env-file`` reads them: values are not quoted."""
    comments = list(parts.comments)
    if parts.cpus is not None:
        comments.append(
            f"The {count_text(parts.cpus, 'CPU')} cannot be chosen with a variable: start the "
            f"command with 'taskset -c {_range(parts.cpus)}'."
        )
    return [*_commented(comments), *(f"{name}={value}" for name, value in _all(parts).items())]


def _bash(parts: _Parts) -> list[str]:
    """Lines for a shell script or for ``source``."""
    bound = [] if parts.cpus is None else [f'taskset -cp {_range(parts.cpus)} "$$" > /dev/null']
    return ["# shellcheck shell=bash", *_commented(parts.comments), *bound, *_exports(parts)]


def _slurm(parts: _Parts) -> list[str]:
    """A batch script: ``sbatch FILE CMD``."""
    options = [] if parts.cpus is None else [f"#SBATCH --cpus-per-task={parts.cpus}"]
    usage = "Submit it with the command to run: sbatch THIS_FILE CMD..."
    return [
        "#!/bin/bash",
        *options,
        *_commented([usage, *parts.comments]),
        *_exports(parts),
        'srun "$@"',
    ]


def _docker(parts: _Parts) -> list[str]:
    """A shell script that runs a container: ``bash FILE IMAGE CMD``."""
    usage = "Run it with the image and the command: bash THIS_FILE IMAGE CMD..."
    comments = [usage, *parts.comments]
    if parts.library:
        comments.append(f"The image has to contain {parts.library}.")
    words = [f"--env {shlex.quote(f'{name}={value}')}" for name, value in _all(parts).items()]
    if parts.cpus is not None:
        words.append(f"--cpuset-cpus {_range(parts.cpus)}")
    lines = ["docker run", *words, '"$@"']
    return [
        "#!/bin/bash",
        *_commented(comments),
        *(f"{'' if number == 0 else '  '}{line} \\" for number, line in enumerate(lines[:-1])),
        f"  {lines[-1]}",
    ]


def _python(parts: _Parts) -> list[str]:
    """Lines for the begin of a Python program."""
    comments = ["To run before JAX is imported.", *parts.comments]
    if parts.library:
        comments.append(
            "Python cannot load an allocator into a running process: start it with "
            f"{PRELOAD}={parts.library}."
        )
    lines = [*_commented(comments), "import os", ""]
    if parts.flags:
        lines.append(
            f'os.environ["{XLA_FLAGS}"] = " ".join(\n'
            f'    [os.environ.get("{XLA_FLAGS}", ""), {json.dumps(parts.flags)}]\n'
            ").strip()"
        )
    lines += [
        f"os.environ[{json.dumps(name)}] = {json.dumps(value)}"
        for name, value in parts.variables.items()
    ]
    if parts.cpus is not None:
        lines.append(f"os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{parts.cpus}])")
    return lines


FORMS: Mapping[str, Callable[[_Parts], list[str]]] = {
    "env": _env,
    "bash": _bash,
    "slurm": _slurm,
    "docker": _docker,
    "python": _python,
}
"""Forms in which a preset is shown."""


def _all(parts: _Parts) -> dict[str, str]:
    """All variables, for forms that replace what is set already."""
    joined = {XLA_FLAGS: parts.flags, PRELOAD: parts.library}
    return {**parts.variables, **{name: value for name, value in joined.items() if value}}


def _exports(parts: _Parts) -> list[str]:
    """Lines that set the variables, and keep flags and libraries that are set already."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in parts.variables.items()]
    if parts.flags:
        kept = f'"${{{XLA_FLAGS}:+${XLA_FLAGS} }}"'
        lines.append(f"export {XLA_FLAGS}={kept}{shlex.quote(parts.flags)}")
    if parts.library:
        kept = f'"${{{PRELOAD}:+:${PRELOAD}}}"'
        lines.append(f"export {PRELOAD}={shlex.quote(parts.library)}{kept}")
    return lines


def _range(cpus: int) -> str:
    """The first CPUs of a machine, as taskset and docker take them."""
    return "0" if cpus == 1 else f"0-{cpus - 1}"


def _commented(lines: Iterable[str]) -> list[str]:
    return [f"# {printable(line)}" for line in lines]
