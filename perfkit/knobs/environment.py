"""The environment of a trial's process: built from its configuration, not taken from a shell."""

from __future__ import annotations

import os
from collections.abc import Mapping

from perfkit.knobs.configuration import Configuration
from perfkit.knobs.inherited import (
    COMPILER_FAMILIES,
    RECORDED,
    REMEDIES,
    changes_computation,
    inherited_variables,
    redacted,
)

PLATFORM = {"JAX_PLATFORMS": "cpu"}
"""Keeps JAX from looking for accelerators first."""


def child_environment(
    configuration: Configuration,
    inherited: Mapping[str, str] | None = None,
    *,
    with_options: bool = False,
) -> dict[str, str]:
    """The variables of a trial: inherited ones, and those that its configuration sets.

    Parameters
    ----------
    configuration
        Configuration of the trial.
    inherited
        The environment to start from; that of this process by default.
    with_options
        Whether the trial compiles with :meth:`Configuration.compiler_options`. Its process is then
        started without these flags, so that trials with other values can share it.
    """
    own = configuration.process_environment() if with_options else configuration.environment()
    return inherited_variables(inherited) | PLATFORM | own


def left_out_variables(
    configuration: Configuration, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Variables of known effect that are set here and do not reach a trial unchanged.

    Returns
    -------
    dict of str to str
        By name; values as :func:`perfkit.knobs.inherited.redacted` shows them.
    """
    base = os.environ if inherited is None else inherited
    made = child_environment(configuration, base)
    return {
        name: redacted(name, base[name])
        for name in sorted(base)
        if changes_computation(name, base[name]) and made.get(name) != base[name]
    }


def passed_on_variables(inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables that a trial inherits and that decide which code it runs, by name."""
    kept = inherited_variables(inherited)
    return {name: redacted(name, kept[name]) for name in sorted(RECORDED & kept.keys())}


def environment_sentences(
    configuration: Configuration, inherited: Mapping[str, str] | None = None
) -> list[str]:
    """Warnings on variables that are set here: those dropped, and those passed on."""
    left = left_out_variables(configuration, inherited)
    sentences = []
    if left:
        sentences.append(f"set here, but left out of trials: {_listed(left)}")
    kept = passed_on_variables(inherited)
    if remedies := {name: kept[name] for name in REMEDIES if name in kept}:
        sentences.append(
            f"passed on to trials: {_listed(remedies)}; NumPy needs this on some processors, and "
            "no timed pass depends on it"
        )
    return sentences


def preset_conflicts(configuration: Configuration, inherited: Mapping[str, str]) -> list[str]:
    """Sentences on the differences between a command's variables and a preset.

    Unlike a trial, a command that a preset is applied to keeps the variables of its user; only
    those that the preset sets are replaced.

    Parameters
    ----------
    configuration
        Configuration of the preset.
    inherited
        Environment of the command, before the preset is applied.
    """
    sets = configuration.environment()
    preset_flags = _flags(sets.get("XLA_FLAGS", ""))
    own_flags = _flags(inherited.get("XLA_FLAGS", ""))
    sentences = [
        f"XLA_FLAGS sets {name}={own_flags[name]}; the preset's {preset_flags[name]} is used"
        for name in own_flags.keys() & preset_flags.keys()
        if own_flags[name] != preset_flags[name]
    ]
    sentences += [
        f"{name}={redacted(name, inherited[name])} was set; the preset's {value} is used"
        for name, value in sets.items()
        if name not in ("XLA_FLAGS", "LD_PRELOAD") and inherited.get(name, value) != value
    ]
    others = {
        name: f"--{name}={value}" for name, value in own_flags.items() if name not in preset_flags
    }
    foreign = left_out_variables(configuration, inherited)
    unmeasured = {
        name: value
        for name, value in foreign.items()
        if name.startswith(COMPILER_FAMILIES) and name not in (*sets, "XLA_FLAGS")
    }
    if "LD_PRELOAD" in sets and "LD_PRELOAD" in foreign:
        unmeasured["LD_PRELOAD"] = foreign["LD_PRELOAD"]
    if others:
        unmeasured["XLA_FLAGS"] = " ".join(others.values())
    if unmeasured:
        sentences.append(
            "the preset was measured without these, which may change time and answer: "
            f"{_listed(unmeasured)}"
        )
    return sorted(sentences)


def _flags(text: str) -> dict[str, str]:
    """Flags in ``XLA_FLAGS``, the last of each name; a flag without a value is true."""
    pairs = (word.lstrip("-").partition("=") for word in text.split())
    return {name: value if equals else "true" for name, equals, value in pairs}


def _listed(variables: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in variables.items())
