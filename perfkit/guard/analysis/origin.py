"""Where in a program something comes from: plain data, known without JAX."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Origin:
    """The line of the program that an equation was traced from.

    Attributes
    ----------
    file, line, function
        The innermost frame outside JAX; file is ``unknown`` and line 0 where JAX kept none.
    module_path
        JAX's name stack: the modules and transformations around the line.
    """

    file: str
    line: int
    function: str
    module_path: str

    def below(self, outer: str) -> Origin:
        """The same line, reached through the module path ``outer``."""
        return dataclasses.replace(self, module_path=join_path(outer, self.module_path))


def join_path(outer: str, inner: str) -> str:
    """Two module paths, one below the other; either may be empty."""
    return "/".join(part for part in (outer, inner) if part)
