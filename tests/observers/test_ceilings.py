"""Ceilings: measured once per machine, and measured again if the cached value is unusable."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perfkit.cache import store_value
from perfkit.files import JsonData
from perfkit.observers.roofline.ceilings import (
    Ceilings,
    Circumstances,
    Measurement,
    measured_ceilings,
)

MEASURED = Ceilings(100e9, 200e9, 10e9)
OTHER = Ceilings(1.0, 2.0, 3.0)
HERE = Circumstances(machine="this one", jax="1", jaxlib="2", cpus=(0, 1))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFKIT_CACHE", str(tmp_path))


def _results(*measurements: Measurement) -> Callable[[], Measurement]:
    """A program that gives these measurements in turn, and fails when it runs once more."""
    left = list(measurements)
    return lambda: left.pop(0)


def test_ceilings_of_a_quiet_machine_are_measured_once() -> None:
    measure = _results(Measurement(MEASURED, True), Measurement(OTHER, True))
    for _ in range(2):
        assert measured_ceilings(circumstances=HERE, measure=measure) == MEASURED
    assert measured_ceilings(again=True, circumstances=HERE, measure=measure) == OTHER


def test_ceilings_of_a_busy_machine_are_measured_again_and_the_highest_rates_kept() -> None:
    measure = _results(Measurement(Ceilings(50e9, 210e9, 9e9), False), Measurement(MEASURED, True))
    assert measured_ceilings(circumstances=HERE, measure=measure) == Ceilings(50e9, 210e9, 9e9)
    for _ in range(2):
        assert measured_ceilings(circumstances=HERE, measure=measure) == Ceilings(
            100e9, 210e9, 10e9
        )


def test_a_damaged_cache_is_measured_again(tmp_path: Path) -> None:
    measure = _results(Measurement(MEASURED, True), Measurement(OTHER, True))
    measured_ceilings(circumstances=HERE, measure=measure)
    (file,) = (tmp_path / "ceilings").iterdir()
    file.write_bytes(file.read_bytes().replace(b"100000000000.0", b"900000000000.0"))
    for _ in range(2):
        assert measured_ceilings(circumstances=HERE, measure=measure) == OTHER


@pytest.mark.parametrize("value", [None, 7, {"quiet": True}, {"ceilings": {}, "quiet": True}])
def test_a_cached_value_that_is_no_measurement_is_measured_again(value: JsonData) -> None:
    store_value(HERE.entry(), value)
    measure = _results(Measurement(MEASURED, True))
    assert measured_ceilings(circumstances=HERE, measure=measure) == MEASURED


@pytest.mark.parametrize(
    "changes", [{"machine": "another"}, {"jax": "3"}, {"jaxlib": "3"}, {"cpus": (0, 63)}]
)
def test_another_machine_build_or_set_of_cpus_is_measured_separately(
    changes: dict[str, object],
) -> None:
    elsewhere = dataclasses.replace(HERE, **changes)  # type: ignore[arg-type]  # a field each
    measure = _results(Measurement(MEASURED, True), Measurement(OTHER, True))
    assert measured_ceilings(circumstances=HERE, measure=measure) == MEASURED
    assert measured_ceilings(circumstances=elsewhere, measure=measure) == OTHER
    assert measured_ceilings(circumstances=HERE, measure=measure) == MEASURED


def test_the_ceiling_of_a_product_follows_its_operands() -> None:
    assert MEASURED.flops_per_s("f32") == 100e9
    assert MEASURED.flops_per_s("bf16") == 200e9


@pytest.mark.alone
def test_the_real_ceilings_are_of_the_order_that_numpy_reaches() -> None:
    pytest.importorskip("jax")
    measured = measured_ceilings()
    a = np.ones((1024, 1024), np.float32)
    begin_s = time.perf_counter()
    _ = a @ a
    numpy_flops_per_s = 2 * 1024**3 / (time.perf_counter() - begin_s)
    # NumPy multiplies with OpenBLAS. XLA is within a factor of thirty of it, even on a machine
    # that is busy with other work.
    assert 1 / 30 < measured.float32_flops_per_s / numpy_flops_per_s < 30
    assert measured.bfloat16_flops_per_s > 1e9
    assert measured.copy_bytes_per_s > 1e8
