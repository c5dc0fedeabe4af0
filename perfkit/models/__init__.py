"""The models that perfkit runs, by name."""

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
"""Name -> factory. A new model is a folder of its own, a factory and an entry here."""


def model_names() -> tuple[str, ...]:
    """Return the names of all models."""
    return tuple(_MODELS)


def get_model(name: str) -> Model:
    """Return the model called ``name``, without importing JAX.

    Raises
    ------
    UserError
        There is no model of that name; the message names the nearest one.
    """
    if name not in _MODELS:
        raise unknown_name("model", name, _MODELS)
    return _MODELS[name]()
