"""The memory of trials side by side, with estimates that are worked out by hand."""

from __future__ import annotations

from typing import cast

import pytest

from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models.af3.knobs import KNOBS
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.roles import Role
from perfkit.tuning.memory_need import needed_bytes
from perfkit.tuning.session import Start
from tests.support.tiny_sweep import WORKLOAD

CATALOGUE = Catalogue(KNOBS)
BYTES = {"": 4.0, "precision": 8.0, "allocator": 6.0}


class Estimates:
    """A model that needs a number of bytes by the knob that is set."""

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> int:
        return int(BYTES[next(iter(configuration.as_dict()), "")])


def _needed(*starts: tuple[Configuration, bool]) -> float:
    return needed_bytes(
        cast(Model, Estimates()),
        [Start(WORKLOAD, one, Role.SCREEN, shared_process=shared) for one, shared in starts],
    )


PRECISION = CATALOGUE.configuration({"precision": "float32"})
ALLOCATOR = CATALOGUE.configuration({"allocator": "glibc-keep"})


def test_processes_of_their_own_add_up() -> None:
    assert _needed((STOCK, False), (PRECISION, False)) == 12.0


def test_a_further_program_of_a_process_needs_a_quarter_of_a_process() -> None:
    assert _needed((STOCK, True), (PRECISION, True)) == pytest.approx(8.0 + 0.25 * 4.0)


def test_settings_of_a_process_need_another_process() -> None:
    assert _needed((STOCK, True), (ALLOCATOR, True), (PRECISION, True)) == pytest.approx(
        8.0 + 0.25 * 4.0 + 6.0
    )


def test_nothing_needs_nothing() -> None:
    assert _needed() == 0.0
