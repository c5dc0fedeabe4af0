"""Shallow workloads: how their passes add up to full ones, and that they write no prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfkit.errors import UserError
from perfkit.models.base import REST
from perfkit.models.depth import SHALLOW_NOTICE, Blocks, full_pass_s, shallow_workload
from perfkit.models.workload import Workload
from perfkit.records.depths import SHALLOW_DEPTH
from tests.support.plugin.heat_model import Heat

STACKS = {"trunk": Blocks(4, 48), "diffusion": Blocks(2, 6)}


def test_a_full_pass_has_more_of_the_stacks_and_as_much_of_the_rest() -> None:
    seconds = {"trunk": 0.5, "diffusion": 0.25, REST: 0.125}
    # 12 times the trunk, 3 times the diffusion, once the rest.
    assert full_pass_s(seconds, STACKS) == 6.0 + 0.75 + 0.125


def test_a_pass_without_stacks_is_a_full_pass() -> None:
    assert full_pass_s({REST: 2.0, "noise": 0.5}, {}) == 2.5


def test_a_shallow_workload_is_another_computation_and_has_one_notice_of_it() -> None:
    full = Workload("af3", "ubiquitin", 76, {"size": 76}, {"steps": 4}, "0123", ("synthetic",))
    shallow = shallow_workload(full)
    assert shallow.digest != full.digest
    assert (shallow.size, shallow.source, shallow.fidelity) == (76, {"size": 76}, {"steps": 4})
    assert shallow.notices == ("synthetic", SHALLOW_NOTICE)
    assert shallow_workload(shallow) == shallow


def _answer(workload: Workload) -> tuple[Any, Any]:
    import jax

    prepared = Heat().prepare(workload, {})
    return prepared, prepared.drive(jax.jit(prepared.function))


def test_a_model_of_another_package_may_have_a_shallow_network(tmp_path: Path) -> None:
    model = Heat()
    shallow = model.shallow(model.workload({"edge": 8}, {"steps": 20}))
    assert shallow is not None
    assert (shallow.depth, shallow.fidelity) == (SHALLOW_DEPTH, {"steps": 20})
    assert model.stacks(shallow) == {"step": Blocks(5, 20)}
    prepared, outputs = _answer(shallow)
    _, expected = _answer(model.workload({"edge": 8}, {"steps": 5}))
    np.testing.assert_array_equal(outputs["plate"], expected["plate"])
    with pytest.raises(UserError, match="the shallow network makes no prediction"):
        prepared.write(outputs, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_network_without_repeated_blocks_has_no_shallow_one() -> None:
    model = Heat()
    assert model.shallow(model.workload({"edge": 8}, {"steps": 1})) is None
