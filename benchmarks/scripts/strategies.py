"""Share of the exhaustive cost after which each search strategy is near the optimum.

Whole studies run on a virtual clock that replays recorded sweeps, with noise that is drawn from the
recorded passes. Prints a table for each sweep in Markdown, and writes it and the numbers as JSON if
there is a folder for them. Sweeps at full depth give the passes at that depth to the shallow sweep
of the same input.

Usage: python -m benchmarks.scripts.strategies [SWEEP ...] [--seeds 50] [--strategy NAME ...]
       [--rounds 5] [--budget-share 2] [--workers N] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks.recorded import SUFFIX, RecordedSweep, read_sweep
from benchmarks.scripts.ending import ended
from benchmarks.search_quality import Quality, markdown_of, quality_of
from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.knobs.cpus import allowed_cpus
from perfkit.tuning.search.registry import STRATEGIES, make_strategy

FOLDER = Path("reports") / "recorded-sweeps"
"""Folder of the sweeps that ship with the repository."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    given = _parser().parse_args(arguments)
    return ended(lambda: _tables(given))


def _tables(given: argparse.Namespace) -> str:
    qualities = _measure(given)
    table = markdown_of(qualities)
    if given.out is not None:
        write_whole(given.out / "strategies.md", table, "table")
        numbers = json.dumps([asdict(one) for one in qualities], indent=1) + "\n"
        write_whole(given.out / "strategies.json", numbers, "table")
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "sweeps", nargs="*", type=Path, help=f"recorded sweeps; by default those of {FOLDER}"
    )
    parser.add_argument("--seeds", type=int, default=50, help="studies of each strategy")
    parser.add_argument(
        "--strategy", action="append", default=[], help="name of a strategy; by default all"
    )
    parser.add_argument("--rounds", type=int, default=5, help="passes in the exhaustive cost")
    parser.add_argument(
        "--budget-share", type=float, default=2.0, help="of a study, relative to exhaustive cost"
    )
    parser.add_argument(
        "--workers", type=int, default=len(allowed_cpus()), help="processes side by side"
    )
    parser.add_argument("--out", type=Path, help="folder for strategies.md and strategies.json")
    return parser


def _measure(given: argparse.Namespace) -> list[Quality]:
    paths = given.sweeps or sorted(FOLDER.glob(f"*{SUFFIX}"))
    if not paths:
        raise UserError(f"there is no recorded sweep in {FOLDER}; name the files of some")
    sweeps = [read_sweep(path) for path in paths]
    searched = [one for one in sweeps if not one.missing]
    for one in sweeps:
        if one.missing:
            print(f"{one.title}: a sample, which is not searched", file=sys.stderr)
    if not searched:
        # The sentence of the first sweep says what it lacks.
        sweeps[0].ensure_factorial()
    names = given.strategy or sorted(STRATEGIES)
    for name in names:
        make_strategy(name)
    jobs = [(sweep, name, _other_depth(sweep, sweeps)) for sweep in searched for name in names]
    measure = partial(
        _quality,
        seeds=range(given.seeds),
        rounds=given.rounds,
        budget_share=given.budget_share,
    )
    if given.workers == 1:
        return [measure(job) for job in jobs]
    with ProcessPoolExecutor(given.workers) as pool:
        return list(pool.map(measure, jobs))


def _quality(
    job: tuple[RecordedSweep, str, RecordedSweep | None],
    seeds: Iterable[int],
    rounds: int,
    budget_share: float,
) -> Quality:
    sweep, name, other = job
    return quality_of(sweep, partial(make_strategy, name), seeds, rounds, other, budget_share)


def _other_depth(sweep: RecordedSweep, sweeps: Sequence[RecordedSweep]) -> RecordedSweep | None:
    """The sweep of the same input at another depth, if there is one."""
    own = sweep.workload
    return next(
        (
            one
            for one in sweeps
            if (one.workload.model, one.workload.input_digest) == (own.model, own.input_digest)
            and one.workload.depth != own.depth
        ),
        None,
    )


if __name__ == "__main__":
    sys.exit(main())
