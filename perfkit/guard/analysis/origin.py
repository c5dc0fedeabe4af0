"""The source line of an equation, as plain data that needs no JAX."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Origin:
    """The line of the program that an equation was traced from.

    Attributes
    ----------
    file, line, function
        The innermost frame outside JAX; file is ``unknown`` and line 0 if JAX kept no frame.
    module_path
        JAX's name stack: the modules and transformations around the line, for example
        ``jit(sampler)/scan/body``.
    """

    file: str
    line: int
    function: str
    module_path: str

    def below(self, outer: str) -> Origin:
        """Return the same line, reached through the module path ``outer``."""
        return dataclasses.replace(self, module_path=join_path(outer, self.module_path))


def join_path(outer: str, inner: str) -> str:
    """Join two module paths, the second below the first; either may be empty."""
    return "/".join(part for part in (outer, inner) if part)


def in_hlo(path: str) -> str:
    """A module path with the names that optimised HLO gives to loops."""
    return path.replace("scan/body", "while/body")
