"""Loads perfkit's native kernels for a model, or says why there are none here."""

from __future__ import annotations

from perfkit.errors import ConfigurationRefusedError, UserError
from perfkit.kernels.build.levels import LEVEL_VARIABLE, forced_level
from perfkit.models.shared_knobs import KERNELS_NAME, NATIVE


def require_native_kernels(reason: str | None) -> None:
    """Refuse native kernels where a model cannot have them.

    Parameters
    ----------
    reason
        Why it cannot, a clause without a full stop; None if it can.

    Raises
    ------
    UserError
        There is a reason.
    """
    if reason is not None:
        raise UserError(f"knob {KERNELS_NAME!r} cannot be {NATIVE!r} here: {reason}")


def load_native_kernels(reason: str | None) -> tuple[str, ...]:
    """Compile the kernels if necessary and load them, so that tracing finds them.

    Parameters
    ----------
    reason
        Why the model cannot have them; None if it can.

    Returns
    -------
    tuple of str
        A sentence if the user forces a level of instruction sets.

    Raises
    ------
    ConfigurationRefusedError
        There are no kernels here, or they cannot be built or loaded.
    UserError
        The forced level is wrong, or the cache cannot be written.
    """
    # What it imports imports JAX.
    from perfkit.kernels.build.library import load, recipe_here

    if reason is not None:
        raise ConfigurationRefusedError(f"there are no native kernels here: {reason}")
    load(recipe_here())
    level = forced_level()
    if level is None:
        return ()
    return (f"the native kernels are compiled for {level}, as {LEVEL_VARIABLE} says",)
