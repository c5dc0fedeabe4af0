"""The trace for Perfetto, loaded by Perfetto's trace processor if it is installed.

The Python package of the processor would download its binary, so the test needs
``trace_processor_shell`` on the PATH.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

PROCESSOR = shutil.which("trace_processor_shell")


@pytest.mark.skipif(PROCESSOR is None, reason="trace_processor_shell is not on the PATH")
def test_the_trace_of_a_product_loads_in_the_trace_processor(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    processor = pytest.importorskip("perfetto.trace_processor")
    from perfkit.observers.trace.events import read_events, trace_file, trace_of

    product = jax.jit(lambda a: a @ a)
    a = jax.numpy.ones((256, 256))
    jax.block_until_ready(product(a))
    with jax.profiler.trace(str(tmp_path)):
        jax.block_until_ready(product(a))
    config = processor.TraceProcessorConfig(bin_path=PROCESSOR)
    with processor.TraceProcessor(trace=str(trace_file(tmp_path)), config=config) as loaded:
        names = {row.name for row in loaded.query("select name from slice")}
    assert {one.name for one in trace_of(read_events(tmp_path)).operations} <= names
