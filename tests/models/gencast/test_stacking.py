"""The order of channels, against the published model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from perfkit.models.gencast.network.stacking import channel_layout, channel_names, stack, unstack
from perfkit.models.gencast.task import TaskConfig


def test_stacked_channels_equal_the_published_ones(reference: Any) -> None:
    arrays = reference.arrays("stacking")
    layout = channel_layout(TaskConfig())
    stacked = np.full((84, 2, 264), np.nan, np.float32)
    context = [stack(reference.group("stacking", g), 7, 12, 2) for g in ("inputs", "forcings")]
    stacked[..., layout.context_rows] = np.concatenate(context, axis=-1)
    stacked[..., layout.target_rows] = stack(reference.group("stacking", "noisy"), 7, 12, 2)
    np.testing.assert_array_equal(stacked, arrays["stacked"])


def test_channel_names_equal_the_published_ones(reference: Any) -> None:
    listed = json.loads((reference.folder / "stacking.json").read_text())["input_channels"]
    ours = channel_names(TaskConfig())
    assert len(ours) == TaskConfig().grid_channels == 264
    assert [n.split(":")[1].split(",")[0] for n in ours] == [
        n.split(":")[1].split(",")[0] for n in listed
    ]
    assert [n.partition(",level=")[2] for n in ours] == [n.partition(",level=")[2] for n in listed]


def test_unstacked_outputs_equal_the_published_ones(reference: Any) -> None:
    given = reference.arrays("stacking")["unstack_in"]
    ours = unstack(given, TaskConfig(), 7, 12)
    theirs = reference.group("stacking", "unstack_out")
    assert set(ours) == set(theirs)
    for name, expected in theirs.items():
        np.testing.assert_array_equal(ours[name], expected, err_msg=name)
