"""A known preset is recommended without measuring; what cannot be answered is refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from perfkit.api.recommending import recommend as recommend_known
from perfkit.errors import UserError
from perfkit.tuning.preset import load_preset
from tests.presets.conftest import WritePreset, make_here


def test_the_nearest_of_shipped_and_stored_presets(
    write_preset: WritePreset, tmp_path: Path
) -> None:
    write_preset("data/af3/shipped.toml", size=76)
    stored = write_preset("results/x/preset.toml", size=300)
    results = tmp_path / "results"
    recommend = partial(recommend_known, here=make_here(), shipped_folder=tmp_path / "data")
    assert recommend(size=76).preset.name == "shipped"
    assert recommend(size="299").preset.name == "shipped"
    assert recommend(size="299", store=results).preset.name == str(stored)
    assert recommend(size=299, store=results, shipped="shipped").preset.name == "shipped"


def test_the_saved_preset_holds_what_this_machine_can_use(
    write_preset: WritePreset, tmp_path: Path
) -> None:
    write_preset("data/af3/one.toml", {"allocator": "tcmalloc", "bucket": "exact"})
    path = tmp_path / "mine.toml"
    recommend_known(size=76, preset_out=path, here=make_here(), shipped_folder=tmp_path / "data")
    saved = load_preset(path)
    assert saved.model == "af3"
    assert saved.configuration.as_dict() == {"bucket": "exact"}
    assert saved.measured["speedup"] == 2.0
    assert saved.measured["summary"].startswith("From the shipped preset one: 2.00 times as fast")
    assert any("tcmalloc" in sentence for sentence in saved.measured["trust"])


@pytest.mark.parametrize("size", ["0", "-1", "ten", "", "1e3", "7.5", "²", "9" * 30, 10**9 + 1])
def test_an_impossible_size_is_refused(size: int | str) -> None:
    with pytest.raises(UserError, match="--size takes a whole number of tokens from 1 to"):
        recommend_known(size=size)


def test_what_cannot_be_answered_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown model 'af4'; the nearest is 'af3'"):
        recommend_known(model="af4", size=76)
    with pytest.raises(UserError, match="no preset of model 'gencast' is known; measure one"):
        recommend_known(model="gencast", size=76, shipped_folder=tmp_path)
    with pytest.raises(UserError, match=r"there is no folder .*missing"):
        recommend_known(size=76, store=tmp_path / "missing")
    with pytest.raises(UserError, match="'af3-256' is for model 'af3', not 'gencast'"):
        recommend_known(model="gencast", size=76, shipped="af3-256")
