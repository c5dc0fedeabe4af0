"""A program of others reads its component dictionary by an index, with the same result."""

from __future__ import annotations

import functools
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.component_index import write_index
from perfkit.models.af3.foreign.dictionary import INDEXED, adapt_dictionary
from tests.support.settings_report import KeptReport

ALANINE = {"_chem_comp.id": ["ALA"], "_chem_comp_atom.atom_id": ["N", "CA", "C", "O", "CB"]}
LIGAND = {"_chem_comp.id": ["LIG"]}


class Package(ModuleType):
    """A stub of ``alphafold3.constants.chemical_components`` that reads whole dictionaries.

    Attributes
    ----------
    read
        Files that it has read whole.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__("chemical_components")
        self.read: list[str] = []
        self.shipped = folder / "ccd.pickle"
        self.shipped.write_bytes(pickle.dumps({"ALA": ALANINE}))

        @functools.cache
        def load(path: str) -> Any:
            self.read.append(Path(path).name)
            return pickle.loads(Path(path).read_bytes())

        vars(self).update(_load_ccd_pickle_cached=load, _CCD_PICKLE_FILE=str(self.shipped))


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


def test_the_dictionary_of_the_package_is_read_by_an_index(
    package: Package, tmp_path: Path
) -> None:
    index = tmp_path / "ccd.index"
    with index.open("wb") as stream:
        write_index({"ALA": ALANINE}, stream)
    report = KeptReport()
    adapt_dictionary(package, report, lambda dictionary: index)
    load = vars(package)["_load_ccd_pickle_cached"]
    found = load(str(package.shipped))
    assert dict(found) == {"ALA": ALANINE}
    assert package.read == []
    assert report.sentences == [INDEXED]
    # Upstream's function has one dictionary for the process, to which inputs add components.
    found.update({"LIG": LIGAND})
    assert load(str(package.shipped))["LIG"] == LIGAND
    # A dictionary of the user is read as before.
    other = tmp_path / "own.pickle"
    other.write_bytes(pickle.dumps({"LIG": LIGAND}))
    assert load(str(other)) == {"LIG": LIGAND}
    assert package.read == ["own.pickle"]


def test_a_dictionary_without_an_index_is_read_whole(package: Package) -> None:
    def refused(dictionary: Path) -> Path:
        raise UserError("the cache cannot be written")

    report = KeptReport()
    adapt_dictionary(package, report, refused)
    assert vars(package)["_load_ccd_pickle_cached"](str(package.shipped)) == {"ALA": ALANINE}
    assert package.read == ["ccd.pickle"]
    (sentence,) = report.sentences
    assert sentence.endswith("is not read by an index: the cache cannot be written")


def test_a_package_with_an_index_of_its_own_is_left_alone(package: Package) -> None:
    own = vars(package)["_load_ccd_pickle_cached"]
    vars(package)["write_ccd_index"] = print
    adapt_dictionary(package, KeptReport())
    assert vars(package)["_load_ccd_pickle_cached"] is own
