"""Tunings that workers share: nodes of one kind only."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.api.shared.shared_tune import NodeKind, refuse_other_kind
from perfkit.errors import UserError
from tests.support.toy_worker import toy_plan, toy_study

FIRST = NodeKind("0123", "Test CPU")


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (NodeKind("4567", "Old CPU"), "this one has the CPU Old CPU, not Test CPU"),
        (NodeKind("4567", "Test CPU"), "this one has another memory, kernel or package"),
    ],
)
def test_a_node_of_another_kind_than_the_first_is_refused(
    tmp_path: Path, other: NodeKind, difference: str
) -> None:
    study = toy_study(tmp_path, toy_plan([0.0]))
    for _ in range(2):
        refuse_other_kind(study, FIRST)
    with pytest.raises(UserError, match=f"{difference}; choose nodes of one kind"):
        refuse_other_kind(study, other)
