"""The index of a package's component dictionary holds the same components, read one by one."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import ModuleType

import pytest

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.component_index import (
    ComponentIndex,
    LayeredComponents,
    index_file,
    read_by_index,
    write_index,
)
from perfkit.paths import CACHE_VARIABLE

COMPONENTS = {
    "ALA": {"_chem_comp.id": ["ALA"], "_chem_comp_atom.atom_id": ["N", "CA", "C", "O", "CB"]},
    "Ü-1": {"_chem_comp.id": ["Ü-1"], "_chem_comp.name": ["a 'name', \"quoted\"\nin two lines"]},
    "XXX": {"_chem_comp.id": []},
}


@pytest.fixture
def dictionary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dictionary as upstream stores it, and an empty cache."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    path = tmp_path / "ccd.pickle"
    path.write_bytes(pickle.dumps(COMPONENTS))
    return path


def _package(**attributes: object) -> ModuleType:
    """A module with a function that reads a whole dictionary, as DeepMind's has."""
    module = ModuleType("chemical_components")

    def load(path: str) -> dict[str, dict[str, list[str]]]:
        loaded: dict[str, dict[str, list[str]]] = pickle.loads(Path(path).read_bytes())
        return loaded

    vars(module).update({"_load_ccd_pickle_cached": load} | attributes)
    return module


def test_an_index_made_in_a_process_of_its_own_holds_the_same_components(dictionary: Path) -> None:
    path = index_file(dictionary)
    found = ComponentIndex(path)
    assert dict(found) == COMPONENTS
    assert list(found) == list(COMPONENTS)
    assert "ALA" in found
    assert "ala" not in found
    with pytest.raises(KeyError):
        found["ala"]
    # It is built once, and again for another dictionary of the same name.
    before = path.stat().st_mtime_ns
    assert index_file(dictionary) == path
    assert path.stat().st_mtime_ns == before
    dictionary.write_bytes(pickle.dumps(COMPONENTS | {"ZZZ": {"_chem_comp.id": ["ZZZ"]}}))
    assert len(ComponentIndex(index_file(dictionary))) == 4


def test_a_dictionary_that_upstream_cannot_read_is_refused(dictionary: Path) -> None:
    dictionary.write_bytes(b"no pickle")
    with pytest.raises(UserError, match=r"the component dictionary .* cannot be read"):
        index_file(dictionary)


def test_components_that_json_would_change_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "index").open("wb") as stream, pytest.raises(ValueError, match="component A"):
        write_index({"A": {"_chem_comp.id": ("A",)}}, stream)


def test_upstream_reads_its_own_dictionary_by_the_index_and_other_files_whole(
    dictionary: Path, tmp_path: Path
) -> None:
    module = _package()
    assert read_by_index(module, dictionary)
    assert read_by_index(module, dictionary)
    own = module._load_ccd_pickle_cached(str(dictionary))
    assert isinstance(own, LayeredComponents)
    assert dict(own) == COMPONENTS
    other = tmp_path / "other.pickle"
    other.write_bytes(pickle.dumps({"OTHER": {}}))
    assert module._load_ccd_pickle_cached(str(other)) == {"OTHER": {}}


def test_components_of_one_input_do_not_reach_the_next(dictionary: Path) -> None:
    module = _package()
    read_by_index(module, dictionary)
    first = module._load_ccd_pickle_cached(dictionary)
    first.update({"ALA": {"_chem_comp.id": ["mine"]}, "NEW": {"_chem_comp.id": ["NEW"]}})
    assert first["ALA"] == {"_chem_comp.id": ["mine"]}
    assert (len(first), list(first)[-1]) == (4, "NEW")
    second = module._load_ccd_pickle_cached(dictionary)
    assert second["ALA"] == COMPONENTS["ALA"]
    assert "NEW" not in second


@pytest.mark.parametrize(
    "other", [{"write_ccd_index": None}, {"_load_ccd_json": None}], ids=["own index", "two readers"]
)
def test_packages_that_read_in_another_way_are_left_alone(
    dictionary: Path, other: dict[str, object]
) -> None:
    module = _package(**other)
    before = dict(vars(module))
    assert not read_by_index(module, dictionary)
    assert vars(module) == before
