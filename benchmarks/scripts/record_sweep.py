"""Record a sweep: measure hundreds of configurations of a model in turns with a common base.

The configurations are all combinations of the most promising values of the search space, at least
``--at-least`` of them, so that a search can be replayed on the sweep without a gap. At full depth,
``--configurations 30`` measures a sample of them. Records are appended to the folder as they are
made; the same command resumes, and writes the sweep again from all records. The last line of the
output is the path of the sweep.

Of many configurations that are about as fast, the one with the luckiest passes looks fastest.
``--refine 20`` measures the 20 fastest with more rounds, as often as others take their place.

Usage: python -m benchmarks.scripts.record_sweep --model af3 --option size=76 --out FOLDER
       [--depth shallow|full] [--at-least 200] [--knob NAME=V1,V2 ...] [--configurations N]
       [--base NAME=VALUE ...] [--refine N] [--refined-rounds 36] [--rounds 5] [--block 6]
       [--budget 60m] [--own-processes] [--trace] [--sweep FILE.json.xz]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.recorded import SUFFIX, write_sweep
from benchmarks.recording import Recording, RecordingPlan
from benchmarks.scripts.ending import ended
from benchmarks.sweep_design import factor_values, factorial, sample
from benchmarks.sweep_of_records import fastest, sweep_of
from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue, parse_values
from perfkit.models import get_model
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.depths import FULL_DEPTH, SHALLOW_DEPTH
from perfkit.records.machine import available_memory_bytes
from perfkit.records.schema import Record
from perfkit.records.store import Store
from perfkit.trial.limits import Limits
from perfkit.tuning.space import search_space
from perfkit.tuning.studies.live import LiveRunner
from perfkit.units import parse_duration

MEMORY_SHARE = 0.8
"""Share of the available memory that the trials of a block may use."""


class Lines:
    """Prints the sentences of a recording, and a line for each trial that failed."""

    def trial_started(self, role: str, label: str) -> None:
        """Do nothing."""

    def stage(self, stage: str) -> None:
        """Do nothing."""

    def trial_finished(self, record: Record) -> None:
        """Print how a trial ended, unless it ended well."""
        if record.reason:
            self.say(f"{record.configuration.label}: {record.outcome}: {record.reason}")

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        print(sentence, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Record what is missing, and write the sweep."""
    given = _parser().parse_args(arguments)
    try:
        return ended(lambda: _record(given))
    except KeyboardInterrupt:
        print("interrupted: all measurements are kept; run the same command again", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the model's input, e.g. size=76; by default its smallest input",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the records")
    parser.add_argument(
        "--sweep", type=Path, help="file of the sweep; by default sweep.json.xz in --out"
    )
    parser.add_argument(
        "--depth", choices=(SHALLOW_DEPTH, FULL_DEPTH), default=SHALLOW_DEPTH, help="of the network"
    )
    parser.add_argument(
        "--at-least", type=int, default=200, help="combinations of values, at the fewest"
    )
    parser.add_argument(
        "--knob",
        action="append",
        default=[],
        metavar="NAME=V1,V2",
        help="combine these values, in place of the most promising ones of the search space",
    )
    parser.add_argument(
        "--configurations", type=int, help="measure stock, single changes and a random rest only"
    )
    parser.add_argument(
        "--base",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the base, which should be steady from pass to pass; by default stock",
    )
    parser.add_argument(
        "--refine", type=int, default=0, help="number of the fastest that get more rounds"
    )
    parser.add_argument(
        "--refined-rounds", type=int, default=36, help="timed passes of each of the fastest"
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed passes of a configuration")
    parser.add_argument(
        "--block", type=int, default=6, help="candidates in turns with one process of the base"
    )
    parser.add_argument(
        "--own-processes", action="store_true", help="one process for each configuration"
    )
    parser.add_argument(
        "--trace", action="store_true", help="trace a pass of each configuration by parts"
    )
    parser.add_argument("--budget", default="12h", help="no block begins after this time")
    return parser


def _record(given: argparse.Namespace) -> str:
    model = get_model(given.model)
    catalogue = Catalogue(model.knobs)
    workload = _workload(model, given.option, given.depth)
    values = _values(model, workload, catalogue, given.knob, given.at_least)
    configurations = factorial(catalogue, values)
    listed = " ".join(f"{name}={','.join(own)}" for name, own in values.items())
    print(f"{len(configurations)} combinations of {listed} and the defaults", flush=True)
    if given.configurations is not None:
        configurations = sample(configurations, given.configurations)
    plan = RecordingPlan(
        model=model,
        catalogue=catalogue,
        workload=workload,
        configurations=configurations,
        store=Store(given.out),
        rounds=given.rounds,
        block=given.block,
        budget_s=parse_duration(given.budget),
        traced=given.trace,
        shared_processes=not given.own_processes,
        base=catalogue.configuration(dict(map(catalogue.parse_setting, given.base))),
    )
    runner = LiveRunner(given.out, Limits(), lambda stage: None)
    allowed_bytes = MEMORY_SHARE * available_memory_bytes()
    recording = Recording(plan, runner, Lines(), allowed_bytes)
    recording.run()
    records = recording.records()
    while short := fastest(plan, records, given.refine, given.refined_rounds):
        print(f"{len(short)} of the {given.refine} fastest get more rounds", flush=True)
        refined = replace(plan, configurations=short, rounds=given.refined_rounds)
        recording = Recording(refined, runner, Lines(), allowed_bytes)
        recording.run()
        before, records = len(records), recording.records()
        if len(records) == before:
            # The budget is spent.
            break
    path = given.sweep or given.out / f"sweep{SUFFIX}"
    write_sweep(path, sweep_of(plan, records))
    return str(path)


def _workload(model: Model, options: Sequence[str], depth: str) -> Workload:
    """The workload of a user's options at a depth.

    Raises
    ------
    UserError
        An option is unknown or impossible, or the model has no shallow network.
    """
    full = model.workload(_options(model, options) or model.small_options, {})
    workload = full if depth == FULL_DEPTH else model.shallow(full)
    if workload is None:
        raise UserError(f"{model.name} has no shallow network; pass --depth {FULL_DEPTH}")
    return workload


def _options(model: Model, given: Sequence[str]) -> dict[str, str | int | float | bool]:
    """The options of an input, as the model takes them."""
    kinds = {option.name: option.kind for option in model.options}
    options: dict[str, str | int | float | bool] = {}
    for name, value in map(parse_values, given):
        if name not in kinds:
            raise UserError(f"{model.name} has no option {name!r}; it has {', '.join(kinds)}")
        try:
            options[name] = kinds[name](value)
        except ValueError:
            raise UserError(
                f"option {name} of {model.name} takes a {kinds[name].__name__}, not {value!r}"
            ) from None
    return options


def _values(
    model: Model, workload: Workload, catalogue: Catalogue, chosen: Sequence[str], at_least: int
) -> dict[str, tuple[str, ...]]:
    """Values to combine by knob: those of the user, or the most promising ones."""
    if not chosen:
        return factor_values(search_space(model, workload, catalogue).changes, at_least)
    pairs = [parse_values(text) for text in chosen]
    return {
        name: tuple(catalogue.knob(name).canonical(value) for value in values.split(","))
        for name, values in pairs
    }


if __name__ == "__main__":
    sys.exit(main())
