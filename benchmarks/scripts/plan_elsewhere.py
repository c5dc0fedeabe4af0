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
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from perfkit.capacity.laws.calibration import Calibration
from perfkit.capacity.laws.fit import ONCE, Compiled, ModelFit
from perfkit.capacity.laws.observation import Observation, observe
from perfkit.capacity.laws.packages import ensure_same_package, package_here
from perfkit.capacity.laws.prediction import Range
from perfkit.capacity.laws.terms import features_of, size_feature
from perfkit.capacity.laws.transfer import part_factors, transferred
from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store, ensure_writable
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.request import TrialLabels, TrialRequest
from perfkit.units import bytes_text, parse_duration, percent_text, seconds_text

GROWTH = 2.5
"""Power of the size by which the expected time of a trial grows. Only the budget depends on it."""

ADDED_S = 30.0
"""Expected seconds of a trial in addition to its passes: start and check."""


class Error(BaseModel):
    """A predicted quantity and its measurement, in seconds or bytes.

    Attributes
    ----------
    predicted, low, high
        Prediction with its 90 % interval.
    measured
        Measurement.
    error_percent
        Relative error of the prediction in per cent.
    inside
        Whether the interval covers the measurement.
    """

    predicted: float
    low: float
    high: float
    measured: float
    error_percent: float
    inside: bool


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
    seconds = here.seconds(one.features, one.counts)
    parts = {name: value for name, value in seconds.items() if name not in ONCE}
    known = Compiled(features=dict(one.features), compiled_bytes=one.compiled_bytes)
    unknown = here.model_copy(update={"compiled_exactly": ()})
    compiled = here.model_copy(update={"compiled_exactly": (known,)})
    peak = float(one.peak_rss_bytes or 0)
    return Case(
        size=size,
        beyond=size > here.largest_size,
        passes=passes,
        time=_error(here.time_range(one.features, parts), one.steady_s or 0.0),
        memory=_error(unknown.memory_range(one.features, 1), peak),
        memory_with_compiler=_error(compiled.memory_range(one.features, 1), peak),
    )


def _error(predicted: Range, measured: float) -> Error:
    return Error(
        predicted=predicted.value,
        low=predicted.low,
        high=predicted.high,
        measured=measured,
        error_percent=round(100 * (predicted.value / measured - 1), 2),
        inside=predicted.low <= measured <= predicted.high,
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
            f"{seconds_text(case.time.predicted)} "
            f"[{seconds_text(case.time.low)}, {seconds_text(case.time.high)}]",
            seconds_text(case.time.measured),
            _percent(case.time),
            bytes_text(case.memory.predicted),
            _percent(case.memory),
            bytes_text(case.memory_with_compiler.predicted),
            _percent(case.memory_with_compiler),
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


def _percent(error: Error) -> str:
    text = percent_text(error.error_percent / 100, signed=True)
    return text if error.inside else f"**{text}**"


def measure(
    fit: ModelFit, sizes: Sequence[str], folder: Path, rounds: int, budget_s: float
) -> tuple[list[Record], list[str]]:
    """Run the sizes that the store lacks, smallest first, as far as the budget allows.

    Returns
    -------
    records : list of Record
        The successful trials, one for each size.
    left_out : list of str
        Sizes that were not run.

    Raises
    ------
    UserError
        A size is impossible, or a trial failed.
    """
    model = get_model(fit.model)
    configuration = Catalogue(model.knobs).configuration(fit.settings)
    base = model.workload({}, {})
    named = {size: model.resized(base, size) for size in sizes}
    store = Store(folder)
    begin_s = time.monotonic()
    found: list[Record] = []
    left_out = []
    for size, resized in sorted(named.items(), key=lambda item: item[1].size):
        workload = resized.with_fidelity(**model.part_fidelity())
        known = [
            record
            for record in store.records()
            if record.workload.digest == workload.digest
            and record.configuration.digest == configuration.digest
            and record.outcome is Outcome.OK
            and len(record.steady) >= rounds
        ]
        if known:
            found.append(known[-1])
            continue
        left_s = budget_s - (time.monotonic() - begin_s)
        if _expected_s(found, features_of(workload, fit.settings), rounds) > left_s:
            left_out.append(size)
            continue
        labels = TrialLabels(role=Role.HELD_OUT)
        request = TrialRequest(workload, configuration, folder, labels=labels)
        record = run_trial(TrialProcess(request), rounds)
        store.append(record)
        if record.outcome is Outcome.INTERRUPTED:
            raise KeyboardInterrupt
        if record.outcome is not Outcome.OK:
            raise UserError(f"the trial of {size} ended {record.outcome}: {record.reason}")
        print(f"{size}: {statistics.median(stage.wall_s for stage in record.steady):.3g} s a pass")
        found.append(record)
    return found, left_out


def _expected_s(done: Sequence[Record], features: dict[str, float], rounds: int) -> float:
    """Expected seconds of a trial from the largest one so far; 0 without any."""
    if not done:
        return 0.0
    last = done[-1]
    size = size_feature(last.workload.model)
    before = features_of(last.workload, last.configuration.settings)[size]
    pass_s = statistics.median(stage.wall_s for stage in last.steady)
    growth: float = (features[size] / before) ** GROWTH
    return ADDED_S + (rounds + 1) * pass_s * growth


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict, measure and write the errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fit", type=Path, required=True, help="fit of another machine")
    parser.add_argument("--calibration", type=Path, required=True, help="made on this machine")
    parser.add_argument("--sizes", default="64,96,128,192,256")
    parser.add_argument("--rounds", type=int, default=3, help="timed passes of each size")
    parser.add_argument("--budget", default="10m", help="no size is started that would exceed it")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        fit, calibration = ModelFit.load(given.fit), Calibration.load(given.calibration)
        ensure_same_package(fit, package_here(fit))
        sizes = [size for part in given.sizes.split(",") if (size := part.strip())]
        judge(fit, calibration, ())
        ensure_writable(given.out)
        budget_s = parse_duration(given.budget)
        records, left_out = measure(fit, sizes, given.out, given.rounds, budget_s)
        pair = judge(fit, calibration, records).model_copy(update={"left_out": left_out})
        text = markdown(pair)
        write_whole(given.out / "elsewhere.json", pair.model_dump_json(indent=1) + "\n", "pair")
        write_whole(given.out / "elsewhere.md", text, "pair")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
