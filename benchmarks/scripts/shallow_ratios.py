"""Compare the speed-ups of configurations on the shallow network with those on the full one.

    python -m benchmarks.scripts.shallow_ratios SHALLOW.json.xz FULL.json.xz --out FOLDER

The arguments are two recorded sweeps of one input, made by ``record_sweep`` with ``--depth shallow
--trace`` and ``--depth full``. Each configuration that both have is compared. The table has the
ratio of stock's time to that of the configuration on the full network, and two predictions of it
from the shallow network: the ratio of whole passes, and that of passes in which the traced seconds
of each stack are scaled to the blocks of the full network. Below it are Spearman's rank correlation
with the full ratios and the largest relative error of each prediction. ratios.json has the figures,
ratios.md the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, TypeAdapter
from scipy.stats import spearmanr

from benchmarks.recorded import RecordedConfiguration, RecordedSweep, read_sweep
from benchmarks.scripts.ending import ended
from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.models import get_model
from perfkit.models.depth import Stacks, full_pass_s
from perfkit.records.depths import FULL_DEPTH, SHALLOW_DEPTH


class Ratios(BaseModel):
    """Times of stock divided by those of one configuration; above 1 it is faster than stock.

    Attributes
    ----------
    label
        The configuration.
    shallow
        Ratio of whole passes of the shallow network.
    weighted
        The same, with each stack scaled to the blocks of the full network; None where no pass of
        the shallow network was traced.
    full
        Ratio of passes of the full network.
    """

    label: str
    shallow: float
    weighted: float | None
    full: float


class Summary(BaseModel):
    """How well a prediction from the shallow network agrees with the full one.

    Attributes
    ----------
    prediction
        Name of the prediction.
    configurations
        Number of configurations that have it.
    rank_correlation
        Spearman's rank correlation of the predicted and the full ratios.
    worst_error
        Largest relative error of a predicted ratio.
    """

    prediction: str
    configurations: int
    rank_correlation: float
    worst_error: float


_RATIOS = TypeAdapter(list[Ratios])

PREDICTIONS: dict[str, Callable[[Ratios], float | None]] = {
    "whole shallow passes": lambda row: row.shallow,
    "stacks scaled": lambda row: row.weighted,
}
"""Name of a prediction -> its ratio."""


def ratios_of(shallow: RecordedSweep, full: RecordedSweep, stacks: Stacks) -> list[Ratios]:
    """Compare the configurations that both sweeps have passed, without stock.

    Parameters
    ----------
    shallow, full
        Sweeps of one input, of the shallow and of the full network.
    stacks
        Blocks of each stack of the model.

    Raises
    ------
    UserError
        The sweeps are of other depths or of different inputs, or have no configuration in common.
    """
    _ensure_comparable(shallow, full)
    known = full.by_settings
    rows = [
        Ratios(
            label=one.label,
            shallow=1 / one.ratio,
            weighted=_weighted(one, shallow.stock, stacks),
            full=1 / known[one.key].ratio,
        )
        for one in shallow.configurations
        if one.settings and one.passes_s and one.key in known and known[one.key].passes_s
    ]
    if not rows:
        raise UserError(f"the two sweeps of {full.title} have no measured configuration in common")
    return rows


def summarise(rows: Sequence[Ratios]) -> list[Summary]:
    """Compare the predictions with the ratios of the full network; nothing below two rows."""
    summaries = []
    for name, predict in PREDICTIONS.items():
        pairs = [(guess, row.full) for row in rows if (guess := predict(row)) is not None]
        if len(pairs) < 2:
            continue
        predicted, full = zip(*pairs, strict=True)
        summaries.append(
            Summary(
                prediction=name,
                configurations=len(pairs),
                rank_correlation=float(spearmanr(predicted, full).statistic),
                worst_error=max(abs(guess / truth - 1) for guess, truth in pairs),
            )
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
        weighted = "" if row.weighted is None else f"{row.weighted:.3f}"
        lines.append(f"| {row.label} | {row.full:.3f} | {row.shallow:.3f} | {weighted} |")
    lines += [
        "",
        "| prediction | configurations | rank correlation | largest error |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one.prediction} | {one.configurations} | {one.rank_correlation:.3f} "
        f"| {one.worst_error:.1%} |"
        for one in summarise(rows)
    ]
    return "\n".join([*lines, ""])


def _ensure_comparable(shallow: RecordedSweep, full: RecordedSweep) -> None:
    for sweep, depth in ((shallow, SHALLOW_DEPTH), (full, FULL_DEPTH)):
        if sweep.workload.depth != depth:
            raise UserError(f"expected a sweep of {depth} depth, not that of {sweep.title}")
    if shallow.workload.input_digest != full.workload.input_digest:
        raise UserError(f"the sweeps are of different inputs: {shallow.title} and {full.title}")


def _weighted(
    entry: RecordedConfiguration, stock: RecordedConfiguration, stacks: Stacks
) -> float | None:
    """Predicted ratio of full passes; None where a trace is missing."""
    if not entry.part_times_s or not stock.part_times_s:
        return None
    own = _full_per_shallow(entry.part_times_s, stacks)
    return _full_per_shallow(stock.part_times_s, stacks) / own / entry.ratio


def _full_per_shallow(seconds: dict[str, float], stacks: Stacks) -> float:
    """The predicted time of a full pass as a multiple of the traced shallow pass."""
    return full_pass_s(seconds, stacks) / sum(seconds.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shallow", type=Path, help="recorded sweep of the shallow network")
    parser.add_argument("full", type=Path, help="recorded sweep of the full network")
    parser.add_argument("--out", type=Path, help="folder for ratios.md and ratios.json")
    given = parser.parse_args(arguments)
    return ended(lambda: _table(given))


def _table(given: argparse.Namespace) -> str:
    shallow, full = read_sweep(given.shallow), read_sweep(given.full)
    model = get_model(full.workload.model)
    rows = ratios_of(shallow, full, model.stacks(shallow.as_workload()))
    workload = full.workload
    title = f"{workload.model}, {workload.name}, {workload.size} {model.size_unit}"
    table = markdown(title, rows)
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        write_whole(given.out / "ratios.md", table, "table of ratios")
        write_whole(given.out / "ratios.json", _RATIOS.dump_json(rows, indent=1), "ratios")
    return table


if __name__ == "__main__":
    sys.exit(main())
