"""Reads the source line of an equation, and traces new operations under that line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from jax.extend import source_info_util
from jax.extend.core import JaxprEqn

from perfkit.guard.analysis.origin import Origin

_FRAME = re.compile(r"^(?P<file>.*?):(?P<line>\d+)(?::[\d-]+)?(?: \((?P<function>.*)\))?$")


def origin_of(equation: JaxprEqn) -> Origin:
    """Return file, line, function and name stack from an equation's source information."""
    match = _FRAME.match(source_info_util.summarize(equation.source_info))
    path = str(equation.source_info.name_stack)
    if match is None:
        return Origin("unknown", 0, "", path)
    return Origin(match["file"], int(match["line"]), match["function"] or "", path)


@contextlib.contextmanager
def in_place_of(equation: JaxprEqn, inside: str = "") -> Iterator[None]:
    """Trace the operations of the block as if they stood in place of an equation.

    Parameters
    ----------
    equation
        Gives the source line, the name stack and the context (precision, device kind).
    inside
        A name to add to the name stack, for the programs that the equation holds.
    """
    stack = source_info_util.current_name_stack() + equation.source_info.name_stack
    if inside:
        stack = stack.extend(inside)
    with (
        source_info_util.user_context(equation.source_info.traceback, name_stack=stack),
        equation.ctx.manager,
    ):
        yield
