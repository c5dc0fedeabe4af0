"""Damaged files: a plan of them is refused in one sentence or consists of finite numbers."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.calibration import Calibration, calibrate
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.queue.jobs import call_count, production, read_jobs
from perfkit.capacity.queue.machines import Inventory, Machine, read_inventory
from perfkit.capacity.queue.plan import make_plan
from perfkit.errors import UserError
from perfkit.models.costs import Job
from tests.support.planted import INVENTORY, record, study

CEILINGS = {"float32_flops_per_s": 1e11, "copy_bytes_per_s": 1e10}

NUMBERS = (
    *(0, -1, 1, 7, 10**15, -(10**15), True, False, None, "1", "", 0.5, -0.0),
    *(1e-300, 1e17, 1e300, math.inf, -math.inf, math.nan, 10**400),
)

JOBS = """name,tokens,grid,seeds,days,members
a,40,,2,,
b,,2,,1-12:00:00,8
"c,d",1000,,,,
"""

TOKENS = (
    *("1000000000000000", "nan", "inf", "-inf", "1e400", "true", "[", "]", "[]", "{}", '"', '"""'),
    *(",", ";", "\t", "\n", "\r", "\0", "\x1b", "\u2028", "=", "-", "0x10", "9" * 5000, "[" * 2000),
    *("12:00:00", "1979-05-27", "é", "\ufeff", "#"),
)


def _fit() -> ModelFit:
    return assemble(study()).model_copy(update={"ceilings": CEILINGS})


def _planned(fit: ModelFit, machine: Machine) -> None:
    """Plan three jobs, one larger than all measured sizes, and check every number."""
    jobs = [
        Job(f"{size}", "af3", size, production("af3"), {"size": f"{size}"}, "test")
        for size in (20, 80, 400)
    ]
    plan = make_plan(jobs, Inventory((machine,), "EUR"), [fit])
    for each in plan.jobs:
        time, memory = each.option.time, each.option.memory
        for number in (time.low, time.value, time.high, memory.low, memory.value, memory.high):
            assert math.isfinite(number)
            assert number >= 0
        assert math.isfinite(each.placement.end_s)
    for reject in plan.rejects:
        assert len(reject.sentence) < 2000


def _survives(attempt: Callable[[], None]) -> bool:
    """Return whether the attempt succeeds; fail the test for anything but a short refusal."""
    refusal = None
    try:
        attempt()
    except UserError as error:
        refusal = str(error)
    assert refusal is None or 0 < len(refusal) < 2000
    return refusal is None


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Return every container with every key or index in it, depth first."""
    if isinstance(data, dict):
        keys: list[Any] = list(data)
    elif isinstance(data, list):
        keys = list(range(len(data)))
    else:
        return []
    return [place for key in keys for place in [(data, key), *_places(data[key])]]


def _mutate(data: Any, generator: random.Random) -> None:
    """Change a value, a key or a length of parsed data in place."""
    container, key = generator.choice(_places(data))
    value = container[key]
    kind = generator.randrange(6)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, list):
        container.insert(generator.randrange(len(container) + 1), value)
    elif kind == 1:
        container[f"{key}x"] = container.pop(key)
    elif kind == 2 and isinstance(value, list) and value:
        value *= generator.choice((0, 2, 50))
    elif kind == 3 and isinstance(value, float | int):
        container[key] = value * generator.choice((-1, 0, 1e-9, 1e9, 2.5, 10**12))
    elif kind == 4:
        container[key] = generator.choice(([], {}, [value], {"a": value}, "text", "\ud800"))
    else:
        container[key] = generator.choice(NUMBERS)


def _damaged_text(text: str, generator: random.Random) -> str:
    """Delete, repeat or replace a part of a text."""
    first = generator.randrange(len(text))
    last = min(len(text), first + generator.choice((0, 1, 3, 20)))
    kind = generator.randrange(3)
    middle = ("", text[first:last] * 2, generator.choice(TOKENS))[kind]
    return text[:first] + middle + text[last:]


def test_a_damaged_fit_is_refused_or_gives_real_numbers(tmp_path: Path) -> None:
    generator = random.Random(1)
    good = json.loads(_fit().model_dump_json())
    path = tmp_path / "fit.json"
    machine = Machine("node", 2, 2, 16 * 10**9, speed=1.0)
    accepted = 0
    for _ in range(300):
        data = json.loads(json.dumps(good))
        for _ in range(generator.choice((1, 1, 3))):
            _mutate(data, generator)
        path.write_text(json.dumps(data))
        accepted += _survives(lambda: _planned(ModelFit.load(path), machine))
    # Most of a fit is notices, labels and numbers that may have other values.
    assert 30 < accepted < 270


def _survive_damage(path: Path, text: str, attempt: Callable[[], None], seed: int) -> None:
    """Attempt to use a file with 200 random damages."""
    generator = random.Random(seed)
    for _ in range(200):
        path.write_text(_damaged_text(text, generator), encoding="utf-8", newline="")
        _survives(attempt)


def test_a_fit_with_damaged_text_is_refused_or_gives_real_numbers(tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    machine = Machine("node", 2, 2, 16 * 10**9, speed=1.0)

    def attempt() -> None:
        _planned(ModelFit.load(path), machine)

    _survive_damage(path, _fit().model_dump_json(), attempt, seed=2)


def test_a_damaged_calibration_is_refused_or_gives_real_numbers(tmp_path: Path) -> None:
    fit = _fit()
    path = tmp_path / "calibration.toml"
    calibrate([record(32), record(32, role="cpus", cpus=1)], CEILINGS, None).save(path)
    # A checksum would refuse every change before anything else looks at it.
    text = "".join(line for line in path.open() if not line.startswith("checksum"))

    def attempt() -> None:
        machine = Machine("node", 2, 2, 16 * 10**9, calibration=Calibration.load(path))
        _planned(fit, machine)

    _survive_damage(path, text, attempt, seed=3)


def test_a_damaged_inventory_is_refused_or_read(tmp_path: Path) -> None:
    path = tmp_path / "machines.toml"

    def attempt() -> None:
        inventory = read_inventory(path)
        for machine in inventory.machines:
            assert 1 <= machine.count <= 100_000
            assert 1 <= machine.cores <= 16_384
            assert 1 <= machine.memory_bytes <= 10**18
        assert all(len(reject.sentence) < 1000 for reject in inventory.rejects)

    _survive_damage(path, INVENTORY, attempt, seed=4)


def test_a_damaged_queue_is_refused_or_read(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"

    def attempt() -> None:
        jobs, rejects = read_jobs(path)
        assert all(job.size >= 1 and call_count(job) >= 1 for job in jobs)
        assert all(len(reject.sentence) < 1000 for reject in rejects)

    _survive_damage(path, JOBS, attempt, seed=5)


@pytest.mark.parametrize("number", ["1" + 15 * "0", "true", "-1", "0", "nan", "inf", "'4'", "1.5"])
@pytest.mark.parametrize("key", ["count", "cores"])
def test_numbers_of_machines_and_cores_are_integers_within_bounds(
    tmp_path: Path, key: str, number: str
) -> None:
    lines = [line for line in INVENTORY.splitlines() if not line.startswith(f"{key} ")]
    path = tmp_path / "machines.toml"
    path.write_text("\n".join([*lines, f"{key} = {number}"]))
    (reject,) = read_inventory(path).rejects
    assert f"machine 'epyc': {key} is" in reject.sentence
