"""Models by name: perfkit's own, and those that other packages add."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.models import get_model, model_names
from tests.support.plugin import install


def test_a_package_adds_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_names() == ("af3", "gencast")
    monkeypatch.syspath_prepend(install(tmp_path))
    assert model_names() == ("af3", "gencast", "heat")
    assert get_model("heat").size_unit == "nodes"


def test_a_model_that_no_package_adds_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="unknown model 'gencas'; the nearest is 'gencast'"):
        get_model("gencas")


@pytest.mark.parametrize(
    ("target", "reason"),
    [("no_such_module:Heat", "No module named"), ("heat_model:Cold", "has no attribute 'Cold'")],
)
def test_a_package_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, reason: str
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, target))
    with pytest.raises(UserError, match=f"the model 'heat' of the package heat-model .*{reason}"):
        get_model("heat")


def test_a_package_cannot_take_the_name_of_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = install(tmp_path) / "heat_model-1.0.dist-info" / "entry_points.txt"
    entries.write_text("[perfkit.models]\naf3 = heat_model:Heat\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert model_names() == ("af3", "gencast")
    assert get_model("af3").size_unit == "tokens"
