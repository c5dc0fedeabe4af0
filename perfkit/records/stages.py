"""The stages of a trial."""

from __future__ import annotations

from enum import StrEnum


class StageName(StrEnum):
    """A stage of a trial, in the order in which a trial goes through them."""

    IMPORT = "import"
    """Import JAX and the model, and load the weights."""
    PREPARE = "prepare"
    """Build the model's arguments from the input."""
    TRACE = "trace"
    """Trace the model to a computation."""
    COMPILE = "compile"
    """Compile the computation, or read it from the compilation cache."""
    FIRST = "first"
    """The warm-up pass; its time is never compared."""
    STEADY = "steady"
    """A timed pass; a trial has as many as were requested."""
    CHECK = "check"
    """Check the answer, compare it with the reference, and write it."""


STARTUP_STAGES = (StageName.IMPORT, StageName.PREPARE, StageName.TRACE, StageName.COMPILE)
"""The stages before the first pass, each once per process."""

PASS_STAGES = (StageName.FIRST, StageName.STEADY)
"""The stages that predict; their times are divided by one another."""

LAST_STAGE = StageName.CHECK
"""The stage after which nothing is left to do."""
