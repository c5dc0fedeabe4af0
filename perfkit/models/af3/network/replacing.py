"""Replaces variables of the network's modules for the time of a trace."""

from __future__ import annotations

import contextlib
import importlib
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def changed(module: str, variables: Mapping[str, Any]) -> Iterator[None]:
    """Change variables of a module of the network in this block.

    Parameters
    ----------
    module
        Full name of the module, which is imported.
    variables
        Variable of the module -> value. Each is restored at the end.
    """
    place = importlib.import_module(module)
    before = {name: getattr(place, name) for name in variables}
    try:
        for name, value in variables.items():
            setattr(place, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(place, name, value)


def subclass(base: Any, make_call: Callable[[Any], Callable[..., Any]]) -> Any:
    """Return a Haiku module like ``base`` that computes what ``make_call`` makes of it."""
    call = make_call(base)
    return types.new_class(
        base.__name__, (base,), exec_body=lambda namespace: namespace.update(__call__=call)
    )
