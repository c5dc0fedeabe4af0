"""The seconds of modules and operations in a traced pass, for each trial of a comparison."""

from __future__ import annotations

import shutil

from pydantic import BaseModel, ConfigDict

from perfkit.errors import PerfkitError
from perfkit.observers.observer import Child, ExtraPass, Finding, ObservedRun, Observer, Process
from perfkit.observers.trace.attribution import attribute, tallied
from perfkit.observers.trace.events import read_events, trace_of
from perfkit.observers.trace.hlo import HloModule
from perfkit.observers.trace.traced_pass import HLO_FILE, MARK_FILE, TRACE_FOLDER, UNNAMED

KEPT_OPERATIONS = 60
"""Largest number of operations in a record."""


class TracedOperation(BaseModel):
    """All runs of one HLO operation in a pass.

    Attributes
    ----------
    name
        Name of the HLO instruction.
    module
        Module of the model.
    op_name
        Path of the operation in the traced program; empty if the compiler kept none.
    description
        Operation and types of its result, e.g. ``fusion -> f32[128,64]``.
    seconds
        Wall seconds.
    runs
        Number of runs.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    module: str
    op_name: str
    description: str
    seconds: float
    runs: int


class TracedPass(BaseModel):
    """One traced pass.

    Attributes
    ----------
    pass_s
        Seconds of the pass, which are those of all modules together.
    modules
        Seconds by module, in order of falling time.
    operations
        The operations that take longest, in order of falling time.
    """

    model_config = ConfigDict(frozen=True)

    pass_s: float
    modules: dict[str, float]
    operations: list[TracedOperation]


class ModuleTimes(Observer):
    """Reduces the traced pass of a trial, which follows its timed passes, to modules."""

    # In the child it is the observer of this name, which keeps the files of the traced pass.
    name = "xla"
    process = Process.SHARED
    summary = "seconds by module and by operation"
    extra_pass = ExtraPass.TRACED

    def __init__(self) -> None:
        self._child: Child | None = None

    def started(self, child: Child) -> None:
        """Keep the child for the traced pass."""
        self._child = child

    def results(self, run: ObservedRun) -> Finding:
        """The seconds by module and operation, and the optimised HLO as a file."""
        if self._child is None or not (self._child.folder / MARK_FILE).exists():
            return Finding(missing="the child ended before its traced pass did")
        folder = self._child.folder
        from perfkit.models import get_model

        try:
            trace = trace_of(read_events(folder / TRACE_FOLDER))
        except PerfkitError as error:
            return Finding(missing=str(error))
        shutil.rmtree(folder / TRACE_FOLDER)
        program = HloModule.parse((folder / HLO_FILE).read_text())
        module_of = get_model(self._child.workload.model).module_of
        spans = attribute(trace, program, module_of, UNNAMED)
        modules = {name: each.seconds for name, each in tallied(spans, lambda s: s.owner).items()}
        owners = {span.operation: span.owner for span in spans}
        operations = [
            TracedOperation(
                name=name,
                module=owners[name],
                op_name=program.op_name(name),
                description=_description(program, name),
                seconds=tally.seconds,
                runs=tally.runs,
            )
            for name, tally in tallied(spans, lambda span: span.operation).items()
        ]
        found = TracedPass(
            pass_s=sum(modules.values()), modules=modules, operations=operations[:KEPT_OPERATIONS]
        )
        return Finding(found.model_dump(mode="json"), {"optimised HLO": folder / HLO_FILE})


def _description(program: HloModule, name: str) -> str:
    one = program.instructions.get(name)
    if one is None:
        return ""
    types = ", ".join(
        f"{array.dtype}[{','.join(map(str, array.dimensions))}]" for array in one.arrays
    )
    return f"{one.opcode} -> {types}"
