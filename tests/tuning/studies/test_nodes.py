"""Records of several nodes: kinds are ranked apart, and a slower node is named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from perfkit.records.schema import Record
from perfkit.tuning.studies.nodes import by_kind, node_sentences
from tests.support.records_factory import MACHINE, make_record


def _controls(
    node: str, times_s: Sequence[float], cpu: str = "Test CPU", role: str = "base"
) -> list[Record]:
    machine = MACHINE | {"node": node, "cpu": cpu, "digest": f"digest of {cpu}"}
    return [make_record(role=role, steady_s=[time] * 3, machine=machine) for time in times_s]


@pytest.mark.parametrize("role", ["base", "confirm"])
def test_a_node_that_is_slower_than_its_kind_is_named(role: str) -> None:
    """The medians are 12 and 10 s: a ratio of 1.20. Stock is the control of a block."""
    times = [9.9, 10.0, 10.0, 10.1, 10.0]
    slow = [11.9, 12.0, 12.1, 12.0, 12.0]
    records = [
        record
        for node, own in (("n1", times), ("n2", times), ("n3", slow))
        for record in _controls(node, own, role=role)
    ]
    assert node_sentences(records) == [
        "node n3 is 1.20 times as slow as the other nodes with Test CPU (5 against 10 controls)"
    ]


def test_a_node_of_another_kind_is_not_called_slow() -> None:
    records = _controls("n1", [10.0] * 6) + _controls("n2", [20.0] * 6, cpu="Old CPU")
    assert node_sentences(records) == []
    assert {name: len(own) for name, own in by_kind(records).items()} == {
        "Test CPU": 6,
        "Old CPU": 6,
    }


@pytest.mark.parametrize("count", [1, 3])
def test_few_controls_name_no_node(count: int) -> None:
    records = _controls("n1", [10.0] * 6) + _controls("n2", [20.0] * count)
    assert node_sentences(records) == []


def test_equal_nodes_are_rarely_named() -> None:
    """At most 1 % of 300 studies of three equal nodes; processes differ by 10 %."""
    random = np.random.default_rng(7)
    named = 0
    for _ in range(300):
        records = [
            record
            for node in ("n1", "n2", "n3")
            for record in _controls(node, list(10 * random.lognormal(0, 0.1, 6)))
        ]
        named += bool(node_sentences(records))
    assert named <= 6
