"""WHAT runs: the models, by name."""

from __future__ import annotations

from collections.abc import Callable

from perfkit.errors import unknown_name
from perfkit.models.base import Model


def _af3() -> Model:
    from perfkit.models.af3.model import AlphaFold3

    return AlphaFold3()


def _gencast() -> Model:
    from perfkit.models.gencast.model import GenCast

    return GenCast()


SMALLEST_MODEL = "gencast"
"""Model whose small input starts fastest, to look at a machine rather than at a model."""

_MODELS: dict[str, Callable[[], Model]] = {"af3": _af3, "gencast": _gencast}


def model_names() -> tuple[str, ...]:
    """The names that :func:`get_model` takes."""
    return tuple(_MODELS)


def get_model(name: str) -> Model:
    """The model called ``name``; importing it does not import JAX.

    Raises
    ------
    UserError
        There is no such model.
    """
    if name not in _MODELS:
        raise unknown_name("model", name, _MODELS)
    return _MODELS[name]()
