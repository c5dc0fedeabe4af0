"""Predict sizes from smaller ones and from the compiler, then measure them.

    perfkit plan fit --compile-sizes 192,256,384,512,1024 --out fitted
    python -m benchmarks.scripts.plan_from_smaller --fitted fitted --sizes 192,256,384,512 \\
        --out FOLDER

Run it on an otherwise idle machine. Each size is predicted twice: by a fit of all smaller sizes,
and by a fit of the sizes up to half of it. Sizes that the shallow network was measured at count as
measured. Memory is that of the law of overhead and of the compiler's count for the program of that
size. No size is started that is expected to end after ``--budget``; the same command resumes.
from-smaller.json and from-smaller.md have the errors, and whether the intervals cover the
measurements.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel

from benchmarks.scripts.ending import ended
from benchmarks.scripts.held_out import (
    Error,
    add_run_arguments,
    measure_given,
    memory_errors,
    time_error,
    write_given,
)
from perfkit.capacity.laws.assemble import assemble, fitted_size
from perfkit.capacity.laws.fit import FIT_NAME, ModelFit
from perfkit.capacity.laws.observation import observe
from perfkit.records.roles import Role
from perfkit.records.schema import Record
from perfkit.records.store import read_records
from perfkit.units import bytes_text, seconds_text


class Case(BaseModel):
    """One size, predicted from smaller ones.

    Attributes
    ----------
    size
        Size after padding, in the model's unit.
    largest
        Largest size of the fit.
    largest_full
        Largest size that the fit has of the full network.
    passes
        Number of timed passes.
    time
        Time of a pass.
    memory
        Peak resident memory.
    """

    size: float
    largest: float
    largest_full: float
    passes: int
    time: Error
    memory: Error


class Study(BaseModel):
    """A fit, held against larger sizes.

    Attributes
    ----------
    model, preset
        What ran.
    machine
        CPU of the machine.
    cases
        Predictions, smallest size first.
    left_out
        Sizes that the budget had no time for.
    """

    model: str
    preset: str
    machine: str
    cases: list[Case]
    left_out: list[str] = []


def judge(fitted: Sequence[Record], measured: Iterable[Record]) -> Study:
    """Predict each measured trial from the fitted trials of smaller sizes.

    Parameters
    ----------
    fitted
        Trials of a fit: with traced parts, of the full and the shallow network, or only compiled.
    measured
        Trials of the full network in the same configuration, which the predictions do not use.

    Raises
    ------
    UserError
        The fitted trials support no fit.
    """
    cases = []
    whole = assemble(fitted)
    for record in sorted(measured, key=fitted_size):
        size = fitted_size(record)
        # The first is a part of the second: with equally many trials they are the same.
        chosen = [_smaller(fitted, size, largest) for largest in (size / 2, size)]
        cases += [_case(assemble(kept), record) for kept in {len(k): k for k in chosen}.values()]
    return Study(
        model=whole.model, preset=whole.label, machine=str(whole.machine.get("cpu")), cases=cases
    )


def _smaller(records: Iterable[Record], size: float, largest: float) -> list[Record]:
    """Trials below `size` and up to `largest`, and those that only compiled, up to `size`."""
    return [
        record
        for record in records
        if record.role != Role.HELD_OUT
        and (
            fitted_size(record) <= size
            if record.role == Role.COMPILED
            else fitted_size(record) < size and fitted_size(record) <= largest
        )
    ]


def _case(fit: ModelFit, record: Record) -> Case:
    one = observe(record)
    assert one is not None
    _, memory = memory_errors(fit, one)
    return Case(
        size=fitted_size(record),
        largest=fit.largest_size,
        largest_full=fit.memory_measured_to or fit.largest_size,
        passes=len(record.steady),
        time=time_error(fit, one),
        memory=memory,
    )


def markdown(study: Study) -> str:
    """Lay out the study as Markdown."""
    lines = [
        f"# {study.model}: sizes predicted from smaller ones",
        "",
        f"{study.machine}, configuration {study.preset}. Times are those of a pass. Brackets hold "
        "the 90 % interval; bold errors are outside it.",
        "",
        "| size | fitted up to | full network up to | time predicted | measured | error "
        "| memory predicted | measured | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in study.cases:
        cells = [f"{case.size:g}", f"{case.largest:g}", f"{case.largest_full:g}"]
        for error, text in ((case.time, seconds_text), (case.memory, bytes_text)):
            cells += [error.predicted_text(text), text(error.measured), error.percent]
        lines.append(f"| {' | '.join(cells)} |")
    if study.left_out:
        lines += ["", f"Left out for want of time: {', '.join(study.left_out)}."]
    return "\n".join((*lines, ""))


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict, measure and write the errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fitted", type=Path, required=True, help="folder of 'perfkit plan fit'")
    parser.add_argument("--sizes", required=True)
    add_run_arguments(parser, budget="30m")
    given = parser.parse_args(arguments)
    return ended(lambda: _measured(given))


def _measured(given: argparse.Namespace) -> str:
    fit = ModelFit.load(given.fitted / FIT_NAME)
    fitted = [r for r in read_records(given.fitted) if r.configuration.settings == fit.settings]
    judge(fitted, ())
    records, left_out = measure_given(fit, given)
    study = judge(fitted, records).model_copy(update={"left_out": left_out})
    text = markdown(study)
    write_given(study, text, "from-smaller", given)
    return text


if __name__ == "__main__":
    sys.exit(main())
