"""Real tunings of equal candidates: how often is one of them recommended?

Each study runs the real model through the strategy, trials and statistics of `perfkit tune`. Its
candidates set a flag that affects GPU programs only. Prints one line per study and the number of
false winners. At the claimed 5 %, more than 2 false winners of 20 have a probability of 7.5 %.

Usage: python -m benchmarks.scripts.equal_studies --out FOLDER [--studies 20] [--budget 2m]
       [--candidates 4] [--model gencast] [--option NAME=VALUE ...] [--strategy NAME]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.records.machine import available_memory_bytes
from perfkit.records.store import Store
from perfkit.stats.exact import first_look
from perfkit.trial.limits import Limits
from perfkit.tuning.choice.noise import inert_configurations
from perfkit.tuning.search.registry import DEFAULT_STRATEGY, STRATEGIES, make_strategy
from perfkit.tuning.search.strategy import SearchSpace
from perfkit.tuning.studies.live import LiveRunner
from perfkit.tuning.studies.progress import SilentProgress
from perfkit.tuning.studies.study import Study
from perfkit.tuning.studies.study_plan import StudyPlan
from perfkit.units import parse_duration, seconds_text


def main() -> int:
    """Run the studies; the exit code is 0 if at most one in twenty has a false winner.

    Studies whose screening dropped all candidates have no interval and count as right.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="a new folder for the records of all studies"
    )
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--budget", default="2m", help="of each study")
    parser.add_argument("--model", default="gencast")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the model's input, e.g. resolution=5; by default its smallest input",
    )
    parser.add_argument("--strategy", choices=STRATEGIES, default=DEFAULT_STRATEGY)
    given = parser.parse_args()
    model = get_model(given.model)
    kinds = {option.name: option.kind for option in model.options}
    pairs = (text.split("=", 1) for text in given.option)
    options = {name: kinds[name](value) for name, value in pairs} or model.small_options
    workload = model.workload(options, {})
    catalogue = Catalogue(model.knobs)
    equals = inert_configurations(catalogue, given.candidates)
    space = SearchSpace(catalogue, tuple(one.settings for one in equals))
    winners = judged = 0
    for number in range(given.studies):
        folder = given.out / f"study-{number:02}"
        plan = StudyPlan(
            model,
            catalogue,
            workload,
            Store(folder),
            parse_duration(given.budget),
            available_memory_bytes() / 2,
            extrapolate=False,
        )
        runner = LiveRunner(folder, Limits(), lambda stage: None)
        study, begin_s = (
            Study(plan, make_strategy(given.strategy), runner, SilentProgress(), space),
            time.monotonic(),
        )
        study.run()
        found = study.recommendation()
        winners += found.best is not None and bool(found.best.settings)
        took = seconds_text(time.monotonic() - begin_s)
        blocks = max((row.blocks for row in found.rows if row.settings), default=0)
        judged += blocks >= first_look()
        print(f"{number}: {took}, {len(study.records())} trials, {blocks} blocks: {found.sentence}")
        sys.stdout.flush()
    print(
        f"{winners} false winners in {given.studies} studies of {given.candidates} equals; "
        f"{judged} studies have an interval"
    )
    return 0 if winners <= given.studies / 20 else 1


if __name__ == "__main__":
    sys.exit(main())
