"""xla: one pass under JAX's profiler, by kind of operation, by operation and by module.

The trace shows when each operation ran; the optimised HLO shows its work and its module; the
ceilings show the capacity of the machine; samples of the process show its use of the CPUs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from pydantic import BaseModel, ConfigDict

from perfkit.errors import PerfkitError
from perfkit.observers.observer import Child, ExtraPass, Finding, ObservedRun, Observer, Process
from perfkit.observers.pass_sampler import PassSample, PassSampler
from perfkit.observers.roofline.ceilings import Ceilings, measured_ceilings
from perfkit.observers.roofline.limit import ModuleResult, judge
from perfkit.observers.trace.attribution import Span, add_samples, tallied, tallied_by_kind
from perfkit.observers.trace.traced_pass import (
    HLO_FILE,
    MOST_EVENTS,
    has_traced_pass,
    kept_trace,
    read_traced_pass,
)

KEPT_OPERATIONS = 20
"""Largest number of operations in a record."""


class OperationResult(BaseModel):
    """All runs of one HLO operation.

    Attributes
    ----------
    name
        Name of the HLO instruction.
    module
        Module of the model.
    seconds
        Wall seconds, including waiting.
    runs
        Number of runs.
    flops, bytes
        Floating-point operations, and bytes that were read and written.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    module: str
    seconds: float
    runs: int
    flops: float
    bytes: float


class XlaResult(BaseModel):
    """One traced pass.

    Attributes
    ----------
    pass_s
        Seconds from the begin of the first operation to the end of the last.
    kinds
        Seconds by kind of operation; they add up to ``pass_s``.
    modules, operations
        Modules and operations, in order of falling time.
    ceilings
        Highest rates that the machine reaches, in FLOP/s and bytes/s, by name.
    cpus
        Number of CPUs that the process may use.
    """

    model_config = ConfigDict(frozen=True)

    pass_s: float
    kinds: dict[str, float]
    modules: list[ModuleResult]
    operations: list[OperationResult]
    ceilings: dict[str, float]
    cpus: int


class XlaTrace(Observer):
    """Reduces a traced pass to tables by kind, operation and module.

    Parameters
    ----------
    find_ceilings
        Returns the highest rates of the machine; raises PerfkitError where they are unknown.
    """

    name = "xla"
    process = Process.SHARED
    summary = "time by kind of operation, by operation and by module; roofline; Perfetto file"
    extra_pass = ExtraPass.TRACED

    def __init__(self, find_ceilings: Callable[[], Ceilings] = measured_ceilings) -> None:
        self._find_ceilings = find_ceilings
        self._child: Child | None = None
        self._sampler: PassSampler | None = None
        self._samples: Sequence[PassSample] = ()

    def started(self, child: Child) -> None:
        """Keep the child for the traced pass."""
        self._child = child

    def pass_begins(self) -> None:
        """Start to sample the process."""
        if self._child is not None:
            self._sampler = PassSampler(self._child.pid)
            self._sampler.start()

    def pass_ended(self) -> None:
        """Stop sampling."""
        if self._sampler is not None:
            self._samples = self._sampler.stop()

    def results(self, run: ObservedRun) -> Finding:
        """The tables, and the trace as a file for Perfetto."""
        if self._child is None or not has_traced_pass(self._child.folder):
            return Finding(missing="the child ended before its traced pass did")
        folder = self._child.folder
        from perfkit.models import get_model

        module_of = get_model(self._child.workload.model).module_of
        try:
            perfetto = kept_trace(folder)
            ceilings = self._find_ceilings()
            traced = read_traced_pass(folder, module_of)
        except PerfkitError as error:
            return Finding(missing=str(error))
        spans, pass_s, cpus = traced.spans, traced.seconds, self._child.cpus
        modules = tallied(spans, lambda span: span.owner)
        add_samples(modules, spans, self._samples, traced.offset_s, cpus)
        found = XlaResult(
            pass_s=pass_s,
            kinds=tallied_by_kind(spans),
            modules=[judge(name, each, pass_s, cpus, ceilings) for name, each in modules.items()],
            operations=_operations(spans),
            ceilings=asdict(ceilings),
            cpus=cpus,
        )
        missing = ""
        if not traced.complete:
            missing = f"the profiler kept only the first {MOST_EVENTS:,} events of the pass"
        files = {"xla trace for Perfetto": perfetto, "optimised HLO": folder / HLO_FILE}
        return Finding(found.model_dump(mode="json"), files, missing)


def _operations(spans: Sequence[Span]) -> list[OperationResult]:
    module_of = {span.operation: span.owner for span in spans}
    tallies = tallied(spans, lambda span: span.operation)
    return [
        OperationResult(
            name=name,
            module=module_of[name],
            seconds=tally.seconds,
            runs=tally.runs,
            flops=tally.flops,
            bytes=tally.bytes,
        )
        for name, tally in list(tallies.items())[:KEPT_OPERATIONS]
    ]
