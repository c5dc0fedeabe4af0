"""perfkit next to another distribution of AlphaFold 3: advice, labels, plans and memory."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.models.af3.chemistry.components import build_dictionary, components_needed
from perfkit.models.af3.inputs.fold_input import synthetic_protein
from perfkit.packages import Package
from tests.support.foreign_environment import (
    WHOLE_READER,
    Environment,
    add_alphafold3,
    make_environment,
)
from tests.support.planted import study

pytest.importorskip("alphafold3")

LEFT_OUT = ("alphafold3", "alphafold3_colabfold", "perfkit", "__editable__")

FILLERS, VALUES = 1_500, 800
"""Components that no input names, and values of each: 1.2 million strings."""

FILLER_BYTES = FILLERS * VALUES * (49 + 8)
"""Least memory of their values, each a string of at least 49 bytes and a pointer to it. The real
dictionary has 51,000 components, which take 2.6 GB."""

COUNT = """
import sys
from pathlib import Path
from perfkit.models import get_model
workload = get_model("af3").workload({"size": 16}, {})
status = Path("/proc/self/status").read_text().splitlines()
# Of this process alone: the largest resident set that getrusage reports may be the parent's.
peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
heavy = [name for name in ("jax", "jaxlib", "haiku", "tokamax") if name in sys.modules]
print(workload.size, peak, heavy)
"""


def _ship(package: Path, fillers: int) -> None:
    """Give a package a dictionary with the components of a protein, and others."""
    needed = components_needed(synthetic_protein(16, 1))
    components = pickle.loads(build_dictionary(needed).read_bytes())
    for number in range(fillers):
        values = [f"F{number}-{value}" for value in range(VALUES)]
        components[f"F{number}"] = {"_chem_comp_atom.atom_id": values}
    (package / "constants/converters/ccd.pickle").write_bytes(pickle.dumps(components))


def _like_deepmind(package: Path) -> None:
    """Have the package read the dictionary that it ships as a whole."""
    _ship(package, fillers=0)
    with (package / "constants/chemical_components.py").open("a") as module:
        module.write(WHOLE_READER)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with a package that reads its dictionary as DeepMind's does."""
    made = make_environment(tmp_path_factory.mktemp("lab") / "env", without=LEFT_OUT)
    add_alphafold3(made, "3.0.4", edit=_like_deepmind)
    return made


def _counted(environment: Environment) -> tuple[int, int, str]:
    """Tokens, peak memory in bytes and heavy modules of a process that made a workload."""
    finished = environment.run("-c", COUNT)
    assert finished.returncode == 0, finished.stderr
    tokens, peak, heavy = finished.stdout.split(maxsplit=2)
    return int(tokens), int(peak), heavy.strip()


def test_missing_packages_are_named_alone_and_the_model_stays(tmp_path: Path) -> None:
    made = make_environment(tmp_path / "env", without=(*LEFT_OUT, "biotite"))
    package = add_alphafold3(made, "3.0.4")
    before = sorted(package.rglob("*.py"))
    finished = made.run("-m", "perfkit", "run", "--model", "af3")
    assert finished.returncode == 2
    # The distribution's own requirement gives the version.
    assert finished.stderr == (
        "perfkit: AlphaFold 3 needs biotite, which is not installed: pip install 'biotite>=1.0'\n"
    )
    assert sorted(package.rglob("*.py")) == before


def test_a_process_that_counts_tokens_holds_no_model_data(environment: Environment) -> None:
    """It reads the dictionary of the package by an index, which another process has built."""
    peaks = []
    for fillers in (0, FILLERS):
        _ship(environment.packages / "alphafold3", fillers)
        # The first process has the index built.
        _counted(environment)
        tokens, peak, heavy = _counted(environment)
        assert (tokens, heavy) == (16, "[]")
        peaks.append(peak)
    assert peaks[1] - peaks[0] < FILLER_BYTES / 4


def test_a_plan_with_a_fit_of_another_package_is_refused(
    environment: Environment, tmp_path: Path
) -> None:
    other = Package("alphafold3", "alphafold3-colabfold", "3.1.18")
    records = [one.model_copy(update={"model_package": other}) for one in study()]
    assemble(records).save(tmp_path / "fit.json")
    finished = environment.run(
        *("-m", "perfkit", "plan", "--fit", "fit.json", "--here", "--size", "40"), cwd=tmp_path
    )
    assert finished.returncode == 2
    assert finished.stderr == (
        "perfkit: the fit of af3 was measured with alphafold3-colabfold 3.1.18, but alphafold3 "
        "3.0.4 would run the jobs, whose time and memory differ: repeat 'perfkit plan fit' here\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["fit.json"]
    assert json.loads((tmp_path / "fit.json").read_text())["package"]["version"] == "3.1.18"
