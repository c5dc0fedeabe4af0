"""The doctor passes a good jaxlib, sees the faults of a bad one, and survives a crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from perfkit.diagnose import doctor
from perfkit.diagnose.advisories import ADVISORIES
from perfkit.diagnose.known_answers import KNOWN_ANSWERS, Answer, KnownAnswer, compare_elements
from perfkit.paths import cache_folder

ROOT = Path(doctor.__file__).parents[2]


@pytest.fixture(scope="module")
def diagnosis() -> doctor.Diagnosis:
    return doctor.examine()


def test_the_installed_jaxlib_is_healthy(diagnosis: doctor.Diagnosis) -> None:
    assert diagnosis.wrong == ()
    assert diagnosis.healthy
    assert len(diagnosis.answers) == len(KNOWN_ANSWERS)
    assert json.loads(json.dumps(diagnosis.as_dict()))["healthy"] is True


def test_contraction_is_remarked_but_is_no_fault(diagnosis: doctor.Diagnosis) -> None:
    (answer,) = [one for one in diagnosis.answers if one.name == "difference_of_squares"]
    assert answer.right


def test_one_wrong_element_is_found_and_both_values_are_told() -> None:
    got = np.arange(10.0)
    got[7] = 70.0
    answer = compare_elements("x", got, np.arange(10.0), 1e-6)
    assert not answer.right
    assert answer.detail == "1 of 10 elements; at [7] 70, not 7"


def test_nan_and_infinity_count_as_equal_only_to_themselves() -> None:
    assert compare_elements("x", [np.nan, np.inf], [np.nan, np.inf]).right
    assert not compare_elements("x", [np.inf], [-np.inf]).right
    assert not compare_elements("x", [0.0], [np.nan]).right


def test_known_is_told_from_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda _: "0.10.2")
    programs = [
        KnownAnswer(
            "matrix_vector_reduction", "", lambda: Answer("matrix_vector_reduction", False)
        ),
        KnownAnswer("arctan", "", lambda: Answer("arctan", True)),
    ]
    found = doctor.examine(programs)
    standing = {notice.advisory.shown_by: notice.standing for notice in found.notices}
    assert standing == {
        "matrix_vector_reduction": "seen here",
        "arctan": "known, not seen here",
        "high_rank_reductions": "known, not tried",
        "exp_of_nan": "known, not tried",
    }
    assert not found.healthy


def test_a_program_that_kills_its_process_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    killer = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    real = subprocess.run

    def run(_: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        return real([sys.executable, "-c", killer], **options)  # type: ignore[call-overload,no-any-return]  # options pass through

    monkeypatch.setattr(doctor.subprocess, "run", run)
    program = KnownAnswer("high_rank_reductions", "", lambda: Answer("", True), dangerous=True)
    (answer,) = doctor.examine([program]).answers
    assert answer == Answer("high_rank_reductions", False, "crashed with SIGSEGV")


@pytest.fixture(scope="module")
def faulty_python() -> Path:
    """An interpreter with jaxlib 0.10.2, made once into the user's cache folder."""
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
    script = (
        "import json; from perfkit.diagnose.doctor import examine; "
        "print(json.dumps(examine().as_dict()))"
    )
    done = subprocess.run(
        [faulty_python, "-c", script],
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
    (advisory,) = [one for one in ADVISORIES if one.shown_by == "matrix_vector_reduction"]
    (notice,) = [one for one in found["advisories"] if one["fault"] == advisory.fault]
    assert notice["standing"] == "seen here"
