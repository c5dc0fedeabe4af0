"""The matrix of environments: what a line installs, and that every test it names exists."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from scripts.matrix import (
    ROOT,
    Environment,
    constraints_for,
    find_python,
    read_matrix,
    requirements,
)

LINE = Environment("3.12", "0.10.2", "0.10.2", "0.0.12")


def test_a_line_of_the_file_is_an_environment(tmp_path: Path) -> None:
    path = tmp_path / "matrix.toml"
    path.write_text(
        "environments = [\n"
        "    { python = '3.12', jax = '0.10.2', jaxlib = '0.10.2', tokamax = '0.0.12' },\n"
        "]\n"
        "tests = ['tests/a.py']\n"
    )
    assert read_matrix(path) == ([LINE], ["tests/a.py"])


def test_ci_runs_the_oldest_supported_and_the_pinned_jax_on_two_pythons() -> None:
    environments, tests = read_matrix()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {name for extra in project["optional-dependencies"].values() for name in extra}
    oldest = environments[0]
    assert {f"jax[cpu]>={oldest.jax}", f"tokamax>={oldest.tokamax}"} <= named
    # A bound that only some extras have would let an older JAX in.
    assert {"jax", "jax[cpu]", "tokamax"}.isdisjoint(named)
    pinned = (ROOT / "constraints.txt").read_text().split()
    assert set(environments[-1].pinned) <= set(pinned)
    assert {environment.python for environment in environments} == {"3.12", "3.13"}
    assert [name for name in tests if not (ROOT / name).exists()] == []


def test_only_jax_and_what_follows_it_is_not_pinned_by_the_constraints() -> None:
    pinned = "flax==0.12.12\njax==0.12.0.1\njaxlib==0.12.0.1\njaxtyping==0.3.11\nnumpy==2.5.5\n"
    assert constraints_for(pinned, LINE).split() == [
        "jaxtyping==0.3.11",
        "numpy==2.5.5",
        "jax==0.10.2",
        "jaxlib==0.10.2",
        "tokamax==0.0.12",
    ]


def test_an_environment_holds_perfkit_s_packages_and_those_of_both_models() -> None:
    extras = {"af3-colabfold": ["tokamax"], "gencast": ["xarray"], "search": ["optuna"]}
    project = {"project": {"dependencies": ["rich"], "optional-dependencies": extras}}
    found = requirements(project)
    assert found[:3] == ["rich", "tokamax", "xarray"]
    assert "pytest" in found
    assert "optuna" not in found


def test_a_python_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(SystemExit, match=r"the matrix needs Python 3\.99, and none was found"):
        find_python("3.99")
