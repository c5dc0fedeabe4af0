"""Call functions after a program has imported modules of certain names."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

type Callback = Callable[[ModuleType], None]
"""Called with the module that was imported."""


class AfterImport(importlib.abc.MetaPathFinder):
    """Finds modules as usual, and calls functions once they are loaded."""

    def __init__(self) -> None:
        """Start without any module to wait for."""
        self._callbacks: dict[str, list[Callback]] = {}

    def call(self, name: str, callback: Callback) -> None:
        """Call a function once a module is imported, at once if it is imported already.

        Parameters
        ----------
        name
            Full name of the module.
        callback
            Called once, after the module was executed without an error. Several functions are
            called in the order of these requests.
        """
        loaded = sys.modules.get(name)
        if loaded is not None:
            callback(loaded)
        else:
            self._callbacks.setdefault(name, []).append(callback)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module with the other finders; see :class:`importlib.abc.MetaPathFinder`."""
        if fullname not in self._callbacks:
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: importlib.machinery.ModuleSpec | None = find and find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _CallingLoader(spec.loader, self._imported)
                return spec
        return None

    def _imported(self, module: ModuleType) -> None:
        for callback in self._callbacks.pop(module.__name__, ()):
            callback(module)


class _CallingLoader(importlib.abc.Loader):
    """Loads a module with its own loader, which it keeps, then calls a function."""

    def __init__(self, loader: importlib.abc.Loader, imported: Callback) -> None:
        self._loader = loader
        self._imported = imported

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._imported(module)
