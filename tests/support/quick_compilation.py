"""Compilation that takes half the time, for tests that compare what a program returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

UNOPTIMISED = {"xla_backend_optimization_level": 0}
"""LLVM optimises nothing: a program of a model then takes half the CPU time to compile, and a few
times as long to run. The programs are those of the model; only their machine code is slower."""


def quick_jit(function: Callable[..., Any]) -> Any:
    """Like :func:`jax.jit`, compiled without optimisation by LLVM."""
    return jax.jit(function, compiler_options=UNOPTIMISED)
