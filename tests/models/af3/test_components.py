"""Chemical components: the reduced dictionary, and the sets of glycans and ions."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from perfkit.errors import MissingDependencyError, UserError
from perfkit.models.af3.chemistry.biotite_dictionary import dictionary_key, source_file
from perfkit.models.af3.chemistry.components import build_dictionary, components_needed
from perfkit.models.af3.chemistry.glycan_ion_sets import (
    glycan_ion_sets_file,
    provide_glycan_ion_sets,
)

type Load = Callable[[str], tuple[Any, tuple[str, ...]]]

_ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("component_cache")


def _package() -> Path:
    spec = importlib.util.find_spec("alphafold3")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.fixture(scope="module")
def dictionary(component_cache: Path) -> Path:
    return build_dictionary(["ALA", "MSE", "HEM", "MG"])


@pytest.fixture(scope="module")
def components(dictionary: Path) -> dict[str, dict[str, list[str]]]:
    from alphafold3.common import safe_pickle

    with dictionary.open("rb") as file:
        loaded: dict[str, dict[str, list[str]]] = safe_pickle.load(file)
    return loaded


def test_the_dictionary_holds_the_components_asked_for(
    components: dict[str, dict[str, list[str]]],
) -> None:
    assert set(components) == {"ALA", "MSE", "HEM", "MG"}


def test_a_component_reads_as_the_wwpdb_publishes_it(
    components: dict[str, dict[str, list[str]]],
) -> None:
    alanine = components["ALA"]
    assert alanine["_chem_comp.name"] == ["ALANINE"]
    assert alanine["_chem_comp.formula"] == ["C3 H7 N O2"]
    assert alanine["_chem_comp_atom.atom_id"][:5] == ["N", "CA", "C", "O", "CB"]
    ideal = [float(alanine[f"_chem_comp_atom.pdbx_model_Cartn_{axis}_ideal"][0]) for axis in "xyz"]
    assert ideal == [-0.966, 0.493, 1.5]
    bonds = list(
        zip(
            alanine["_chem_comp_bond.atom_id_1"],
            alanine["_chem_comp_bond.atom_id_2"],
            alanine["_chem_comp_bond.value_order"],
            strict=True,
        )
    )
    assert ("C", "O", "DOUB") in bonds


def test_a_component_has_all_its_atoms_and_no_other(
    components: dict[str, dict[str, list[str]]],
) -> None:
    # Haem B is C34 H32 Fe N4 O4.
    elements = components["HEM"]["_chem_comp_atom.type_symbol"]
    counts = {element: elements.count(element) for element in set(elements)}
    assert counts == {"C": 34, "H": 32, "FE": 1, "N": 4, "O": 4}
    assert components["MG"]["_chem_comp_atom.charge"] == ["2"]
    assert components["MG"]["_chem_comp_bond.atom_id_1"] == []


def test_a_missing_value_is_read_as_a_question_mark(
    components: dict[str, dict[str, list[str]]],
) -> None:
    assert components["ALA"]["_chem_comp.mon_nstd_parent_comp_id"] == ["?"]
    assert components["MSE"]["_chem_comp.mon_nstd_parent_comp_id"] == ["MET"]


def test_a_dictionary_is_built_once(dictionary: Path) -> None:
    before = dictionary.stat().st_mtime_ns
    assert build_dictionary(["MG", "HEM", "MSE", "ALA", "MG"]) == dictionary
    assert dictionary.stat().st_mtime_ns == before


def test_the_msgpack_format_holds_the_same(
    components: dict[str, dict[str, list[str]]],
) -> None:
    path = build_dictionary(["ALA", "MSE", "HEM", "MG"], ".msgpack")
    assert msgpack.unpackb(path.read_bytes()) == components


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UserError, match=r"'\.parquet' files"):
        build_dictionary(["ALA"], ".parquet")


@pytest.mark.parametrize(("code", "nearest"), [("hem", "HEM"), ("NAGX", "NAG")])
def test_the_refusal_of_an_unknown_code_names_the_nearest(code: str, nearest: str) -> None:
    with pytest.raises(UserError, match=f"unknown chemical component '{code}'.*{nearest}"):
        build_dictionary(["ALA", code])


def test_the_sets_of_glycans_and_ions_come_from_the_whole_dictionary() -> None:
    provide_glycan_ion_sets()
    from alphafold3.constants import chemical_component_sets

    assert len(chemical_component_sets.GLYCAN_LINKING_LIGANDS) == 478
    assert len(chemical_component_sets.GLYCAN_OTHER_LIGANDS) == 717
    assert {"NAG", "MAN", "BMA", "FUC"} <= chemical_component_sets.GLYCAN_LINKING_LIGANDS
    with glycan_ion_sets_file(".pickle").open("rb") as file:
        ions = pickle.load(file)["ions"]
    assert len(ions) == 207
    assert {"MG", "ZN", "CL"} <= ions
    assert "HEM" not in ions


def test_a_dictionary_is_identified_by_version_and_content(tmp_path: Path) -> None:
    source = tmp_path / "components.bcif"
    source.write_bytes(b"one")
    first = dictionary_key(source)
    assert first.startswith(f"biotite-{importlib.metadata.version('biotite')}-")
    source.write_bytes(b"two")
    assert dictionary_key(source) != first
    source.write_bytes(b"one")
    assert dictionary_key(source) == first


@pytest.mark.parametrize("changed", [b"", b"cut", b"flipped"])
def test_a_damaged_dictionary_is_built_again(
    changed: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = build_dictionary(["MG"])
    whole = path.read_bytes()
    damaged = {b"cut": whole[:-9], b"flipped": whole.replace(b"MAGNESIUM", b"MAGNESIUN")}
    path.write_bytes(damaged.get(changed, changed))
    assert build_dictionary(["MG"]).read_bytes() == whole
    assert caplog.messages[0].endswith("the dictionary of chemical components is rebuilt")


def test_an_index_that_upstream_wrote_is_not_used() -> None:
    from alphafold3.constants import chemical_components

    path = build_dictionary(["ZN"])
    wrong = {"ZN": {"_chem_comp.name": ["GOLD"]}}
    write_index = getattr(chemical_components, "write_ccd_index", None)
    if write_index is None:
        pytest.skip("the installed alphafold3 keeps no index")
    write_index(wrong, path)
    zinc = chemical_components.Ccd(str(build_dictionary(["ZN"])))["ZN"]
    assert zinc["_chem_comp.name"] == ["ZINC ION"]


def test_each_package_has_its_own_sets() -> None:
    first = glycan_ion_sets_file(".pickle")
    second = glycan_ion_sets_file(".pickle", "another", lambda: {"ions": frozenset({"X"})})
    assert pickle.loads(second.read_bytes()) == {"ions": {"X"}}
    assert first.exists()
    assert first != second


def test_needed_components_are_the_standard_ones_and_those_of_the_input(load: Load) -> None:
    fold_input, _ = load("glycoprotein")
    needed = components_needed(fold_input)
    assert {"ALA", "TRP", "UNK", "A", "N", "DT", "DN", "MSE", "NAG"} <= needed
    assert "HEM" not in needed


def test_components_that_the_input_defines_are_not_looked_up(load: Load) -> None:
    fold_input, _ = load("own_component")
    assert "PKE" not in components_needed(fold_input)


def test_nothing_is_written_into_the_package(dictionary: Path) -> None:
    provide_glycan_ion_sets()
    left = {path.suffix for path in (_package() / "constants" / "converters").iterdir()}
    assert left <= {".py", ""}


def test_the_error_about_a_missing_dictionary_explains_the_setup(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"python -m biotite\.setup_ccd"):
        source_file(tmp_path)


def _run(code: str, package_parent: Path, cache: Path) -> str:
    """Return the output of an interpreter that finds another alphafold3 first."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(package_parent), str(_ROOT)]),
        "PERFKIT_CACHE": str(cache),
    }
    finished = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return finished.stdout.strip()


_LOOK = """
from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets
provide_glycan_ion_sets()
from alphafold3.constants import chemical_component_sets, chemical_components
from perfkit.models.af3.chemistry.components import ccd_for
from perfkit.models.af3.inputs.fold_input import UBIQUITIN, load_fold_input
ccd = ccd_for(load_fold_input(UBIQUITIN)[0])
print(len(chemical_component_sets.GLYCAN_LINKING_LIGANDS), len(ccd), ccd["GLY"]["_chem_comp.id"])
"""


@pytest.fixture
def package_copy(tmp_path: Path) -> Path:
    """A copy of the installed package that may be changed."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pickle", "*.msgpack")
    return Path(shutil.copytree(_package(), tmp_path / "alphafold3", ignore=ignored))


def test_files_that_the_package_ships_are_used(
    package_copy: Path, tmp_path: Path, component_cache: Path
) -> None:
    needed = build_dictionary(_standard_codes() | {"XE"})
    shutil.copy(needed, package_copy / "constants" / "converters" / "ccd.pickle")
    sets = {
        "glycans_linking": frozenset({"NAG"}),
        "glycans_other": frozenset(),
        "ions": frozenset(),
    }
    (package_copy / "constants" / "converters" / "chemical_component_sets.pickle").write_bytes(
        pickle.dumps(sets)
    )
    printed = _run(_LOOK, tmp_path, tmp_path / "cache")
    assert printed == f"1 {len(_standard_codes()) + 1} ['GLY']"
    assert not (tmp_path / "cache").exists()


_MSGPACK_SETS = """
from alphafold3.common import resources
import msgpack

_NAME = "constants/converters/chemical_component_sets.msgpack"
with open(resources.filename(resources.ROOT / _NAME), "rb") as file:
    _SETS = msgpack.unpack(file)
GLYCAN_LINKING_LIGANDS = frozenset(_SETS["glycans_linking"])
GLYCAN_OTHER_LIGANDS = frozenset(_SETS["glycans_other"])
"""


def test_a_package_that_reads_msgpack_gets_msgpack(
    package_copy: Path, tmp_path: Path, component_cache: Path
) -> None:
    """DeepMind's repository since 2026 has other file names, another attribute and reader."""
    (package_copy / "constants" / "chemical_component_sets.py").write_text(_MSGPACK_SETS)
    module = package_copy / "constants" / "chemical_components.py"
    text = module.read_text()
    assert "safe_pickle.load(f)" in text
    module.write_text(
        text.replace("_CCD_PICKLE_FILE", "_CCD_MSGPACK_FILE")
        .replace("ccd.pickle", "ccd.msgpack")
        .replace("safe_pickle.load(f)", "__import__('msgpack').unpack(f)")
    )
    assert _run(_LOOK, tmp_path, component_cache) == f"478 {len(_standard_codes())} ['GLY']"


def _standard_codes() -> set[str]:
    """List the components of every dictionary: 21 amino acids, 5 nucleotides each, 2 more."""
    amino_acids = (
        "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL UNK"
    )
    return {*amino_acids.split(), *"ACGUN", *("DA", "DC", "DG", "DT", "DN"), "MSE", "HOH"}
