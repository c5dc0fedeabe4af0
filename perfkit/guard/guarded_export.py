"""Replacements of what exports and serialises compiled programs, which take guarded ones too."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from perfkit.guard.guarded_jit import GuardedFunction, GuardedStage


def make_guarded_export(plain_export: Callable[..., Any]) -> Callable[..., Any]:
    """A replacement of ``jax.export.export``, which takes guarded functions too."""

    @functools.wraps(plain_export)
    def export(function: Any, **options: Any) -> Any:
        if not isinstance(function, GuardedFunction):
            return plain_export(function, **options)

        def of_shapes(*args: Any, **kwargs: Any) -> Any:
            return function.uncounted(
                "exported", lambda plain: plain_export(plain, **options)(*args, **kwargs)
            )

        return of_shapes

    return export


def make_guarded_serialize(plain_serialize: Callable[..., Any]) -> Callable[..., Any]:
    """A replacement of ``serialize_executable.serialize``, which takes guarded ones too."""

    @functools.wraps(plain_serialize)
    def serialize(compiled: Any) -> Any:
        if isinstance(compiled, GuardedStage):
            compiled = compiled.uncounted("serialized")
        return plain_serialize(compiled)

    return serialize
