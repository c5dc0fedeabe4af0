"""The observers by name: a new one is one module and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from perfkit.errors import unknown_name
from perfkit.observers.observer import Observer, Place

OBSERVERS = {
    "clocks": "perfkit.observers.clocks:Clocks",
    "cpu": "perfkit.observers.cpu:Cpu",
    "memory": "perfkit.observers.memory:Memory",
    "memray": "perfkit.observers.memray_heap:MemrayHeap",
    "py-spy": "perfkit.observers.py_spy:PySpy",
    "xla": "perfkit.observers.trace.xla_trace:XlaTrace",
    "perf": "perfkit.observers.perf_events:PerfEvents",
}
"""Name and where its class is; imported only when it is asked for."""


def make_observer(name: str) -> Observer:
    """A new observer.

    Raises
    ------
    UserError
        There is none of that name.
    """
    if name not in OBSERVERS:
        raise unknown_name("observer", name, OBSERVERS)
    module, _, kind = OBSERVERS[name].partition(":")
    observer: Observer = getattr(importlib.import_module(module), kind)()
    return observer


def make_observers(names: Iterable[str]) -> list[Observer]:
    """An observer a name, in the order of :data:`OBSERVERS`, each once.

    Raises
    ------
    UserError
        There is none of some name.
    """
    made = {name: make_observer(name) for name in dict.fromkeys(names)}
    return [made[name] for name in OBSERVERS if name in made]


def of_place(observers: Iterable[Observer], place: Place) -> list[Observer]:
    """Those that look at one kind of child."""
    return [observer for observer in observers if observer.place is place]
