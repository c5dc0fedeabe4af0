"""The registry lists the sources and their handlers."""

from __future__ import annotations

import re

from perfkit.kernels.build.headers import SOURCE_FOLDER
from perfkit.kernels.registry import KERNELS


def test_every_handler_of_every_source_is_registered_once() -> None:
    defined = {
        source.name: re.findall(
            r"^XLA_FFI_DEFINE_HANDLER_SYMBOL\(\s*(\w+)", source.read_text(), re.M
        )
        for source in SOURCE_FOLDER.glob("*.cc")
    }
    assert {kernel.source: list(kernel.handlers) for kernel in KERNELS} == defined
    handlers = [handler for kernel in KERNELS for handler in kernel.handlers]
    assert len(handlers) == len(set(handlers))
