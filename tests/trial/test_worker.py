"""What the worker of a trial reports, with a prediction of three numbers in place of a model's."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import perfkit.models
from perfkit.models.base import Prepared, Workload
from perfkit.trial.messages import Channel, TrialSpec, parse_event
from perfkit.trial.worker.worker import _Worker

LABEL = "below production fidelity (steps 1 of 2)"


class ThreeNumbers:
    """A model whose writer warns, as one does that finds a damaged cache file."""

    def load(self) -> None:
        """Nothing to import."""

    def prepare(self, workload: Workload, overrides: dict[str, str]) -> Prepared:
        numbers = np.ones(3, np.float32)

        def write(outputs: Any, folder: Path) -> list[Path]:
            logging.getLogger("perfkit.models").warning("perfkit: a table is made again")
            (folder / "numbers.txt").write_text(str(outputs.sum()))
            return [folder / "numbers.txt"]

        return Prepared(
            function=lambda x: x + 1,
            arguments=(numbers,),
            drive=lambda compiled: compiled(numbers),
            parts={},
            compared=lambda outputs: {"numbers": outputs},
            write=write,
            labels=(LABEL,),
        )


def test_what_is_logged_while_the_prediction_is_written_reaches_the_record_before_the_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jax", reason="trials compile")
    monkeypatch.setattr(perfkit.models, "get_model", lambda name: ThreeNumbers())
    monkeypatch.setattr(logging.getLogger("perfkit"), "handlers", [])
    workload = Workload("three", "numbers", 3, {}, {"steps": 1}, "a")
    spec = TrialSpec(workload.as_dict(), {}, (0,), output_folder=str(tmp_path / "out"))
    read, written = os.pipe()
    _Worker(spec, Channel(written), tmp_path).run(iter(()))
    os.close(written)
    with os.fdopen(read) as stream:
        events = [parse_event(line) for line in stream]
    said = [event.data["notices"] for event in events if event.kind == "notices"]
    assert said[-1] == ["a table is made again", LABEL]
    assert [event.kind for event in events][-3:] == ["checked", "stage", "ended"]
    assert (tmp_path / "out" / "numbers.txt").read_text() == "6.0"
