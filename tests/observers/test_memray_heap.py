"""The memray observer on a program of known memory use."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from perfkit.observers.memray_heap import HeapResult, MemrayHeap
from perfkit.observers.observer import Child, ObservedRun
from tests.support.profiled_programs import WORKLOAD

pytest.importorskip("memray")

from perfkit.observers.memray_reading import largest_holders, largest_records

TRACKED = """
import sys
from pathlib import Path
from perfkit.observers.memray_heap import MemrayHeap
def hold_a_lot():
    return bytearray(300 << 20)
with MemrayHeap().around(Path(sys.argv[1])):
    held = hold_a_lot()
    del held
    small = bytearray(10 << 20)
"""


def test_an_allocation_of_known_size_is_the_peak_with_its_holder(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(TRACKED)
    subprocess.run([sys.executable, str(program), str(tmp_path)], check=True)
    observer = MemrayHeap()
    observer.started(Child(1, tmp_path, 0.0, 1, WORKLOAD))
    found = observer.results(ObservedRun((), None))
    seen = HeapResult.model_validate(found.data)
    assert seen.peak_bytes == pytest.approx(300 << 20, rel=0.01)
    assert "hold_a_lot (program.py:6)" in seen.holders[0].where
    assert seen.holders[0].bytes == pytest.approx(300 << 20, rel=0.01)
    # Both pages are made by memray from the capture.
    assert set(found.files) == {"memray capture", "memray flamegraph", "memray table"}
    for name in ("memray flamegraph", "memray table"):
        assert "hold_a_lot" in found.files[name].read_text()


def test_an_incomplete_capture_is_reported_in_one_line(tmp_path: Path) -> None:
    observer = MemrayHeap()
    observer.started(Child(1, tmp_path, 0.0, 1, WORKLOAD))
    assert "before memray wrote" in observer.results(ObservedRun((), None)).missing
    (tmp_path / "memray.bin").write_bytes(b"half of a capture")
    assert observer.results(ObservedRun((), None)).missing.startswith(
        "memray cannot read its capture"
    )


@dataclass
class _Allocation:
    size: int
    n_allocations: int
    stack: list[tuple[str, str, int]]

    def hybrid_stack_trace(self) -> list[tuple[str, str, int]]:
        return self.stack


def test_a_holder_is_a_python_frame_or_else_a_native_function() -> None:
    new = ("operator new(unsigned long)", "<unknown>", 0)
    build = ("std::vector<int> llvm::(anonymous namespace)::build<x<y>>(int)", "<unknown>", 0)
    grow = ("void std::__1::grow<xla::Shape>(long)", "<unknown>", 0)
    call = ("_PyObject_MakeTpCall", "Objects/call.c", 240)
    compiler = ("compile", "/x/compiler.py", 7)
    pool = ("xla::(anonymous namespace)::AlignedAllocator::Allocate(unsigned long) const", "", 0)
    records = [
        _Allocation(100, 1, [new, grow, build, call, compiler]),
        _Allocation(50, 2, [new, build, call, compiler]),
        _Allocation(30, 1, [new, pool, ("start_thread", "pthread_create.c", 1)]),
        _Allocation(10, 1, [call, compiler]),
    ]
    assert [
        (holder.where, holder.bytes, holder.allocations) for holder in largest_holders(records)
    ] == [
        ("compile (compiler.py:7) in llvm", 150, 3),
        ("xla::AlignedAllocator::Allocate", 30, 1),
        ("compile (compiler.py:7)", 10, 1),
    ]


def test_the_last_per_cent_of_the_peak_is_left_out() -> None:
    records = [_Allocation(size, 1, []) for size in (1, 990, 5, 4)]
    assert [record.size for record in largest_records(records)] == [990]
    assert [record.size for record in largest_records([_Allocation(3, 1, [])] * 3)] == [3, 3, 3]
