"""Purposes of trials."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Purpose of a trial in its study.

    Roles are part of the schema of records: a new role raises
    :data:`perfkit.records.schema.SCHEMA_VERSION`.
    """

    SINGLE = "single"
    REFERENCE = "reference"
    """Stock in float32: the answers of all other trials are compared with its answer."""
    BASE = "base"
    """The incumbent that candidates are screened against."""
    SCREEN = "screen"
    """A candidate, interleaved with the incumbent."""
    CONFIRM = "confirm"
    """Stock or a finalist, in a new process for each confirmation block."""
    PARTS = "parts"
    """A traced trial, for the seconds of each part of the model."""
    CHECK = "check"
    """A longer run that an extrapolation is compared with."""
    SWEEP = "sweep"
    """A cell of a sweep, interleaved with the first configuration of its row."""
    STABILITY = "stability"
    """A compiler setting of a stability matrix."""
    HELD_OUT = "held_out"
    """A size that is left out of a fit and used to assess its error."""
    CPUS = "cpus"
    """A trial on fewer CPUs than the machine has."""
    TOGETHER = "together"
    """One of several instances that run at the same time."""
    COMPILED = "compiled"
    """A program that is compiled and not run."""
    CACHED = "cached"
    """A program that is compiled with a persistent compilation cache."""
    FULL_FIDELITY = "full_fidelity"
    """A run at production fidelity that a plan is compared with."""
    FOREIGN = "foreign"
    """A command of the user, whose only pass is the whole command."""


OTHER_FIDELITY = (Role.PARTS, Role.CHECK)
"""Roles of trials that do not run at the fidelity of the study."""

NOT_COMPARED = (*OTHER_FIDELITY, Role.TOGETHER)
"""Roles of trials whose times are not compared with those of the other trials of a study."""
