"""The doctor passes a good jaxlib, and finds the faults of a bad one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from perfkit.diagnose import doctor
from perfkit.diagnose.diagnosis import Answer, Diagnosis
from perfkit.diagnose.examiner import Setup
from perfkit.diagnose.known_answers import KNOWN_ANSWERS, compare_elements
from perfkit.diagnose.mending import Candidate, find_remedies
from perfkit.errors import MissingDependencyError
from perfkit.knobs.configuration import Catalogue
from perfkit.paths import cache_folder


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    return doctor.examine()


def test_the_installed_jaxlib_is_healthy(diagnosis: Diagnosis) -> None:
    assert diagnosis.wrong == ()
    assert diagnosis.healthy
    assert len(diagnosis.answers) == len(KNOWN_ANSWERS)
    assert json.loads(json.dumps(diagnosis.as_dict()))["healthy"] is True


def test_contraction_is_remarked_but_is_no_fault(diagnosis: Diagnosis) -> None:
    (answer,) = [answer for answer in diagnosis.answers if answer.name == "difference_of_squares"]
    assert answer.right
    # Compilers without fused multiply-add contract nothing; then there is no remark.
    remark = r"\d+ of 10000 differences of equal squares are not zero \(contraction\)"
    assert re.fullmatch(f"(?:{remark})?", answer.detail)


def test_one_wrong_element_is_found_and_both_values_are_shown() -> None:
    got = np.arange(10.0)
    got[7] = 70.0
    answer = compare_elements("x", got, np.arange(10.0), 1e-6)
    assert not answer.right
    assert answer.detail == "1 of 10 elements; at [7] 70, not 7"


def test_nan_and_infinity_equal_only_themselves() -> None:
    assert compare_elements("x", [np.nan, np.inf], [np.nan, np.inf]).right
    assert not compare_elements("x", [np.inf], [-np.inf]).right
    assert not compare_elements("x", [0.0], [np.nan]).right


def test_known_faults_are_distinguished_from_faults_seen_here() -> None:
    answers = (Answer("matrix_vector_reduction", False), Answer("arctan", True))
    found = Diagnosis("0.10.2", "", answers)
    standing = {notice.advisory.shown_by: notice.standing for notice in found.notices}
    assert standing == {
        "matrix_vector_reduction": "seen here",
        "arctan": "known, not seen here",
        "high_rank_reductions": "known, not tried",
        "exp_of_nan": "known, not tried",
    }
    assert not found.healthy


def test_a_missing_package_is_named_with_its_own_install_command() -> None:
    with pytest.raises(MissingDependencyError) as raised:
        doctor.require_packages(("json", "no_such_package"))
    assert str(raised.value) == "no_such_package is not installed: pip install no_such_package"


def test_a_configuration_is_examined_with_its_flags_and_cpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_use_xnnpack=false")
    configuration = Catalogue().configuration({"xla_cpu_max_isa": "AVX", "cpus": "1"})
    setup = doctor.setup_under(configuration)
    assert setup.xla_flags == "--xla_cpu_use_xnnpack=false --xla_cpu_max_isa=AVX"
    assert setup.cpus is not None
    assert len(setup.cpus) == 1


@pytest.fixture(scope="module")
def faulty_python() -> Path:
    """An interpreter with jaxlib 0.10.2, made once in the user's cache folder."""
    folder = cache_folder("test-environments") / "jaxlib-0.10.2"
    python = folder / "bin" / "python"
    installed = folder / "installed"
    if not installed.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        packages = ["jax==0.10.2", "jaxlib==0.10.2"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        installed.touch()
    return python


@pytest.mark.slow
def test_the_faults_of_jaxlib_0_10_2_are_seen_and_mended(faulty_python: Path) -> None:
    setup = Setup(python=faulty_python)
    found = doctor.examine(setup)
    assert found.jaxlib_version == "0.10.2"
    wrong = {answer.name: answer.detail for answer in found.wrong}
    assert wrong["matrix_vector_reduction"].endswith("not 1073741824")
    (notice,) = [
        notice for notice in found.notices if notice.advisory.shown_by == "matrix_vector_reduction"
    ]
    assert notice.standing == "seen here"
    no_fusion = Candidate("--xla_cpu_experimental_ynn_fusion_type=", "nothing is fused for YNN")
    remedies = find_remedies(setup, found, (no_fusion,))
    assert remedies.flags == no_fusion.flags
    assert "matrix_vector_reduction" in remedies.tried[0].mends
