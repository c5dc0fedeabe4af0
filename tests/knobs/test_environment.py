"""The environment of a trial does not depend on the shell that perfkit runs in."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from perfkit.knobs.configuration import STOCK, Catalogue
from perfkit.knobs.environment import (
    child_environment,
    environment_sentences,
    left_out_variables,
    passed_on_variables,
    preset_conflicts,
)

FOREIGN = {
    "JAX_DEBUG_NANS": "1",
    "JAX_DISABLE_JIT": "1",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_ENABLE_X64": "1",
    "XLA_FLAGS": "--xla_cpu_use_onednn=true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
    "PJRT_NPROC": "1",
    "NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "KMP_AFFINITY": "none",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_CONF": "abort:true",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "LD_PRELOAD": "/lib/libjemalloc.so.2",
    "LD_BIND_NOW": "1",
    "PYTHONMALLOC": "debug",
    "PYTHONHASHSEED": "0",
    "PYTHONOPTIMIZE": "2",
    "PYTHONDEVMODE": "1",
    "AF3_NO_KEEP_QUERY": "1",
}
"""Variables that change what a program computes or how fast."""

NEEDED = {
    "PATH": "/bin",
    "HOME": "/home/a",
    "LC_ALL": "C.UTF-8",
    "TMPDIR": "/scratch",
    "LD_LIBRARY_PATH": "/opt/lib",
    "PYTHONPATH": "/opt/python",
    "PERFKIT_CACHE": "/scratch/cache",
    "SLURM_JOB_ID": "7",
    "XDG_CACHE_HOME": "/scratch",
}

STRANGERS = {
    "AWS_SECRET_ACCESS_KEY": "s",
    "TF_VAR_password": "s",
    "GITHUB_TOKEN": "s",
    "EDITOR": "e",
}


def test_stock_has_the_same_environment_in_every_shell() -> None:
    made = child_environment(STOCK, FOREIGN | NEEDED | STRANGERS)
    assert made == NEEDED | {"JAX_PLATFORMS": "cpu"}


def test_variables_that_jax_sets_itself_are_not_reported() -> None:
    code = "import os; a = dict(os.environ); import jax, json; b = dict(os.environ)"
    show = "print(json.dumps({n: v for n, v in b.items() if a.get(n) != v}))"
    printed = subprocess.run(
        [sys.executable, "-c", f"{code}; {show}"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    set_by_jax = json.loads(printed)
    assert set_by_jax.keys() >= {"TF_CPP_MIN_LOG_LEVEL"}
    assert left_out_variables(STOCK, set_by_jax) == {}
    assert preset_conflicts(STOCK, set_by_jax) == []
    assert left_out_variables(STOCK, {"TF_CPP_MIN_LOG_LEVEL": "0"}) != {}


def test_variables_of_a_configuration_reach_its_trial() -> None:
    configuration = Catalogue().configuration({"cpus": "2", "allocator": "glibc-hugepages"})
    made = child_environment(configuration, FOREIGN)
    assert made == {
        "JAX_PLATFORMS": "cpu",
        "PJRT_NPROC": "2",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }
    # The allocator sets the variable to the same value: nothing is dropped.
    assert "GLIBC_TUNABLES" not in left_out_variables(configuration, FOREIGN)
    assert left_out_variables(configuration, FOREIGN)["PJRT_NPROC"] == "1"


def test_dropped_variables_are_reported_by_name_and_value() -> None:
    assert left_out_variables(STOCK, FOREIGN | NEEDED | STRANGERS) == dict(sorted(FOREIGN.items()))
    (sentence,) = environment_sentences(STOCK, {"JAX_DEBUG_NANS": "1", "OMP_NUM_THREADS": "4"})
    assert sentence == "set here, but left out of trials: JAX_DEBUG_NANS=1, OMP_NUM_THREADS=4"
    assert environment_sentences(STOCK, NEEDED | {"JAX_PLATFORMS": "cpu"}) == []


@pytest.mark.parametrize(
    ("name", "value", "recorded"),
    [
        ("JAX_SERVICE_TOKEN", "abc", "(not shown)"),
        ("XLA_AUTH", "abc", "(not shown)"),
        ("JAX_API_KEY", "abc", "(not shown)"),
        ("JAX_COMPILATION_CACHE_DIR", "https://me:word@host/a", "https://host/a"),
        ("JAX_PLATFORMS", "cuda", "cuda"),
    ],
)
def test_no_secret_is_recorded(name: str, value: str, recorded: str) -> None:
    assert left_out_variables(STOCK, {name: value}) == {name: recorded}


def test_remedies_for_a_mistaken_processor_are_passed_on_and_reported() -> None:
    remedies = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "512"}
    inherited = remedies | {"OPENBLAS_NUM_THREADS": "1"}
    assert child_environment(STOCK, inherited).items() >= remedies.items()
    assert passed_on_variables(inherited) == remedies
    left, kept = environment_sentences(STOCK, inherited)
    assert left == "set here, but left out of trials: OPENBLAS_NUM_THREADS=1"
    assert kept.startswith(
        "passed on to trials: OPENBLAS_CORETYPE=Haswell, OPENBLAS_L2_SIZE=512; NumPy needs this"
    )


@pytest.mark.parametrize(
    ("inherited", "sentences"),
    [
        ({"PATH": "/bin", "PJRT_NPROC": "2", "JAX_PLATFORMS": "cpu"}, []),
        # XLA reads none of these, so they do not matter to the preset.
        ({"OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "0", "NVPL_BLAS_DEBUG": "1"}, []),
        ({"PJRT_NPROC": "8"}, ["PJRT_NPROC=8 was set; the preset's 2 is used"]),
        (
            {"XLA_FLAGS": "--xla_cpu_use_onednn=false --xla_cpu_use_onednn=true"},
            [],
        ),
        (
            {"XLA_FLAGS": "--xla_cpu_use_onednn=false"},
            ["XLA_FLAGS sets xla_cpu_use_onednn=false; the preset's true is used"],
        ),
        (
            {"XLA_FLAGS": "--xla_dump_to=a", "JAX_DISABLE_JIT": "1"},
            [
                "the preset was measured without these, which may change time and answer: "
                "JAX_DISABLE_JIT=1, XLA_FLAGS=--xla_dump_to=a"
            ],
        ),
    ],
)
def test_conflicts_of_a_preset_with_the_environment_are_reported(
    inherited: dict[str, str], sentences: list[str]
) -> None:
    preset = Catalogue().configuration({"cpus": "2", "xla_cpu_use_onednn": "true"})
    assert preset_conflicts(preset, inherited) == sentences
