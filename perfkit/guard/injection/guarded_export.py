"""Replacements of the functions of JAX that export and serialize, which accept guarded ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from perfkit.guard.injection.guarded_jit import GuardedFunction, GuardedStage


def make_guarded_export(plain_export: Callable[..., Any]) -> Callable[..., Any]:
    """Make a replacement of ``jax.export.export`` that also accepts guarded functions."""

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
    """Make a replacement of ``serialize_executable.serialize`` that accepts guarded functions."""

    @functools.wraps(plain_serialize)
    def serialize(compiled: Any) -> Any:
        if isinstance(compiled, GuardedStage):
            compiled = compiled.uncounted("serialized")
        return plain_serialize(compiled)

    return serialize
