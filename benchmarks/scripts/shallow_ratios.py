"""Compare the speed-ups of configurations on the shallow network with those on the full one.

Run it on an otherwise idle machine. It can be resumed: configurations that the folder holds already
are not measured again.

    python -m benchmarks.scripts.shallow_ratios --model af3 --out shallow-ratios-af3
    python -m benchmarks.scripts.shallow_ratios --model gencast --size 2 --configurations 30

Each configuration and stock run in turns on both networks, each in a process of its own. The table
has the ratio of stock's time to that of the configuration on the full network, and two predictions
of it from the shallow network: the ratio of whole passes, and that of passes in which the traced
seconds of each stack are scaled to the blocks of the full network. Below it are Spearman's rank
correlation with the full ratios and the largest relative error of each prediction. ratios.json has
the figures, ratios.md the table.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, TypeAdapter
from scipy.stats import spearmanr

from perfkit.errors import PerfkitError
from perfkit.files import write_whole
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models import get_model, model_names
from perfkit.models.base import Model
from perfkit.models.depth import Stacks, full_pass_s
from perfkit.models.workload import Workload
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.stats.exact import paired_ratio
from perfkit.trial.launcher import TrialProcess
from perfkit.trial.request import TrialLabels, TrialRequest
from perfkit.tuning.search.strategy import SearchSpace
from perfkit.tuning.space import search_space


class Ratios(BaseModel):
    """Times of stock divided by those of one configuration; above 1 it is faster than stock.

    Attributes
    ----------
    label
        The configuration.
    digest
        Digest of the configuration, by which a resumed run finds it.
    shallow
        Ratio of whole passes of the shallow network.
    weighted
        The same, with each stack scaled to the blocks of the full network.
    full
        Ratio of passes of the full network.
    reason
        Why there are no ratios; empty if there are.
    """

    label: str
    digest: str
    shallow: float = 0.0
    weighted: float = 0.0
    full: float = 0.0
    reason: str = ""


class Summary(BaseModel):
    """How well a prediction from the shallow network agrees with the full one.

    Attributes
    ----------
    prediction
        Name of the prediction.
    rank_correlation
        Spearman's rank correlation of the predicted and the full ratios.
    worst_error
        Largest relative error of a predicted ratio.
    """

    prediction: str
    rank_correlation: float
    worst_error: float


_RATIOS = TypeAdapter(list[Ratios])

PREDICTIONS: dict[str, Callable[[Ratios], float]] = {
    "whole shallow passes": lambda row: row.shallow,
    "stacks scaled": lambda row: row.weighted,
}
"""Name of a prediction -> its ratio."""


def configurations(space: SearchSpace, count: int) -> list[Configuration]:
    """Return configurations of a search: each change of stock, then pairs of changes.

    Parameters
    ----------
    space
        What a search on this machine would try.
    count
        Most configurations; fewer if the space has no more.
    """

    def candidates() -> Iterator[Configuration]:
        for change in space.changes:
            yield space.changed(STOCK, change)
        for one, other in itertools.combinations(space.changes, 2):
            yield space.changed(space.changed(STOCK, other), one)

    distinct = dict.fromkeys(each for each in candidates() if each != STOCK)
    return list(itertools.islice(distinct, count))


def summarise(rows: Sequence[Ratios]) -> list[Summary]:
    """Compare both predictions with the ratios of the full network; nothing below two rows."""
    measured = [row for row in rows if not row.reason]
    if len(measured) < 2:
        return []
    full = [row.full for row in measured]
    summaries = []
    for name, predict in PREDICTIONS.items():
        predicted = [predict(row) for row in measured]
        errors = [abs(guess / truth - 1) for guess, truth in zip(predicted, full, strict=True)]
        correlation = float(spearmanr(predicted, full).statistic)
        summaries.append(
            Summary(prediction=name, rank_correlation=correlation, worst_error=max(errors))
        )
    return summaries


def markdown(title: str, rows: Sequence[Ratios]) -> str:
    """Lay out the table and the summary."""
    lines = [
        f"# {title}",
        "",
        "| configuration | full | whole shallow passes | stacks scaled |",
        "|---|---|---|---|",
    ]
    for row in rows:
        numbers = (row.full, row.shallow, row.weighted)
        cells = [row.reason, "", ""] if row.reason else [f"{number:.3f}" for number in numbers]
        lines.append(f"| {row.label} | {' | '.join(cells)} |")
    lines += ["", "| prediction | rank correlation | largest error |", "|---|---|---|"]
    lines += [
        f"| {each.prediction} | {each.rank_correlation:.3f} | {each.worst_error:.1%} |"
        for each in summarise(rows)
    ]
    return "\n".join([*lines, ""])


def full_per_shallow(record: Record, stacks: Stacks) -> float:
    """Return the predicted time of a full pass as a multiple of the traced shallow pass."""
    seconds = record.part_times_s
    if not seconds:
        raise RuntimeError(f"the trial {record.id} has no traced pass: {record.reason}")
    return full_pass_s(seconds, stacks) / sum(seconds.values())


class Measurement:
    """Stock and candidates on both networks.

    Parameters
    ----------
    model, full
        Model, and workload at full depth.
    folder
        Folder of the records.
    rounds
        Passes of each trial.

    Raises
    ------
    SystemExit
        The model has no shallow network for this workload.
    """

    def __init__(self, model: Model, full: Workload, folder: Path, rounds: int) -> None:
        shallow = model.shallow(full)
        if shallow is None:
            raise SystemExit(f"{model.name} has no shallow network for {full.name}")
        self._workloads = (shallow, full)
        self._stacks = model.stacks(shallow)
        self._folder = folder
        self._rounds = rounds

    def ratios(self, configuration: Configuration) -> Ratios:
        """Measure one configuration and stock in turns."""
        shallow, full = self._workloads
        found = Ratios(label=configuration.label, digest=configuration.digest)
        trials = [
            self._trial(workload, setting)
            for workload in (shallow, full)
            for setting in (STOCK, configuration)
        ]
        seconds: list[list[float]] = [[] for _ in trials]
        try:
            for trial in trials:
                trial.start()
                if not trial.wait_ready():
                    return found.model_copy(update={"reason": trial.finish().reason})
            for number in range(self._rounds):
                stages = [trial.steady_pass(number) for trial in trials]
                walls = [stage.wall_s for stage in stages if stage is not None]
                if len(walls) == len(trials):
                    for times, wall_s in zip(seconds, walls, strict=True):
                        times.append(wall_s)
            for trial in trials[:2]:
                trial.trace_parts()
            records = [trial.finish() for trial in trials]
        finally:
            for trial in trials:
                if trial.alive:
                    trial.abort(Outcome.INTERRUPTED, "the comparison ended")
        failed = next((record for record in records if record.outcome is not Outcome.OK), None)
        if failed is not None or not seconds[0]:
            reason = "no complete round" if failed is None else failed.reason
            return found.model_copy(update={"reason": reason})
        plain = paired_ratio(seconds[0], seconds[1]).median
        stock, candidate = (full_per_shallow(record, self._stacks) for record in records[:2])
        return found.model_copy(
            update={
                "shallow": plain,
                "weighted": plain * stock / candidate,
                "full": paired_ratio(seconds[2], seconds[3]).median,
            }
        )

    def _trial(self, workload: Workload, configuration: Configuration) -> TrialProcess:
        labels = TrialLabels(role=Role.SWEEP)
        return TrialProcess(TrialRequest(workload, configuration, self._folder, labels=labels))


def main() -> int:
    """Measure what the folder lacks, and print the table after each configuration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, choices=model_names())
    parser.add_argument("--size", help="tokens or degrees (default: the model's own input)")
    parser.add_argument("--configurations", type=int, default=20, help="(default 20)")
    parser.add_argument("--rounds", type=int, default=5, help="passes of each trial (default 5)")
    parser.add_argument("--out", type=Path, help="folder (default: shallow-ratios-MODEL)")
    given = parser.parse_args()
    try:
        return run(given)
    except PerfkitError as error:
        raise SystemExit(str(error)) from error


def run(given: argparse.Namespace) -> int:
    """Measure as the command line asks."""
    model = get_model(given.model)
    workload = model.workload({}, {})
    if given.size is not None:
        workload = model.resized(workload, given.size)
    folder: Path = given.out or Path(f"shallow-ratios-{model.name}")
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / f"ratios-{workload.digest}.json"
    rows = _RATIOS.validate_json(stored.read_bytes()) if stored.exists() else []
    done = {row.digest for row in rows}
    measurement = Measurement(model, workload, folder, given.rounds)
    space = search_space(model, workload, Catalogue(model.knobs))
    for configuration in configurations(space, given.configurations):
        if configuration.digest in done:
            continue
        rows.append(measurement.ratios(configuration))
        write_whole(stored, _RATIOS.dump_json(rows, indent=1), "the ratios")
        print(f"{configuration.label}: {rows[-1].reason or rows[-1].full}", flush=True)
    table = markdown(f"{model.name}, {workload.name}, {workload.size} {model.size_unit}", rows)
    write_whole(stored.with_suffix(".md"), table, "the table of ratios")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
