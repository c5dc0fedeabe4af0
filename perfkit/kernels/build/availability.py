"""Whether this machine can have native kernels. Imports no JAX and compiles nothing."""

from __future__ import annotations

from perfkit.kernels.build.compiler import COMMANDS, COMPILER_VARIABLE, command_here
from perfkit.kernels.build.headers import FFI_HEADER, has_headers
from perfkit.kernels.build.levels import LEVELS, levels_here


def why_no_kernels() -> str | None:
    """Why there are no native kernels here: a clause without a full stop; None where there are."""
    if not levels_here():
        return f"the CPU has no {'/'.join(sorted(LEVELS[0].needs))} (x86-64)"
    if command_here() is None:
        return (
            f"there is no C++ compiler ({', '.join(COMMANDS)}); install g++, or set "
            f"{COMPILER_VARIABLE}"
        )
    if not has_headers():
        return f"the installed jaxlib has no header {FFI_HEADER}"
    return None
