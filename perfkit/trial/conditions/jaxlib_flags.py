"""Whether the jaxlib of a trial has the flags of its configuration."""

from __future__ import annotations

from perfkit.knobs.installed_flags import lacking_flags, lacking_sentence
from perfkit.knobs.knob import Layer
from perfkit.records.machine import package_versions
from perfkit.trial.request import TrialRequest


def why_flags_are_lacking(request: TrialRequest) -> str | None:
    """Why jaxlib cannot take the flags of a configuration, which would abort the child.

    Parameters
    ----------
    request
        Request for the trial.

    Returns
    -------
    str or None
        None if jaxlib has all flags.

    Raises
    ------
    UserError
        The flags of jaxlib cannot be read.
    """
    interpreter = request.interpreter
    flags = lacking_flags(tuple(request.configuration.of_layer(Layer.XLA)), interpreter)
    if not flags:
        return None
    versions = package_versions() if interpreter is None else dict(interpreter.versions)
    return lacking_sentence(flags, str(versions.get("jaxlib")))
