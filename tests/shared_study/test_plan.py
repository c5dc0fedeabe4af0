"""The plan of a shared study: a folder holds one, and a damaged one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.shared_study.plan import PLAN_NAME, read_plan, write_plan
from tests.support.toy_worker import toy_plan


def test_the_folder_of_another_study_is_refused(tmp_path: Path) -> None:
    write_plan(tmp_path, toy_plan([0.0]))
    write_plan(tmp_path, toy_plan([0.0]))
    with pytest.raises(UserError, match="holds another shared study"):
        write_plan(tmp_path, toy_plan([0.0, 1.0]))


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, '{"units": [{"key": "../x"}]}'])
def test_a_damaged_plan_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="is no shared study"):
        read_plan(tmp_path)
    (tmp_path / PLAN_NAME).write_text(text)
    with pytest.raises(UserError, match="is not the plan of a study"):
        read_plan(tmp_path)


def test_a_growing_study_continues_with_another_budget_only(tmp_path: Path) -> None:
    first = toy_plan([0.0]).model_copy(
        update={"grows": True, "arguments": {"budget": "1h", "size": 8}}
    )
    write_plan(tmp_path, first)
    longer = first.model_copy(update={"arguments": {"budget": "2h", "size": 8}})
    write_plan(tmp_path, longer)
    assert read_plan(tmp_path).arguments["budget"] == "2h"
    with pytest.raises(UserError, match="holds another shared study"):
        write_plan(tmp_path, first.model_copy(update={"arguments": {"budget": "2h", "size": 9}}))
