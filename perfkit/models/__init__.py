"""WHAT runs: the models, by name.

Other packages add a model through an entry point in the group ``perfkit.models``. Its name is the
name of the model; its object, when called, returns a :class:`perfkit.models.base.Model`::

    [project.entry-points."perfkit.models"]
    mymodel = "mypackage.model:MyModel"

Trials run in processes of their own; they find the model in the same way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from perfkit.errors import UserError, unknown_name

if TYPE_CHECKING:
    from perfkit.models.base import Model

ENTRY_POINTS = "perfkit.models"
"""Group of the entry points that add a model."""

DEFAULT_MODEL = "af3"
"""Model of a command line that names none."""

SMALLEST_MODEL = "gencast"
"""Model whose small input starts fastest, for measuring the machine rather than a model."""


def _af3() -> Model:
    from perfkit.models.af3.model import AlphaFold3

    return AlphaFold3()


def _gencast() -> Model:
    from perfkit.models.gencast.model import GenCast

    return GenCast()


_MODELS: dict[str, Callable[[], Model]] = {"af3": _af3, "gencast": _gencast}
"""Name -> factory. A new model is a folder of its own, a factory and an entry here."""


def model_names() -> tuple[str, ...]:
    """Return the names that :func:`get_model` takes: perfkit's own, then those of other packages.

    A name of perfkit's own cannot be taken by another package.
    """
    return tuple(dict.fromkeys((*_MODELS, *_installed(tuple(sys.path)))))


def get_model(name: str) -> Model:
    """Return the model called ``name``. Importing it does not import JAX.

    Raises
    ------
    UserError
        There is no such model, or the package that adds it cannot be imported.
    """
    if name in _MODELS:
        return _MODELS[name]()
    installed = _installed(tuple(sys.path))
    if name not in installed:
        raise unknown_name("model", name, model_names())
    return _loaded(installed[name])


@cache
def _installed(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Return the entry points on ``sys.path``, the key of the cache; the first of a name counts."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=ENTRY_POINTS):
        found.setdefault(point.name, point)
    return found


def _loaded(point: EntryPoint) -> Model:
    try:
        make: Callable[[], Model] = point.load()
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist is not None else point.module
        raise UserError(
            f"the model {point.name!r} of the package {package} cannot be imported ({error}): "
            "install the package again, or remove it"
        ) from error
    return make()
