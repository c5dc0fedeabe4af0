"""Predict this machine from the fit of another one and a calibration made here, then measure it.

    perfkit calibrate --fit FIT --out calibrated
    python -m benchmarks.scripts.plan_elsewhere --fit FIT \\
        --calibration calibrated/calibration.toml --sizes 64,96,128,192,256 --out FOLDER

Run it on an otherwise idle machine. Each size is run in the fit's configuration at the fidelity of
the fit's trials, smallest first. No size is started that is expected to end after ``--budget``; the
same command resumes. elsewhere.json and elsewhere.md have the errors of time and memory, and
whether the intervals cover the measurements. Memory is predicted twice: from the laws alone, and
from the compiler's count for the program of that size with the law of measured overhead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from benchmarks.scripts.held_out import (
    Error,
    add_run_arguments,
    measure_given,
    memory_errors,
    time_error,
    write_given,
)
from perfkit.capacity.laws.calibration import Calibration
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.observation import Observation, observe
from perfkit.capacity.laws.packages import ensure_same_package, package_here
from perfkit.capacity.laws.terms import size_feature
from perfkit.capacity.laws.transfer import part_factors, transferred
from perfkit.errors import UserError
from perfkit.records.schema import Record
from perfkit.units import bytes_text, seconds_text


class Case(BaseModel):
    """One size.

    Attributes
    ----------
    size
        Size after padding, in the model's unit.
    beyond
        Whether it is larger than all sizes of the fit.
    passes
        Number of timed passes.
    time
        Time of a pass.
    memory
        Peak resident memory, predicted from the laws alone.
    memory_with_compiler
        The same from the compiler's count for this program.
    """

    size: float
    beyond: bool
    passes: int
    time: Error
    memory: Error
    memory_with_compiler: Error


class Pair(BaseModel):
    """A fit of one machine, held against another machine.

    Attributes
    ----------
    model, preset
        What ran.
    fitted_on, measured_on
        CPUs of the two machines.
    fitted_sizes
        Smallest and largest size of the fit.
    factors
        Part or stage to its time here over that on the machine of the fit.
    ceilings
        Rate to its value here over that on the machine of the fit.
    spread
        Largest factor between the trial of the calibration and a ceiling.
    cases
        The sizes, smallest first.
    left_out
        Sizes that the budget had no time for.
    """

    model: str
    preset: str
    fitted_on: str
    measured_on: str
    fitted_sizes: tuple[float, float]
    factors: dict[str, float]
    ceilings: dict[str, float]
    spread: float
    cases: list[Case]
    left_out: list[str] = []


def judge(fit: ModelFit, calibration: Calibration, records: Sequence[Record]) -> Pair:
    """Compare predictions for this machine with measurements.

    Parameters
    ----------
    fit
        Fit of another machine.
    calibration
        Calibration of this machine.
    records
        Trials on this machine in the configuration of the fit.

    Raises
    ------
    UserError
        The calibration does not belong to the fit.
    """
    here = transferred(fit, calibration)
    factor = calibration.factor(fit)
    trial = calibration.trial_for(fit)
    assert trial is not None
    seen = [one for record in records if (one := observe(record)) is not None and one.steady_s]
    passes = {record.id: len(record.steady) for record in records}
    size = size_feature(fit.model)
    return Pair(
        model=fit.model,
        preset=fit.label,
        fitted_on=str(fit.machine.get("cpu")),
        measured_on=str(calibration.machine.get("cpu")),
        fitted_sizes=(fit.least_size, fit.largest_size),
        factors=part_factors(fit, trial, factor),
        ceilings={
            name: rate / fit.ceilings[name]
            for name, rate in calibration.ceilings.items()
            if name in fit.ceilings
        },
        spread=factor.spread,
        cases=[
            _case(here, one, passes[one.record])
            for one in sorted(seen, key=lambda one: one.features[size])
        ],
    )


def _case(here: ModelFit, one: Observation, passes: int) -> Case:
    size = one.features[size_feature(here.model)]
    laws, compiler = memory_errors(here, one)
    return Case(
        size=size,
        beyond=size > here.largest_size,
        passes=passes,
        time=time_error(here, one),
        memory=laws,
        memory_with_compiler=compiler,
    )


def markdown(pair: Pair) -> str:
    """Lay out the pair as Markdown."""
    lines = [
        f"# {pair.model}: fitted on {pair.fitted_on}, measured on {pair.measured_on}",
        "",
        f"Configuration {pair.preset}, fitted from {pair.fitted_sizes[0]:g} to "
        f"{pair.fitted_sizes[1]:g}. Brackets hold the 90 % interval; bold errors are outside it.",
        "",
        "| size | time predicted | measured | error | memory from laws | error "
        "| memory with compiler | error | measured |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in pair.cases:
        cells = [
            f"{case.size:g}" + (" (beyond the fit)" if case.beyond else ""),
            case.time.predicted_text(seconds_text),
            seconds_text(case.time.measured),
            case.time.percent,
            bytes_text(case.memory.predicted),
            case.memory.percent,
            bytes_text(case.memory_with_compiler.predicted),
            case.memory_with_compiler.percent,
            bytes_text(case.memory.measured),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    factors = ", ".join(f"{name} {value:.2f}" for name, value in pair.factors.items())
    ceilings = ", ".join(f"{name} {value:.2f}" for name, value in pair.ceilings.items())
    lines += ["", f"Time here over time there: {factors}.", ""]
    lines += [f"Rates here over rates there: {ceilings}.", ""]
    if pair.left_out:
        lines += [f"Left out for want of time: {', '.join(pair.left_out)}.", ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict, measure and write the errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fit", type=Path, required=True, help="fit of another machine")
    parser.add_argument("--calibration", type=Path, required=True, help="made on this machine")
    parser.add_argument("--sizes", default="64,96,128,192,256")
    add_run_arguments(parser, budget="10m")
    given = parser.parse_args(arguments)
    try:
        fit, calibration = ModelFit.load(given.fit), Calibration.load(given.calibration)
        ensure_same_package(fit, package_here(fit))
        judge(fit, calibration, ())
        records, left_out = measure_given(fit, given)
        pair = judge(fit, calibration, records).model_copy(update={"left_out": left_out})
        text = markdown(pair)
        write_given(pair, text, "elsewhere", given)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
