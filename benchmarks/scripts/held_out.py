"""Runs that a fit has not seen, and the errors of its predictions of them."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel

from perfkit.capacity.laws.assemble import fitted_size
from perfkit.capacity.laws.budget import GROWTH
from perfkit.capacity.laws.fit import ONCE, Compiled, ModelFit
from perfkit.capacity.laws.observation import Observation
from perfkit.capacity.laws.prediction import Range
from perfkit.capacity.laws.terms import features_of, size_feature
from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store, ensure_writable
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.request import TrialLabels, TrialRequest
from perfkit.units import parse_duration, percent_text

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

    @classmethod
    def of(cls, predicted: Range, measured: float) -> Error:
        """Compare a prediction with its measurement."""
        return cls(
            predicted=predicted.value,
            low=predicted.low,
            high=predicted.high,
            measured=measured,
            error_percent=round(100 * (predicted.value / measured - 1), 2),
            inside=predicted.low <= measured <= predicted.high,
        )

    @property
    def percent(self) -> str:
        """The error as Markdown, bold where the measurement is outside the interval."""
        text = percent_text(self.error_percent / 100, signed=True)
        return text if self.inside else f"**{text}**"

    def predicted_text(self, text: Callable[[float], str]) -> str:
        """The prediction with its interval, each number as ``text`` writes it."""
        return f"{text(self.predicted)} [{text(self.low)}, {text(self.high)}]"


def time_error(fit: ModelFit, one: Observation) -> Error:
    """Compare the predicted time of a pass with the median measured one."""
    seconds = fit.seconds(one.features, one.counts)
    parts = {name: value for name, value in seconds.items() if name not in ONCE}
    return Error.of(fit.time_range(one.features, parts), one.steady_s or 0.0)


def memory_errors(fit: ModelFit, one: Observation) -> tuple[Error, Error]:
    """Compare predicted peaks of resident memory with the measured one.

    Returns
    -------
    laws : Error
        Of the prediction from the laws alone.
    compiler : Error
        Of the prediction from the compiler's count of bytes for this program.
    """
    known = Compiled(features=dict(one.features), compiled_bytes=one.compiled_bytes)
    without, with_it = (
        fit.model_copy(update={"compiled_exactly": points}) for points in ((), (known,))
    )
    peak = float(one.peak_rss_bytes or 0)
    return (
        Error.of(without.memory_range(one.features, 1), peak),
        Error.of(with_it.memory_range(one.features, 1), peak),
    )


def add_run_arguments(parser: argparse.ArgumentParser, budget: str) -> None:
    """Add the options that :func:`measure_given` and :func:`write_given` read."""
    parser.add_argument("--rounds", type=int, default=3, help="timed passes of each size")
    parser.add_argument("--budget", default=budget, help="no size is started that would exceed it")
    parser.add_argument("--out", type=Path, required=True)


def measure_given(fit: ModelFit, given: argparse.Namespace) -> tuple[list[Record], list[str]]:
    """Run the sizes of ``--sizes``, see :func:`measure`.

    Raises
    ------
    UserError
        A size or the budget is impossible, the folder cannot be written, or a trial failed.
    """
    sizes = [size for part in given.sizes.split(",") if (size := part.strip())]
    ensure_writable(given.out)
    return measure(fit, sizes, given.out, given.rounds, parse_duration(given.budget))


def write_given(result: BaseModel, text: str, name: str, given: argparse.Namespace) -> None:
    """Write a result as ``name.json`` and its Markdown as ``name.md``.

    Raises
    ------
    UserError
        A file cannot be written.
    """
    write_whole(given.out / f"{name}.json", result.model_dump_json(indent=1) + "\n", "errors")
    write_whole(given.out / f"{name}.md", text, "errors")


def measure(
    fit: ModelFit, sizes: Sequence[str], folder: Path, rounds: int, budget_s: float
) -> tuple[list[Record], list[str]]:
    """Run the sizes that the store lacks, smallest first, as far as the budget allows.

    Each runs in the fit's configuration at the fidelity of the fit's trials.

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
    pass_s = statistics.median(stage.wall_s for stage in last.steady)
    growth: float = (features[size_feature(last.workload.model)] / fitted_size(last)) ** GROWTH
    return ADDED_S + (rounds + 1) * pass_s * growth
