"""Observers by name. A new observer is one module and one line in this table."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from perfkit.errors import unknown_name
from perfkit.observers.observer import Observer, Process

OBSERVERS = {
    "clocks": "perfkit.observers.clocks:Clocks",
    "cpu": "perfkit.observers.cpu:Cpu",
    "memory": "perfkit.observers.memory:Memory",
    "memray": "perfkit.observers.memray_heap:MemrayHeap",
    "py-spy": "perfkit.observers.py_spy:PySpy",
    "xla": "perfkit.observers.trace.xla_trace:XlaTrace",
    "products": "perfkit.observers.products.observer:Products",
    "perf": "perfkit.observers.perf_events:PerfEvents",
}
"""Module and class by name; a module is imported only when its observer is used."""


def make_observer(name: str) -> Observer:
    """Make an observer by its name.

    Raises
    ------
    UserError
        There is no observer with this name.
    """
    if name not in OBSERVERS:
        raise unknown_name("observer", name, OBSERVERS)
    module, _, kind = OBSERVERS[name].partition(":")
    observer: Observer = getattr(importlib.import_module(module), kind)()
    return observer


def make_observers(names: Iterable[str]) -> list[Observer]:
    """Make each named observer once, in the order of :data:`OBSERVERS`.

    Raises
    ------
    UserError
        There is no observer with one of the names.
    """
    made = {name: make_observer(name) for name in dict.fromkeys(names)}
    return [made[name] for name in OBSERVERS if name in made]


def of_process(observers: Iterable[Observer], process: Process) -> list[Observer]:
    """The observers of one kind of process."""
    return [observer for observer in observers if observer.process is process]
