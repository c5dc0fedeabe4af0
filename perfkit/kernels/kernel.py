"""What a native kernel consists of."""

from __future__ import annotations

from dataclasses import dataclass

TARGET_PREFIX = "perfkit."
"""The FFI target of the handler ``S`` is ``perfkit.S``."""


@dataclass(frozen=True)
class Kernel:
    """A C++ file and the FFI handlers that it defines.

    Attributes
    ----------
    name
        Name of the kernel for messages, for example *transition*.
    source
        Name of the C++ file in ``perfkit/kernels/source``.
    handlers
        Symbols that ``XLA_FFI_DEFINE_HANDLER_SYMBOL`` defines in the file.
    """

    name: str
    source: str
    handlers: tuple[str, ...]
