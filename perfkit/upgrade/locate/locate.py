"""Finds, in a process of the older jaxlib, which operations the newer one computes differently.

``python -m perfkit.upgrade.locate.locate REQUEST ANSWER`` reads the request file, searches and
writes the answer file; :func:`perfkit.upgrade.locate.request.locate` starts it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from perfkit.errors import PerfkitError, UserError
from perfkit.file_names import file_name
from perfkit.guard.analysis.structure import as_program
from perfkit.guard.transform import Traced
from perfkit.models import get_model
from perfkit.models.base import Model
from perfkit.models.prepared import Prepared
from perfkit.models.workload import Workload
from perfkit.observers.trace.hlo import HloModule, Instruction
from perfkit.upgrade.locate.bench import Bench, RunnerProcess
from perfkit.upgrade.locate.exact import Judgement, judge
from perfkit.upgrade.locate.finding import ChangedAnswer, Located, SlowedModule
from perfkit.upgrade.locate.flat_program import Step, flatten
from perfkit.upgrade.locate.pieces import Piece
from perfkit.upgrade.locate.reproducer import Expectation, write_reproducer
from perfkit.upgrade.locate.request import LocateRequest
from perfkit.upgrade.locate.search import Found, Search
from perfkit.upgrade.locate.slow import SlowRange, SlowSearch
from perfkit.upgrade.locate.subject import Subject, subject_of

MOST_CALLS = 64
"""Calls of the compiled function that are searched; models that roll out call it several times."""


def locate_in_prediction(
    model: Model, prepared: Prepared, request: LocateRequest, bench: Bench
) -> Located:
    """Search a prepared prediction, call by call of its compiled function.

    Parameters
    ----------
    model, prepared
        The model and its prediction, in a process of the older jaxlib.
    request
        What to search for.
    bench
        Both sides.
    """
    return _Locating(model, request, bench).run(prepared)


class _EndError(Exception):
    """Ends the prediction: what was asked is found."""


class _Locating:
    """One search, with what it has found so far."""

    def __init__(self, model: Model, request: LocateRequest, bench: Bench) -> None:
        self._model = model
        self._request = request
        self._bench = bench
        self._answer: ChangedAnswer | None = None
        self._slowed: list[SlowedModule] = []
        self._notes: list[str] = []
        self._reproducers: list[str] = []
        self._calls = 0

    def run(self, prepared: Prepared) -> Located:
        compiled = jax.jit(prepared.function)

        def call(*arguments: Any) -> Any:
            self._search(prepared.function, arguments)
            self._calls += 1
            if self._done() or self._calls == MOST_CALLS:
                raise _EndError
            return compiled(*arguments)

        try:
            prepared.drive(call)
        except _EndError:
            pass
        except PerfkitError as error:
            self._notes.append(f"the search ended early: {error}")
        if self._request.answer and self._answer is None:
            self._notes.append(
                f"no operations that jax {jax.__version__} traces give results that differ by more "
                "than rounding: the answers differ by rounding, which a model may amplify, or by "
                "another program that the newer jax traces"
            )
        return Located(
            self._answer, tuple(self._slowed), tuple(self._notes), tuple(self._reproducers)
        )

    def _done(self) -> bool:
        return not self._request.answer or self._answer is not None

    def _search(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        traced = Traced.of(function, tuple(arguments), {})
        program = flatten(as_program(traced.closed), "jit(main)")
        operands = [self._bench.save(array) for array in traced.arrays]
        subject = subject_of(self._bench, program, operands)
        if self._calls == 0:
            for module in self._request.slowed:
                self._slowed.append(self._slow(subject, module))
        if self._request.answer:
            found = Search(self._bench).find(subject)
            if found is not None:
                self._answer = self._changed(found)

    def _changed(self, found: Found) -> ChangedAnswer:
        judgement = judge(self._bench, found)
        hlo = self._hlo(found.piece, found.inputs)
        apart = found.difference.distance
        last = next(step for step in found.steps if found.output in step.results)
        old_hlo, new_hlo = map(_operations, hlo)
        answer = ChangedAnswer(
            self._model.module_of(last.op_name) or "",
            _sentences(found.steps),
            old_hlo,
            new_hlo,
            iterations=found.subject.iterations,
            call=self._calls,
            distance=apart if np.isfinite(apart) else None,
            tolerance=found.difference.tolerance,
            verdict=_verdict(judgement, self._request.labels),
        )
        expectation = Expectation(found.difference.output, judgement, found.difference.tolerance)
        self._reproduce("answer", found.piece, found.inputs, answer.sentences(), hlo, expectation)
        return answer

    def _slow(self, subject: Subject, module: str) -> SlowedModule:
        search = SlowSearch(self._bench, self._model.module_of)
        found: SlowRange | None = search.find(subject, module)
        if found is None:
            return SlowedModule(module)
        hlo = self._hlo(found.piece, found.inputs)
        old_hlo, new_hlo = map(_operations, hlo)
        slowed = SlowedModule(
            module,
            _sentences(found.steps),
            old_hlo,
            new_hlo,
            old_s=found.old_s,
            new_s=found.new_s,
        )
        name = f"time-{file_name(module)}"
        self._reproduce(name, found.piece, found.inputs, slowed.sentences(), hlo)
        return slowed

    def _hlo(self, piece: Piece, inputs: Sequence[Path]) -> tuple[Path, Path]:
        """Files of the optimised HLO of a piece by each side; empty if it does not run."""
        old, new = self._bench.new_path("optimised"), self._bench.new_path("optimised")
        self._bench.run(piece, inputs, (self._bench.old, self._bench.new), hlo=(old, new))
        for path in (old, new):
            path.touch()
        return old, new

    def _reproduce(
        self,
        name: str,
        piece: Piece,
        inputs: Sequence[Path],
        found: Sequence[str],
        hlo: Sequence[Path],
        expectation: Expectation | None = None,
    ) -> None:
        """Write a reproducer into the folder that was asked for, if any."""
        if self._request.reproduce is None:
            return
        folder = self._request.reproduce / name
        sides = zip(("old", "new"), self._request.labels, hlo, strict=True)
        named = {file_name(f"{side} {label}"): path for side, label, path in sides}
        write_reproducer(folder, piece, inputs, found, named, expectation)
        self._reproducers.append(str(folder))


def _sentences(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(step.sentence() for step in steps)


def _operations(path: Path) -> tuple[str, ...]:
    """The operations of an optimised HLO module that run as operations of their own."""
    program = HloModule.parse(path.read_text())
    return tuple(_operation(program, program.instructions[name]) for name in program.costs)


def _operation(program: HloModule, one: Instruction) -> str:
    inner = ", ".join(_inner_opcodes(program, one.called))
    return f"{one.name} ({one.opcode}{f' of {inner}' if inner else ''})"


def _inner_opcodes(program: HloModule, called: Sequence[str]) -> list[str]:
    opcodes = [
        each.opcode for name in called for each in program.computations.get(name, {}).values()
    ]
    return [opcode for opcode in dict.fromkeys(opcodes) if opcode not in ("parameter", "constant")]


def _verdict(judgement: Judgement, labels: Sequence[str]) -> str:
    old, new = labels
    if not judgement.exact:
        return f"which one is right is not decided; the reproducer expects the answer of {old}"
    wrong = [
        label
        for label, right in ((old, judgement.old_right), (new, judgement.new_right))
        if not right
    ]
    return (
        f"{' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong: operation by operation "
        "in float64, both versions give another value"
    )


def main(arguments: Sequence[str]) -> int:
    """Read the request file, search, and write the answer file."""
    request = LocateRequest.read(Path(arguments[0]))
    os.sched_setaffinity(0, request.affinity)
    bench = Bench(RunnerProcess(request.old), RunnerProcess(request.new), request.scratch)
    try:
        with bench:
            model = get_model(request.workload["model"])
            model.load()
            prepared = model.prepare(Workload.from_dict(request.workload), request.overrides)
            located = locate_in_prediction(model, prepared, request, bench)
    except UserError as error:
        print(error, file=sys.stderr)
        return UserError.exit_code
    Path(arguments[1]).write_text(json.dumps(located.as_dict()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
