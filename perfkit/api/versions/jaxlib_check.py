"""The check of jaxlib's answers before the first trial of a call."""

from __future__ import annotations

from perfkit.api.progress import CallProgress
from perfkit.diagnose.standing import is_examined, jaxlib_warning
from perfkit.knobs.configuration import STOCK, Configuration


def jaxlib_warnings(
    progress: CallProgress, configuration: Configuration = STOCK
) -> tuple[str, ...]:
    """The warning to announce before a call's trials, if answers of jaxlib are wrong here.

    The first call on a machine examines jaxlib, which takes about ten seconds.

    Parameters
    ----------
    progress
        Shows that the examination runs.
    configuration
        Configuration of the trials; stock where they have several.
    """
    xla_flags = configuration.environment().get("XLA_FLAGS", "")
    if is_examined(xla_flags):
        warning = jaxlib_warning(xla_flags)
    else:
        with progress.trial("known answers of jaxlib, examined once on this CPU"):
            warning = jaxlib_warning(xla_flags)
    return () if warning is None else (warning,)
