"""The files of a traced pass in the folder of its child, and the pass as spans."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from perfkit.observers.products.counting import CountedProduct, read_products
from perfkit.observers.products.joining import with_kernels
from perfkit.observers.trace.attribution import Span, attribute
from perfkit.observers.trace.events import clock_offset_s, read_trace, trace_file, trace_of
from perfkit.observers.trace.hlo import HloModule

TRACE_FOLDER = "trace"
HLO_FILE = "optimised.hlo.txt"
MARK_FILE = "pass.json"
PRODUCTS_FILE = "products.json"
"""Files that the child writes: the profiler's trace, the optimised program, the begin of the pass
on the monotonic clock, and the products of the traced program."""

PERFETTO_FILE = "xla.perfetto-trace.json.gz"

UNNAMED = "no module"
"""Module of the time before the first operation that belongs to a module."""

MOST_EVENTS = 1_000_000
"""The profiler writes at most this number of events into its file."""


@dataclass(frozen=True)
class TracedPass:
    """One traced pass.

    Attributes
    ----------
    spans
        The pass as consecutive spans, one for each run of an operation, owned by modules.
    program
        The optimised program that ran.
    products
        Matrix products of the traced program.
    offset_s
        Seconds to add to a moment of the trace for the moment on the monotonic clock.
    complete
        Whether the trace holds the whole pass.
    """

    spans: list[Span]
    program: HloModule
    products: list[CountedProduct]
    offset_s: float
    complete: bool

    @property
    def seconds(self) -> float:
        """Seconds from the begin of the first operation to the end of the last."""
        return self.spans[-1].end_s - self.spans[0].begin_s if self.spans else 0.0


def has_traced_pass(folder: Path) -> bool:
    """Whether the traced pass in this folder ran to its end."""
    return (folder / MARK_FILE).exists()


def kept_trace(folder: Path) -> Path:
    """The trace as a file for Perfetto; the other files of the profiler are removed.

    Raises
    ------
    PerfkitError
        The profiler left no trace.
    """
    perfetto = folder / PERFETTO_FILE
    if not perfetto.exists():
        shutil.copyfile(trace_file(folder / TRACE_FOLDER), perfetto)
        shutil.rmtree(folder / TRACE_FOLDER)
    return perfetto


def read_traced_pass(folder: Path, module_of: Callable[[str], str | None]) -> TracedPass:
    """Read the traced pass in a folder.

    Parameters
    ----------
    folder
        Folder of a child whose traced pass has ended.
    module_of
        Module of the model for an ``op_name``; None where it is unknown.

    Raises
    ------
    PerfkitError
        The profiler left no trace, or it does not hold the pass.
    """
    events = read_trace(kept_trace(folder))
    program = HloModule.parse((folder / HLO_FILE).read_text())
    products = read_products(folder / PRODUCTS_FILE)
    spans = attribute(trace_of(events), program, module_of, UNNAMED)
    begin_s = json.loads((folder / MARK_FILE).read_text())["begin_s"]
    return TracedPass(
        with_kernels(spans, program, products),
        program,
        products,
        clock_offset_s(events, begin_s),
        complete=len(events) < MOST_EVENTS,
    )
