"""Ceilings: kept once they are measured, measured anew where what is kept is unusable."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perfkit.cache import store_value
from perfkit.files import Plain
from perfkit.observers.roofline import ceilings
from perfkit.observers.roofline.ceilings import Ceilings, _Kept, measured_ceilings

MEASURED = Ceilings(100e9, 200e9, 10e9)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFKIT_CACHE", str(tmp_path))


def test_ceilings_of_a_quiet_machine_are_measured_once_and_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = [_Kept(MEASURED, True), _Kept(Ceilings(1.0, 2.0, 3.0), True)]
    monkeypatch.setattr(ceilings, "_measure", lambda: results.pop(0))
    assert measured_ceilings() == measured_ceilings() == MEASURED
    assert measured_ceilings(again=True) == Ceilings(1.0, 2.0, 3.0)


def test_ceilings_of_a_busy_machine_are_measured_again_and_the_best_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = [_Kept(Ceilings(50e9, 210e9, 9e9), False), _Kept(MEASURED, True)]
    monkeypatch.setattr(ceilings, "_measure", lambda: results.pop(0))
    assert measured_ceilings() == Ceilings(50e9, 210e9, 9e9)
    assert measured_ceilings() == Ceilings(100e9, 210e9, 10e9)
    assert measured_ceilings() == Ceilings(100e9, 210e9, 10e9)
    assert results == []


OTHER = Ceilings(1.0, 2.0, 3.0)


def test_a_changed_digit_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [_Kept(MEASURED, True), _Kept(OTHER, True)]
    monkeypatch.setattr(ceilings, "_measure", lambda: results.pop(0))
    measured_ceilings()
    (kept,) = (tmp_path / "ceilings").iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"100000000000.0", b"900000000000.0"))
    assert measured_ceilings() == measured_ceilings() == OTHER


@pytest.mark.parametrize("value", [None, 7, {"quiet": True}, {"ceilings": {}, "quiet": True}])
def test_what_is_no_measurement_is_measured_anew(
    monkeypatch: pytest.MonkeyPatch, value: Plain
) -> None:
    monkeypatch.setattr(ceilings, "_measure", lambda: _Kept(MEASURED, True))
    store_value(ceilings._entry(), value)
    assert measured_ceilings() == MEASURED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fingerprint", lambda: {"digest": "another CPU"}),
        ("installed_build", lambda distribution: "another build"),
        ("allowed_cpus", lambda: (0, 63)),
    ],
)
def test_another_machine_build_or_set_of_cpus_is_measured_by_itself(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Callable[..., object]
) -> None:
    results = [_Kept(MEASURED, True), _Kept(OTHER, True)]
    monkeypatch.setattr(ceilings, "_measure", lambda: results.pop(0))
    assert measured_ceilings() == MEASURED
    with monkeypatch.context() as changed:
        changed.setattr(ceilings, name, value)
        assert measured_ceilings() == OTHER
    assert measured_ceilings() == MEASURED


def test_the_ceiling_of_a_product_follows_its_operands() -> None:
    assert MEASURED.flops_per_s("f32") == 100e9
    assert MEASURED.flops_per_s("bf16") == 200e9


def test_the_real_ceilings_are_of_the_order_that_numpy_reaches() -> None:
    pytest.importorskip("jax")
    measured = measured_ceilings()
    a = np.ones((1024, 1024), np.float32)
    begin_s = time.perf_counter()
    a @ a
    numpy_flops_per_s = 2 * 1024**3 / (time.perf_counter() - begin_s)
    # NumPy multiplies with OpenBLAS: what XLA reaches is within a factor of thirty of that even
    # on a machine that is busy with other work.
    assert 1 / 30 < measured.float32_flops_per_s / numpy_flops_per_s < 30
    assert measured.bfloat16_flops_per_s > 1e9
    assert measured.copy_bytes_per_s > 1e8
