"""A Python to run trials with, and the packages that it finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Interpreter:
    """A Python of another environment than the running one.

    Attributes
    ----------
    python
        Its executable.
    python_version
        Version of Python, e.g. ``3.12.1``.
    versions
        Pairs of distribution and version: those of :data:`perfkit.records.machine.PACKAGES` that
        it finds.
    builds
        Pairs of distribution and :func:`perfkit.builds.installed_build`, in the same order.
    """

    python: Path
    python_version: str
    versions: tuple[tuple[str, str], ...]
    builds: tuple[tuple[str, str], ...]

    @property
    def jaxlib_build(self) -> str | None:
        """Build of jaxlib; None where it is not installed."""
        return dict(self.builds).get("jaxlib")

    @property
    def jaxlib(self) -> str:
        """Version of jaxlib; empty where it is not installed."""
        return dict(self.versions).get("jaxlib", "")
