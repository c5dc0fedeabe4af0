"""Why a trial was run."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The purpose of a trial in its study; part of its record."""

    SINGLE = "single"
    REFERENCE = "reference"
    """Float32, otherwise stock: other answers are held against this one's."""
    BASE = "base"
    """The incumbent that candidates are screened against."""
    SCREEN = "screen"
    """A candidate, in turns with the incumbent."""
    CONFIRM = "confirm"
    """Stock or a finalist, in a process of its own for one confirmation block."""
    PARTS = "parts"
    """Traced, for the seconds of each part of the model."""
    CHECK = "check"
    """A longer run that an extrapolation is held against."""
    SWEEP = "sweep"
    """A cell of a sweep, in turns with its first configuration."""
    STABILITY = "stability"
    """A compiler setting of a stability matrix."""
    HELD_OUT = "held_out"
    """A size that a fit of laws leaves out and is judged by."""
    CPUS = "cpus"
    """Fewer CPUs than the machine has."""
    TOGETHER = "together"
    """Several instances at once."""
    COMPILED = "compiled"
    """Compiled and not run."""
    CACHED = "cached"
    """Compiled with a persistent cache."""


OTHER_FIDELITY = (Role.PARTS, Role.CHECK)
"""Roles of trials at other fidelities than the study's."""
