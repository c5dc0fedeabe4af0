"""Finds child processes that run JAX without perfkit's hook.

The hook reaches a process through its environment. A process that is started with another
environment (``env -i``), in isolated mode (``python -I``) or by an interpreter without perfkit's
dependencies does not get it, and leaves no journal. Such a process is recognised from outside, by
the libraries of JAX in its memory map.
"""

from __future__ import annotations

import dataclasses
import threading
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

POLL_INTERVAL_S = 0.2
"""Seconds between two looks. Importing JAX takes longer, so no process that uses it is missed."""

_LIBRARY = "/jaxlib/"


@dataclasses.dataclass(frozen=True)
class JaxProcess:
    """A process in which JAX was loaded.

    Attributes
    ----------
    pid
        Process id.
    command
        Command line.
    has_plan
        Whether it was started with the environment of the hook.
    """

    pid: int
    command: str
    has_plan: bool


class ProcessWatch:
    """Context manager that watches a process and all its descendants.

    Parameters
    ----------
    pid
        Process id of the process.
    variable
        Name of an environment variable that all processes with the hook have.
    descendants
        Returns the ids of a process and of all its descendants.
    """

    def __init__(
        self, pid: int, variable: str, descendants: Callable[[int], Sequence[int]]
    ) -> None:
        """Prepare the watch; it starts when the context is entered."""
        self._descendants = descendants
        self._variable = variable
        self._known = {pid}
        self._found: dict[int, JaxProcess] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Start watching."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()

    def jax_processes(self) -> list[JaxProcess]:
        """Return the processes in which JAX was found so far."""
        return list(self._found.values())

    def _watch(self) -> None:
        while not self._stop.wait(POLL_INTERVAL_S):
            for pid in tuple(self._known):
                if not (Path("/proc") / str(pid)).exists():
                    self._known.discard(pid)
                    continue
                # A process whose parent has ended is no descendant of the command any more.
                self._known.update(self._descendants(pid))
                if pid not in self._found:
                    self._inspect(pid)

    def _inspect(self, pid: int) -> None:
        folder = Path("/proc") / str(pid)
        try:
            if _LIBRARY not in (folder / "maps").read_text(errors="replace"):
                return
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").strip()
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            # The process ended, or it belongs to another user.
            return
        prefix = f"{self._variable}=".encode()
        has_plan = any(entry.startswith(prefix) for entry in environment)
        self._found[pid] = JaxProcess(pid, command.decode(errors="replace"), has_plan)
