"""Reads from a traced program where its equations come from."""

from __future__ import annotations

import re

from jax.extend import source_info_util
from jax.extend.core import JaxprEqn

from perfkit.guard.analysis.origin import Origin

_FRAME = re.compile(r"^(?P<file>.*?):(?P<line>\d+)(?::[\d-]+)?(?: \((?P<function>.*)\))?$")


def origin_of(equation: JaxprEqn) -> Origin:
    """Read file, line, function and name stack from an equation's source information."""
    match = _FRAME.match(source_info_util.summarize(equation.source_info))
    path = str(equation.source_info.name_stack)
    if match is None:
        return Origin("unknown", 0, "", path)
    return Origin(match["file"], int(match["line"]), match["function"] or "", path)
