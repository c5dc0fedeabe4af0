"""The doctor passes a good jaxlib, finds the faults of a bad one, and survives a crash."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import perfkit
from perfkit.diagnose import doctor
from perfkit.diagnose.advisories import ADVISORIES
from perfkit.diagnose.diagnosis import Answer, Diagnosis, diagnosis_from_dict
from perfkit.diagnose.examination import answer_of_command, run_examination
from perfkit.diagnose.known_answers import KNOWN_ANSWERS, KnownAnswer, compare_elements
from perfkit.errors import MissingDependencyError
from perfkit.knobs.configuration import Catalogue
from perfkit.paths import cache_folder

ROOT = Path(perfkit.__file__).parents[1]


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    return doctor.examine()


def test_the_installed_jaxlib_is_healthy(diagnosis: Diagnosis) -> None:
    assert diagnosis.wrong == ()
    assert diagnosis.healthy
    assert len(diagnosis.answers) == len(KNOWN_ANSWERS)
    assert json.loads(json.dumps(diagnosis.as_dict()))["healthy"] is True


def test_a_diagnosis_is_unchanged_after_a_round_trip_to_json(
    diagnosis: Diagnosis,
) -> None:
    assert diagnosis_from_dict(json.loads(json.dumps(diagnosis.as_dict()))) == diagnosis


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
    programs = [
        KnownAnswer(
            "matrix_vector_reduction", "", lambda: Answer("matrix_vector_reduction", False)
        ),
        KnownAnswer("arctan", "", lambda: Answer("arctan", True)),
    ]
    found = run_examination(programs, jaxlib_version="0.10.2")
    standing = {notice.advisory.shown_by: notice.standing for notice in found.notices}
    assert standing == {
        "matrix_vector_reduction": "seen here",
        "arctan": "known, not seen here",
        "high_rank_reductions": "known, not tried",
        "exp_of_nan": "known, not tried",
    }
    assert not found.healthy


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed with SIGSEGV"),
        ("import time; time.sleep(600)", "no answer in 1 s"),
        ("raise ValueError('no such shape')", "failed: ValueError: no such shape"),
        ("raise SystemExit(3)", "failed: without a message"),
    ],
)
def test_a_program_that_kills_or_hangs_its_process_is_an_answer(code: str, detail: str) -> None:
    answer = answer_of_command("x", [sys.executable, "-c", code], time_limit_s=1.0)
    assert answer == Answer("x", False, detail)


def test_a_missing_package_is_named_with_its_own_install_command() -> None:
    with pytest.raises(MissingDependencyError) as raised:
        doctor.require_packages(("json", "no_such_package"))
    assert str(raised.value) == "no_such_package is not installed: pip install no_such_package"


def test_xla_that_does_not_start_is_an_error_of_the_user() -> None:
    configuration = Catalogue().configuration({"xla_cpu_max_isa": "AVX"})
    environment = {**os.environ, "XLA_FLAGS": "--no_such_flag_of_xla=1"}
    script = (
        "from perfkit.diagnose.doctor import examine_under\n"
        "from perfkit.errors import UserError\n"
        "from perfkit.knobs.configuration import Catalogue\n"
        f"configuration = Catalogue().configuration({configuration.as_dict()})\n"
        "try:\n"
        "    examine_under(configuration)\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("XLA does not start under")
    assert "no_such_flag_of_xla" in done.stderr


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
def test_the_miscompilation_of_jaxlib_0_10_2_is_seen(faulty_python: Path) -> None:
    done = subprocess.run(
        [faulty_python, "-m", "perfkit.diagnose.examination"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["jaxlib"] == "0.10.2"
    assert not found["healthy"]
    wrong = {answer["name"]: answer["detail"] for answer in found["answers"] if not answer["right"]}
    assert wrong["matrix_vector_reduction"].endswith("not 1073741824")
    (advisory,) = [
        advisory for advisory in ADVISORIES if advisory.shown_by == "matrix_vector_reduction"
    ]
    (notice,) = [known for known in found["advisories"] if known["fault"] == advisory.fault]
    assert notice["standing"] == "seen here"
