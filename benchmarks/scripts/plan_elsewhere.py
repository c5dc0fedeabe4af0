"""Predict this machine from the fit of another one and a calibration made here, then measure it.

    perfkit calibrate --fit FIT --out calibrated
    python -m benchmarks.scripts.plan_elsewhere --fit FIT \\
        --calibration calibrated/calibration.toml --sizes 64,96,128,192,256 --out FOLDER

Run it on an otherwise idle machine. Each size is run in the fit's configuration at the fidelity of
the fit's trials, smallest first. No size is started that is expected to end after ``--budget``; the
same command resumes. elsewhere.json and elsewhere.md have the errors of time and memory, and
whether the intervals cover the measurements. Memory is predicted twice: from the laws alone, and
from the compiler's count for the program of that size with the law of measured overhead.

A machine that is no longer there is held against the fit by the trials that it left:

    python -m benchmarks.scripts.plan_elsewhere --fit FIT --calibration-trials STUDY \\
        --measured-trials STUDY --taken kernels=native --out FOLDER

The first study has trials with traced parts, the second the sizes to predict. Such a calibration
has no ceilings, so that intervals only allow for the usual difference between the terms of a law.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from perfkit.capacity.laws.calibration import Calibration, calibrate
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.observation import Observation, observe
from perfkit.capacity.laws.packages import ensure_same_package, package_here
from perfkit.capacity.laws.terms import size_feature
from perfkit.capacity.laws.transfer import part_factors, transferred
from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.records.depths import SHALLOW_DEPTH
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import read_records
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
    processes
        Number of processes that they ran in.
    time
        Time of a pass, the median of the processes.
    memory
        Peak resident memory, the median of the processes, predicted from the laws alone.
    memory_with_compiler
        The same from the compiler's count for this program.
    """

    size: float
    beyond: bool
    passes: int
    processes: int
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
    measured
        Configurations that were measured.
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
    measured: list[str]
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
        Trials on this machine in the configuration of the fit, or in one that is as fast.

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
    sizes = itertools.groupby(sorted(seen, key=_place), key=_place)
    return Pair(
        model=fit.model,
        preset=fit.label,
        fitted_on=str(fit.machine.get("cpu")),
        measured_on=str(calibration.machine.get("cpu")),
        measured=sorted({record.configuration.label for record in records}),
        fitted_sizes=(fit.least_size, fit.largest_size),
        factors=part_factors(fit, trial, factor),
        ceilings={
            name: rate / fit.ceilings[name]
            for name, rate in calibration.ceilings.items()
            if name in fit.ceilings
        },
        spread=factor.spread,
        cases=[_case(here, list(alike), passes) for _, alike in sizes],
    )


def _place(one: Observation) -> list[tuple[str, float]]:
    return sorted(one.features.items())


def _case(here: ModelFit, alike: Sequence[Observation], passes: Mapping[str, int]) -> Case:
    """Judge the processes of one program."""
    size = alike[0].features[size_feature(here.model)]
    one = replace(
        alike[0],
        steady_s=statistics.median(each.steady_s or 0.0 for each in alike),
        peak_rss_bytes=round(statistics.median(each.peak_rss_bytes or 0 for each in alike)),
    )
    laws, compiler = memory_errors(here, one)
    return Case(
        size=size,
        beyond=size > here.largest_size,
        passes=sum(passes[each.record] for each in alike),
        processes=len(alike),
        time=time_error(here, one),
        memory=laws,
        memory_with_compiler=compiler,
    )


def left_trials(folder: Path, taken: Mapping[str, str]) -> list[Record]:
    """Return the successful trials of the full network that a machine left in a study.

    Parameters
    ----------
    folder
        Folder of the study.
    taken
        Settings that a trial must have.

    Raises
    ------
    UserError
        There are none.
    """
    found = [
        record
        for record in read_records(folder)
        if record.outcome is Outcome.OK
        and record.steady
        and record.workload.depth != SHALLOW_DEPTH
        and taken.items() <= record.configuration.settings.items()
    ]
    if not found:
        wanted = " ".join(f"{name}={value}" for name, value in taken.items()) or "any settings"
        raise UserError(f"{folder} has no successful trial of the full network with {wanted}")
    return found


def markdown(pair: Pair) -> str:
    """Lay out the pair as Markdown."""
    lines = [
        f"# {pair.model}: fitted on {pair.fitted_on}, measured on {pair.measured_on}",
        "",
        f"Configuration {pair.preset}, fitted from {pair.fitted_sizes[0]:g} to "
        f"{pair.fitted_sizes[1]:g}. Brackets hold the 90 % interval; bold errors are outside it. "
        f"Measured: {'; '.join(pair.measured)}.",
        "",
        "| size | processes | time predicted | measured | error | memory from laws | error "
        "| memory with compiler | error | measured |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case in pair.cases:
        cells = [
            f"{case.size:g}" + (" (beyond the fit)" if case.beyond else ""),
            str(case.processes),
            case.time.predicted_text(seconds_text),
            seconds_text(case.time.measured),
            case.time.percent,
            case.memory.predicted_text(bytes_text),
            case.memory.percent,
            case.memory_with_compiler.predicted_text(bytes_text),
            case.memory_with_compiler.percent,
            bytes_text(case.memory.measured),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    factors = ", ".join(f"{name} {value:.2f}" for name, value in pair.factors.items())
    ceilings = ", ".join(f"{name} {value:.2f}" for name, value in pair.ceilings.items())
    lines += ["", f"Time here over time there: {factors}.", ""]
    if ceilings:
        lines += [f"Rates here over rates there: {ceilings}.", ""]
    if pair.left_out:
        lines += [f"Left out for want of time: {', '.join(pair.left_out)}.", ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict, measure and write the errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fit", type=Path, required=True, help="fit of another machine")
    calibrated = parser.add_mutually_exclusive_group(required=True)
    calibrated.add_argument("--calibration", type=Path, help="made on the machine to predict")
    calibrated.add_argument(
        "--calibration-trials", type=Path, help="study of the machine to predict, as calibration"
    )
    parser.add_argument(
        "--measured-trials", type=Path, help="study of that machine to predict, nothing is run"
    )
    parser.add_argument(
        "--taken",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="setting that trials of these studies must have",
    )
    parser.add_argument("--sizes", default="64,96,128,192,256")
    add_run_arguments(parser, budget="10m")
    given = parser.parse_args(arguments)
    return ended(lambda: _held_against(given))


def _held_against(given: argparse.Namespace) -> str:
    fit = ModelFit.load(given.fit)
    catalogue = Catalogue(get_model(fit.model).knobs)
    taken = dict(catalogue.parse_setting(each) for each in given.taken)
    if given.calibration_trials is None:
        calibration = Calibration.load(given.calibration)
    else:
        calibration = calibrate(left_trials(given.calibration_trials, taken), {}, None)
    if given.measured_trials is None:
        ensure_same_package(fit, package_here(fit))
        judge(fit, calibration, ())
        records, left_out = measure_given(fit, given)
    else:
        records, left_out = left_trials(given.measured_trials, taken), []
    pair = judge(fit, calibration, records).model_copy(update={"left_out": left_out})
    text = markdown(pair)
    write_given(pair, text, "elsewhere", given)
    return text


if __name__ == "__main__":
    sys.exit(main())
