"""What the worker of a trial reports, with a prediction of three numbers in place of a model's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from perfkit.trial.messages import (
    Channel,
    Command,
    Event,
    Instruction,
    TrialSpec,
    parse_event,
)
from perfkit.trial.worker.worker import Worker
from tests.support.three_numbers import LABEL, find_three_numbers, three_numbers


def _events(folder: Path, commands: Sequence[Command], output_folder: Path | None) -> list[Event]:
    """The events of a worker that follows these commands."""
    pytest.importorskip("jax", reason="the worker compiles")
    out = None if output_folder is None else str(output_folder)
    spec = TrialSpec(three_numbers().as_dict(), {}, (0,), output_folder=out)
    read, written = os.pipe()
    spec.write(folder / "spec.json")
    worker = Worker(Channel(written), find_three_numbers)
    worker.follow(Instruction(Command.OPEN, spec=folder / "spec.json"))
    for command in (*commands, Command.FINISH):
        worker.follow(Instruction(command))
    worker.close()
    os.close(written)
    with os.fdopen(read) as stream:
        return [parse_event(line) for line in stream]


def test_a_warning_while_the_prediction_is_written_is_a_notice_before_the_label(
    tmp_path: Path,
) -> None:
    events = _events(tmp_path, (), tmp_path / "out")
    notices = [event.data["notices"] for event in events if event.kind == "notices"]
    assert notices[-1] == ["a table is made again", LABEL]
    assert [event.kind for event in events][-3:] == ["checked", "stage", "ended"]
    assert (tmp_path / "out" / "numbers.txt").read_text() == "6.0"


def test_an_answer_that_was_checked_is_not_checked_again_at_the_end(tmp_path: Path) -> None:
    events = _events(tmp_path, (Command.PASS, Command.CHECK), None)
    stages = [event.data["name"] for event in events if event.kind == "stage"]
    assert stages == ["import", "prepare", "trace", "compile", "first", "steady", "check"]
    # Without a prediction there is nothing to label.
    assert [event.data for event in events if event.kind == "notices"] == [{"notices": []}] * 2
