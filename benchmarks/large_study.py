"""A made-up study of thousands of trials, in the form of the records of a real one.

Machine, versions, stages, samples and programs are those of a shipped tuning. Configurations,
rounds and pass times are made up in the proportions of a long random search: groups of candidates
take turns with a base in one block, most lose after two rounds, a few percent fail, and the best
ones are confirmed in fresh processes.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from perfkit.records.settings import settings_digest, settings_label

type Data = dict[str, Any]

RECORDED = Path(__file__).parents[1] / "reports" / "af3-ubiquitin-screening" / "records-vm.jsonl"
"""Records of a tuning with screening on a shallow network."""

GROUP = 4
"""Candidates that take turns with the base at the same time."""

RENEWED = 50
"""Groups after which the base is started anew."""

WINNERS = 0.15
"""Share of the candidates that pass in :data:`LONG` rounds; the others lose after :data:`SHORT`."""

SHORT, LONG = 2, 6

WHOLE = 0.3
"""Share of the groups that are screened on the whole network, in processes of their own."""

FAILED = 0.04
"""Share of the candidates that XLA refuses."""

FINALISTS, BLOCKS = 20, 12
"""Configurations that are confirmed, and the pairs of processes of each."""

SHALLOW_S, WHOLE_S = 0.4, 9.0
"""Seconds of a pass of stock on the shallow and on the whole network."""

NOISE = 0.03
"""Standard deviation of the logarithm of a pass time."""


def write_large_study(folder: Path, trials: int, seed: int = 1) -> None:
    """Write the records of a study.

    Parameters
    ----------
    folder
        Folder to write to; created if it does not exist.
    trials
        Number of records, at least 1000.
    seed
        Seed of everything that is made up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = LargeStudy(seed)
    searched = list(itertools.islice(made.search(), trials - 2 * FINALISTS * BLOCKS))
    with (folder / "records-made-up-1.jsonl").open("w", encoding="utf-8") as stream:
        for data in itertools.chain(searched, made.confirmation()):
            stream.write(json.dumps(data, separators=(",", ":")) + "\n")


class LargeStudy:
    """Makes the records of a study, as plain data.

    Parameters
    ----------
    seed
        Seed of everything that is made up.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._values = _values_by_knob()
        self._effects = {
            (knob, value): self._chance.gauss(-0.05, 0.15)
            for knob, values in self._values.items()
            for value in values
        }
        self._tried: dict[str, dict[str, str]] = {}
        self._numbers = itertools.count(1)

    def search(self) -> Iterator[Data]:
        """The reference, then groups of candidates and their bases, without an end."""
        yield self._record({"precision": "float32"}, "reference", "reference", {}, shallow=False)
        rounds: dict[bool, list[int]] = {True: [], False: []}
        for group in itertools.count():
            shallow = self._chance.random() >= WHOLE
            block = f"screening-{shallow}"
            begin = LONG * group
            for _ in range(GROUP):
                settings = self._settings()
                count = LONG if self._chance.random() < WINNERS else SHORT
                refused = self._chance.random() < FAILED
                passed = range(begin, begin + (0 if refused else count))
                times_s = self._times_s(settings, passed, shallow)
                yield self._record(settings, "screen", block, times_s, shallow=shallow)
            rounds[shallow] += range(begin, begin + LONG)
            if len(rounds[shallow]) == RENEWED * LONG:
                times_s = self._times_s({}, rounds[shallow], shallow)
                yield self._record({}, "base", block, times_s, shallow=shallow)
                rounds[shallow] = []

    def confirmation(self) -> Iterator[Data]:
        """Blocks of stock and of each of the best configurations that were tried."""
        ordered = sorted(self._tried.items(), key=lambda one: self._log_time(one[1]))
        for (label, settings), block in itertools.product(ordered[:FINALISTS], range(BLOCKS)):
            for own in ({}, settings):
                times_s = self._times_s(own, [0], False)
                yield self._record(own, "confirm", f"{block} {label}", times_s, shallow=False)

    def _settings(self) -> dict[str, str]:
        """Values of one to five knobs."""
        chosen = self._chance.sample(sorted(self._values), self._chance.randint(1, 5))
        settings = {knob: self._chance.choice(self._values[knob]) for knob in sorted(chosen)}
        self._tried[settings_label(tuple(settings.items()))] = settings
        return settings

    def _log_time(self, settings: Mapping[str, str]) -> float:
        """Logarithm of the time relative to stock, without noise."""
        return sum(self._effects[setting] for setting in settings.items())

    def _times_s(
        self, settings: Mapping[str, str], rounds: Iterable[int], shallow: bool
    ) -> dict[int, float]:
        level = self._log_time(settings) if settings else 0.0
        stock_s = SHALLOW_S if shallow else WHOLE_S
        return {
            number: stock_s * math.exp(level + self._chance.gauss(0.0, NOISE)) for number in rounds
        }

    def _record(
        self,
        settings: Mapping[str, str],
        role: str,
        block: str,
        times_s: Mapping[int, float],
        *,
        shallow: bool,
    ) -> Data:
        number = next(self._numbers)
        moment = datetime.fromisoformat("2026-01-01T00:00:00+00:00") + timedelta(
            seconds=20 * number
        )
        pairs = tuple(sorted(settings.items()))
        failed = role == "screen" and not times_s
        return _template(shallow) | {
            "id": f"made-up-{number}",
            "created": moment.isoformat(timespec="milliseconds"),
            "study": "made-up",
            "role": role,
            "block": block,
            "stages": [] if failed else _stages(_template(shallow)["stages"], times_s),
            "outcome": "rejected" if failed else "ok",
            "reason": "XLA refuses the value" if failed else "",
            "configuration": {
                "settings": dict(pairs),
                "digest": settings_digest(pairs),
                "label": settings_label(pairs),
            },
        }


def _stages(stages: list[Data], times_s: Mapping[int, float]) -> list[Data]:
    """The stages of a real trial with other passes, which use the CPUs as the real ones do."""
    first = next(stage for stage in stages if stage["name"] == "steady")
    made = [stage for stage in stages if stage["name"] not in ("steady", "check")]
    begin_s = made[-1]["begin_s"] + made[-1]["wall_s"]
    for number, wall_s in times_s.items():
        used = wall_s / first["wall_s"]
        times = {"user_s": first["user_s"] * used, "system_s": first["system_s"] * used}
        made.append(first | times | {"begin_s": begin_s, "wall_s": wall_s, "round": number})
        begin_s += wall_s
    return made


@cache
def _template(shallow: bool) -> Data:
    """A real record of the shallow network, or of the whole one in a process of its own."""
    depth, role = ("shallow", "screen") if shallow else ("full", "confirm")
    return next(
        data
        for data in _recorded()
        if data["workload"]["depth"] == depth and data["role"] == role and data["outcome"] == "ok"
    )


@cache
def _recorded() -> tuple[Data, ...]:
    return tuple(map(json.loads, RECORDED.read_text(encoding="utf-8").splitlines()))


def _values_by_knob() -> dict[str, list[str]]:
    """The values that the real tuning tried, by knob."""
    found: dict[str, set[str]] = defaultdict(set)
    for data in _recorded():
        for knob, value in data["configuration"]["settings"].items():
            found[knob].add(value)
    return {knob: sorted(values) for knob, values in sorted(found.items())}
