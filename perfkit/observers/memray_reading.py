"""Child process that reads a memray capture: prints the peak, writes flame graph and table."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import memray
from memray.reporters.flamegraph import FlameGraphReporter
from memray.reporters.table import TableReporter

from perfkit.observers.memray_heap import HeapResult, Holder, pages_of

KEPT_HOLDERS = 12
RESOLVED_SHARE = 0.99
"""Share of the peak whose frames are looked up. A lookup in a library of hundreds of megabytes
takes milliseconds, and the last per cent has tens of thousands of places. The capture has all of
them."""

GENERIC = ("std", "absl", "Eigen", "tsl", "nanobind", "__gnu_cxx")
"""Namespaces of general libraries, which do not show the purpose of an allocation."""

TEMPLATE = re.compile(r"<[^<>]*>")


class Allocation(Protocol):
    """The attributes of ``memray.AllocationRecord`` that are used here."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def n_allocations(self) -> int:
        """Number of allocations."""
        ...

    def hybrid_stack_trace(self) -> Sequence[tuple[str, str, int]]:
        """Function, file and line of each Python and native frame, innermost first."""
        ...


def main(arguments: list[str]) -> int:
    """Read one capture, print its peak and write its pages.

    Parameters
    ----------
    arguments
        Path of the capture.
    """
    capture = Path(arguments[0])
    with memray.FileReader(capture) as reader:
        records = largest_records(reader.get_high_watermark_allocation_records(merge_threads=True))
        found = HeapResult(
            peak_bytes=reader.metadata.peak_memory,
            allocations=reader.metadata.total_allocations,
            file_bytes=capture.stat().st_size,
            holders=largest_holders(records),
        )
        _write_pages(reader, records, capture)
    print(found.model_dump_json())
    return 0


def largest_records[A: Allocation](records: Iterable[A]) -> list[A]:
    """The places that hold :data:`RESOLVED_SHARE` of the peak, largest first."""
    ranked = sorted(records, key=lambda record: -record.size)
    wanted = RESOLVED_SHARE * sum(record.size for record in ranked)
    held = accumulate((record.size for record in ranked), initial=0)
    return [record for record, before in zip(ranked, held, strict=False) if before < wanted]


def largest_holders(records: Iterable[Allocation]) -> list[Holder]:
    """The places that held most at the peak, largest first.

    A place is the innermost Python frame with the C++ namespace that it called, e.g.
    ``backend_compile (compiler.py:362) in llvm``. In a thread without Python frames it is the
    innermost C++ function, e.g. ``xla::AlignedAllocator::Allocate``.
    """
    sizes: dict[str, int] = defaultdict(int)
    counts: dict[str, int] = defaultdict(int)
    for record in records:
        place = _place(record.hybrid_stack_trace())
        sizes[place] += record.size
        counts[place] += record.n_allocations
    ranked = sorted(sizes, key=lambda place: -sizes[place])[:KEPT_HOLDERS]
    return [Holder(where=p, bytes=sizes[p], allocations=counts[p]) for p in ranked]


def _place(stack: Sequence[tuple[str, str, int]]) -> str:
    native = ""
    for function, file, line in stack:
        if file.endswith(".py"):
            called = f"{function} ({Path(file).name}:{line})"
            return f"{called} in {native.partition('::')[0]}" if native else called
        name = _short(function)
        if not native and "::" in name and name.partition("::")[0] not in GENERIC:
            native = name
    return native or "a thread without names"


def _short(function: str) -> str:
    """Name of a C++ function without return type, template arguments and parameters."""
    name = function.replace("(anonymous namespace)::", "")
    while (shorter := TEMPLATE.sub("", name)) != name:
        name = shorter
    return name.partition("(")[0].rpartition(" ")[2]


def _write_pages(
    reader: memray.FileReader, records: Sequence[memray.AllocationRecord], capture: Path
) -> None:
    """Write memray's flame graph and table.

    They are made from the same records instead of by memray's command, as the lookup of frames
    takes most of the time and its results are cached in the records.
    """
    snapshots = tuple(reader.get_memory_snapshots())
    flamegraph = FlameGraphReporter.from_snapshot(
        records, memory_records=snapshots, native_traces=True
    )
    # A row shows only the innermost frame; the innermost native frame is always malloc.
    table = TableReporter.from_snapshot(records, memory_records=snapshots, native_traces=False)
    reports: tuple[FlameGraphReporter | TableReporter, ...] = (flamegraph, table)
    for page, report in zip(pages_of(capture), reports, strict=True):
        with page.open("w", encoding="utf-8") as stream:
            report.render(
                stream,
                metadata=reader.metadata,
                show_memory_leaks=False,
                merge_threads=True,
                inverted=False,
            )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
